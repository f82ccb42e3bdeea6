//! The end of every change of keys: commit, apply to the in-memory table, and return only when no other server admits
//! by the old state. One function serves single keys and whole accounts, so no step can be skipped.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use telepath_core::id::KeyId;
use telepath_core::key::KeyRecord;

use super::{KeyChangeError, RotateAllError};
use crate::backend::Backend;
use crate::error::StoreError;
use crate::key_clock;
use crate::key_table::KeyTable;
use crate::key_table::load::snapshot;
use crate::key_table::snapshot::Snapshot;
use crate::sql::{Connection, TransactionFuture, binds};
use crate::store::Store;

/// The result of a change of a key.
pub(crate) struct Changed {
    pub(super) key: KeyRecord,
    pub(super) snapshot: Snapshot,
}

impl Changed {
    /// The key's name.
    pub(crate) fn name(&self) -> &str {
        &self.key.name
    }
}

/// The keys that a transaction modifies. They are marked as in doubt if the outcome of its commit is unknown, so each
/// is added before anything about it is written.
#[derive(Clone, Default)]
pub(super) struct TouchedKeys(Arc<Mutex<Vec<KeyId>>>);

impl TouchedKeys {
    pub(super) fn note(&self, key: KeyId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(key);
    }

    fn take(&self) -> Vec<KeyId> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// How often a change is tried. A busy machine, a deadlock or a failover ends a transaction before it is committed; the next
/// attempt writes the same rows.
const ATTEMPTS: u32 = 3;

/// An error of a change of keys.
pub(super) trait ChangeError: From<StoreError> + Send + 'static {
    fn of_store(&self) -> Option<&StoreError>;

    /// Whether the change may be committed despite the error.
    fn outcome_is_unknown(&self) -> bool {
        matches!(self.of_store(), Some(StoreError::OutcomeUnknown(_)))
    }

    /// Whether nothing is committed, and the next attempt may succeed.
    fn is_transient(&self) -> bool {
        matches!(self.of_store(), Some(StoreError::Unavailable(error)) if error.is_transient())
    }
}

impl ChangeError for KeyChangeError {
    fn of_store(&self) -> Option<&StoreError> {
        if let KeyChangeError::Store(error) = self { Some(error) } else { None }
    }
}

impl ChangeError for RotateAllError {
    fn of_store(&self) -> Option<&StoreError> {
        if let RotateAllError::Store(error) = self { Some(error) } else { None }
    }
}

impl Store {
    /// Changes one key; see [`Store::change_keys`].
    pub(crate) async fn change_key<F>(&self, id: KeyId, change: F) -> Result<KeyRecord, KeyChangeError>
    where
        F: for<'c> FnOnce(&'c mut Connection) -> TransactionFuture<'c, Changed, KeyChangeError>
            + Clone
            + Send
            + 'static,
    {
        let touched = TouchedKeys::default();
        touched.note(id);
        let mut changed = self.change_keys(touched, move |db| Box::pin(alone(db, change))).await?;
        changed.pop().map(|(key, ())| key).ok_or(KeyChangeError::Store(StoreError::Broken))
    }

    /// Commits a change of keys, applies it to the in-memory table, and waits until no other server admits by the old
    /// state. Runs to completion even if the caller is cancelled, because a committed change must reach the table.
    pub(super) async fn change_keys<T, E, F>(
        &self,
        touched: TouchedKeys,
        change: F,
    ) -> Result<Vec<(KeyRecord, T)>, E>
    where
        F: for<'c> FnOnce(&'c mut Connection) -> TransactionFuture<'c, Vec<(Changed, T)>, E>
            + Clone
            + Send
            + 'static,
        T: Send + 'static,
        E: ChangeError,
    {
        let (keys, replication_barrier) = (self.keys.clone(), self.cluster.replication_barrier());
        let task = self.backend.spawn_key_change(move |backend: Backend| async move {
            let start = keys.begin_change();
            let result = attempts(&backend, change).await;
            let committed = Instant::now();
            if result.as_ref().is_err_and(E::outcome_is_unknown) {
                for id in touched.take() {
                    keys.mark_in_doubt(id);
                }
                resolve_in_doubt(&backend, &keys).await;
            }
            let (changed, version) = result?;
            let mut all_applied = true;
            let apply = |(Changed { key, snapshot }, more)| {
                all_applied &= keys.apply_own(snapshot, start);
                (key, more)
            };
            let applied = changed.into_iter().map(apply).collect();
            if !all_applied {
                resolve_in_doubt(&backend, &keys).await;
            }
            replication_barrier.wait(&backend, version, committed).await;
            Ok(applied)
        });
        task.await.unwrap_or_else(|_| Err(StoreError::Broken.into()))
    }
}

/// Commits a change, in at most [`ATTEMPTS`] attempts.
async fn attempts<T, E, F>(backend: &Backend, change: F) -> Result<Stamped<T>, E>
where
    F: for<'c> FnOnce(&'c mut Connection) -> TransactionFuture<'c, Vec<(Changed, T)>, E>
        + Clone
        + Send
        + 'static,
    T: Send + 'static,
    E: ChangeError,
{
    let mut left = ATTEMPTS;
    loop {
        let change = change.clone();
        let result: Result<Stamped<T>, E> = backend.write(move |db| Box::pin(stamped(db, change))).await;
        left -= 1;
        if left == 0 || !result.as_ref().is_err_and(E::is_transient) {
            return result;
        }
    }
}

async fn alone<F>(db: &mut Connection, change: F) -> Result<Vec<(Changed, ())>, KeyChangeError>
where
    F: for<'c> FnOnce(&'c mut Connection) -> TransactionFuture<'c, Changed, KeyChangeError> + Send + 'static,
{
    Ok(vec![(change(db).await?, ())])
}

/// The changed keys, and their version on the key clock.
type Stamped<T> = (Vec<(Changed, T)>, Option<i64>);

/// Runs a change and, as its last statement, takes a version from the key clock. A change that found nothing to do
/// takes one too: an earlier change with the same effect may not be confirmed yet.
async fn stamped<T, E, F>(db: &mut Connection, change: F) -> Result<Stamped<T>, E>
where
    F: for<'c> FnOnce(&'c mut Connection) -> TransactionFuture<'c, Vec<(Changed, T)>, E> + Send + 'static,
    E: ChangeError,
{
    let changed = change(db).await?;
    let ids: Vec<KeyId> = changed.iter().map(|(changed, _)| changed.key.id).collect();
    let version = key_clock::stamp(db, &ids).await?;
    Ok((changed, version))
}

/// Reads the keys that are in doubt; a key that cannot be read stays refused.
pub(crate) async fn resolve_in_doubt(backend: &Backend, keys: &KeyTable) {
    let mut still = Vec::new();
    for (id, number) in keys.take_in_doubt() {
        let reload = keys.reloads();
        match committed_state(backend, id).await {
            Ok(Some(snapshot)) => keys.resolve(snapshot, number, reload),
            // The key was never created, so nothing can be admitted with it.
            Ok(None) => {}
            Err(error) => {
                tracing::warn!(key = %id, %error, "could not read a key in doubt; the key is refused until the next attempt succeeds");
                still.push(id);
            }
        }
    }
    keys.put_back_in_doubt(still);
}

/// Locking the row waits for a transaction that the database may still be committing.
async fn committed_state(backend: &Backend, id: KeyId) -> Result<Option<Snapshot>, StoreError> {
    backend
        .write(move |db| {
            Box::pin(async move {
                db.fetch_locked("SELECT id FROM keys WHERE id = $1", binds![id.to_string()]).await?;
                snapshot(db, &id.to_string()).await
            })
        })
        .await
}
