//! Seals secrets again that another master key than the active one has sealed, a few in each transaction. A restart begins again
//! and finds what is left.

use serde_json::json;
use telepath_core::audit::{AuditAction, AuditEntry, Origin};
use telepath_core::vault::Sealed;

use super::change::{end, finished};
use super::columns::{SEALED, SealedColumn};
use crate::context::StoreContext;
use crate::error::StoreError;
use crate::sql::{Connection, binds};
use crate::store::Store;

/// Secrets per transaction.
const AT_ONCE: i64 = 100;
/// Passes that find nothing before re-sealing ends: another server, or a request, may have been about to store what it had
/// sealed with the old key when the new one was activated.
const EMPTY_PASSES: u32 = 2;

/// What one pass sealed again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Resealed {
    /// Secrets that the active key seals now.
    pub secrets: u64,
    /// Secrets that could not be opened: their key is not loaded, or they were changed.
    pub unreadable: u64,
}

/// The result of one transaction.
struct Step {
    done: Resealed,
    /// The last row of the step; `None` if there are no more.
    last: Option<(String, String)>,
}

impl Store {
    /// Goes once through all secrets. `pending`: the pass may end a rotation.
    pub(super) async fn reseal(&self, pending: bool) -> Result<Resealed, StoreError> {
        let mut all = Resealed::default();
        for column in SEALED {
            let mut after = Some((String::new(), String::new()));
            while let Some(from) = after {
                let context = self.context.clone();
                let step: Result<Step, StoreError> = self
                    .backend
                    .write(move |db| Box::pin(async move { reseal_some(db, column, from, &context).await }))
                    .await;
                let step = step?;
                all.secrets += step.done.secrets;
                all.unreadable += step.done.unreadable;
                after = step.last;
            }
        }
        let Resealed { secrets, unreadable } = all;
        if secrets > 0 {
            tracing::info!(secrets, "sealed secrets again with the active master key");
        }
        if self.keyring.record_pass(unreadable) != unreadable && unreadable > 0 {
            tracing::error!(
                unreadable,
                "secrets cannot be opened, because their master key is not loaded or they were changed; \
                 see `telepath keyring status`"
            );
        }
        let empty = self.keyring.count_empty(all == Resealed::default());
        if pending && empty >= EMPTY_PASSES {
            self.end_rotation().await?;
        }
        Ok(all)
    }

    async fn end_rotation(&self) -> Result<(), StoreError> {
        let active = self.context.vault.sealing_key_id();
        let account = finished(&mut self.backend.read().await?, active).await?;
        let Some(account) = account else { return Ok(()) };
        let now = self.now();
        let entry = AuditEntry {
            id: self.new_audit_id(now)?,
            account_id: account,
            origin: Origin::system(None, now),
            action: AuditAction::MasterKeyRotated,
            target: active.to_string(),
            before: json!({}),
            after: json!({}),
        };
        if self.backend.write(move |db| Box::pin(async move { end(db, &entry).await })).await? {
            tracing::info!(key = %active, "everything is sealed with the active master key; the others can be removed");
        }
        Ok(())
    }
}

async fn reseal_some(
    db: &mut Connection,
    column: &SealedColumn,
    (first, second): (String, String),
    context: &StoreContext,
) -> Result<Step, StoreError> {
    let active = context.vault.sealing_key_id();
    let values = binds![&active.as_bytes()[..], first, second, AT_ONCE];
    let rows = db.fetch_all(column.select(), values).await?;
    let mut step = Step { done: Resealed::default(), last: None };
    for row in &rows {
        let (first, second) = (row.text("first")?, row.text("second")?);
        let old = row.bytes("sealed")?;
        match resealed(column, (&first, &second), old.clone(), context)? {
            Some(new) => {
                let values = binds![first.as_str(), second.as_str(), &old[..], new.as_bytes()];
                step.done.secrets += db.execute(column.replace(), values).await?;
            }
            None => step.done.unreadable += 1,
        }
        step.last = Some((first, second));
    }
    if i64::try_from(rows.len()).unwrap_or(i64::MAX) < AT_ONCE {
        step.last = None;
    }
    Ok(step)
}

/// The secret under the active key; `None` if it cannot be opened.
fn resealed(
    column: &SealedColumn,
    (first, second): (&str, &str),
    old: Vec<u8>,
    context: &StoreContext,
) -> Result<Option<Sealed>, StoreError> {
    let Some(place) = (column.place)(first, second) else { return Ok(None) };
    match context.vault.open(&Sealed::from_bytes(old), &place) {
        Ok(secret) => Ok(Some(context.vault.seal(&secret, &place, &*context.entropy)?)),
        Err(problem) => {
            tracing::debug!(%place, %problem, "could not open a secret to seal it again");
            Ok(None)
        }
    }
}
