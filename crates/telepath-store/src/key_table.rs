//! The in-memory table of keys that every request is admitted from: no I/O, and no lock held across an await. Each
//! key's state has its own lock, and [`KeyTable::admit`] decides under it, so every admission after a change sees
//! that change, even through a handle found earlier.

pub(crate) mod counts;
pub(crate) mod entry;
mod handle;
mod index;
pub(crate) mod load;
mod secret;
pub(crate) mod snapshot;

use std::net::IpAddr;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use telepath_core::clock::{Clock, ClockReading, SteadyTime};
use telepath_core::id::{Id as _, KeyId};
use telepath_core::limit::quota::QuotaCounts;
use telepath_core::limit::{Window, WindowState};
use telepath_core::reach::TrunkAccess;
use telepath_core::scope::ScopeSet;
use telepath_core::secret::HashedKey;

use crate::cluster::lease::Lease;
use counts::{ChangedCounts, TakeResult, WindowContext};
use entry::KeyEntry;
use index::KeyIndex;
use snapshot::Snapshot;

/// The result of admission.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Admission {
    /// Admitted and counted.
    Admitted {
        /// The key's scopes.
        scopes: ScopeSet,
        /// The trunks that the key reaches.
        trunks: TrunkAccess,
        /// The key's window, including this request.
        window: WindowState,
    },
    /// The window is full, or the quota that it describes is used up (429). Not counted.
    Limited { window: WindowState },
    /// The key may not be used from this address (403). Not counted.
    WrongAddress,
    /// Revoked, expired, not yet valid, or the secret no longer belongs to the key (401).
    Unusable,
    /// The outcome of the key's last change is unknown. Until the database confirms it, the key is refused (503)
    /// instead of admitted by a state that may be old.
    InDoubt,
    /// This server's lease has expired, so it may have missed a change of the key (503).
    NoLease,
    /// The shared limiter does not respond (503).
    LimiterUnavailable,
}

fn locked<T>(list: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    list.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Tables {
    by_hash: KeyIndex,
    by_id: KeyIndex,
    count: AtomicUsize,
    /// Keys in doubt. A key is listed at most once, so the list is bounded by the number of keys.
    in_doubt: Mutex<Vec<KeyId>>,
    /// Keys whose counts in memory changed since they were last written. A key is listed at most once.
    changed_counts: Mutex<Vec<Arc<KeyEntry>>>,
    /// How often all keys were loaded again.
    reloads: AtomicU32,
    /// How many changes had an unknown outcome.
    doubts: AtomicU32,
    /// Bounds how long requests are admitted without news from the database.
    lease: Arc<Lease>,
    /// Tells how long grace periods still last when keys are read.
    clock: Arc<dyn Clock>,
}

/// The table, shared by all requests.
#[derive(Clone)]
pub struct KeyTable(Arc<Tables>);

/// The state of the table when a change begins; see [`KeyTable::apply_own`].
#[derive(Clone, Copy)]
pub(crate) struct ChangeStart {
    reloads: u32,
    doubts: u32,
}

fn id_number(id: KeyId) -> u64 {
    let mut tail = [0; 8];
    tail.copy_from_slice(&id.as_bytes()[8..]);
    u64::from_be_bytes(tail)
}

impl KeyTable {
    /// An empty table without a lease.
    #[cfg(test)]
    pub(crate) fn empty() -> Self {
        let noon = telepath_core::clock::ManualClock::at(telepath_core::clock::Timestamp::from_unix_seconds(
            1_800_000_000,
        ));
        Self::with_lease(Arc::new(Lease::unbounded()), Arc::new(noon))
    }

    /// An empty table whose keys are admitted while the lease holds.
    pub(crate) fn with_lease(lease: Arc<Lease>, clock: Arc<dyn Clock>) -> Self {
        Self(Arc::new(Tables {
            by_hash: KeyIndex::default(),
            by_id: KeyIndex::default(),
            count: AtomicUsize::new(0),
            in_doubt: Mutex::default(),
            changed_counts: Mutex::default(),
            reloads: AtomicU32::new(0),
            doubts: AtomicU32::new(0),
            lease,
            clock,
        }))
    }

    /// The key with this secret.
    pub fn find(&self, hash: &HashedKey) -> Option<KeyHandle> {
        let number = hash.index();
        let entry = self.0.by_hash.read(number).find(number, |entry| entry.has(hash))?;
        Some(KeyHandle { entry })
    }

    /// Admission: checks the key's policy, checks that the secret still belongs to the key, and counts the request in
    /// the key's window, all under the key's lock.
    pub fn admit(&self, key: &KeyHandle, hash: &HashedKey, address: IpAddr, now: ClockReading) -> Admission {
        if !self.0.lease.holds() {
            return Admission::NoLease;
        }
        let (admission, is_first_change) = key.entry.admit(hash, address, now);
        if is_first_change {
            locked(&self.0.changed_counts).push(Arc::clone(&key.entry));
        }
        admission
    }

    /// The counts that changed since the last call.
    pub(crate) fn take_changed_counts(&self) -> Vec<ChangedCounts> {
        let changed = std::mem::take(&mut *locked(&self.0.changed_counts));
        changed.iter().map(|entry| entry.take_changed_counts()).collect()
    }

    /// Lists counts again that could not be written.
    pub(crate) fn put_back_changed_counts(&self, counts: &[ChangedCounts]) {
        let entries = counts.iter().filter_map(|changed| self.entry(changed.key));
        let unlisted: Vec<_> = entries.filter(|entry| entry.mark_changed()).collect();
        locked(&self.0.changed_counts).extend(unlisted);
    }

    /// Continues a window that a previous run counted.
    pub(crate) fn restore_window(&self, id: KeyId, window: Window) {
        if let Some(entry) = self.entry(id) {
            entry.set_window(window);
        }
    }

    /// Continues the quotas that a previous run counted.
    pub(crate) fn restore_quota(&self, id: KeyId, counts: QuotaCounts) {
        if let Some(entry) = self.entry(id) {
            entry.set_quota(counts);
        }
    }

    /// Checks the key and its secret without counting, for a shared limiter. [`KeyTable::admit_counted`] checks again
    /// when the request is counted.
    pub(crate) fn check(
        &self,
        key: &KeyHandle,
        hash: &HashedKey,
        address: IpAddr,
        now: ClockReading,
    ) -> Result<WindowContext, Admission> {
        if !self.0.lease.holds() {
            return Err(Admission::NoLease);
        }
        key.entry.check(hash, address, now)
    }

    /// The scopes and trunks of a key that may be used now; `None` if it may not be used or without a lease. Counts nothing.
    pub(crate) fn current_rights(
        &self,
        key: &KeyHandle,
        hash: &HashedKey,
        address: IpAddr,
        now: ClockReading,
    ) -> Option<(ScopeSet, TrunkAccess)> {
        self.0.lease.holds().then(|| key.entry.current_rights(hash, address, now)).flatten()
    }

    /// Admission of a request that the shared limiter has counted: checks everything again and remembers the count.
    pub(crate) fn admit_counted(
        &self,
        key: &KeyHandle,
        hash: &HashedKey,
        address: IpAddr,
        now: ClockReading,
        taken: TakeResult,
    ) -> Admission {
        if !self.0.lease.holds() {
            return Admission::NoLease;
        }
        key.entry.admit_counted(hash, address, now, taken)
    }

    /// When a secret in its grace period ends on the steady timeline; `None` if the table does not have it.
    pub(crate) fn steady_end(&self, hash: &HashedKey) -> Option<SteadyTime> {
        self.find(hash)?.entry.steady_end(hash)
    }

    /// The number of keys in any state.
    pub fn len(&self) -> usize {
        self.0.count.load(Ordering::Relaxed)
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn entry(&self, id: KeyId) -> Option<Arc<KeyEntry>> {
        let number = id_number(id);
        self.0.by_id.read(number).find(number, |entry| entry.id == id)
    }

    /// The number of reloads so far. What is read from the database afterwards is applied with this number.
    pub(crate) fn reloads(&self) -> u32 {
        self.0.reloads.load(Ordering::SeqCst)
    }

    /// Begins to load all keys again, because the database may have lost changes that the table has. Nothing may be admitted
    /// until it is loaded.
    pub(crate) fn begin_reload(&self) -> u32 {
        self.0.reloads.fetch_add(1, Ordering::SeqCst) + 1
    }

    /// Ends the keys that a complete reload did not find.
    pub(crate) fn end_reload(&self, reload: u32) {
        for entry in self.0.by_id.matching(|entry| entry.is_older_than(reload)) {
            self.remove(&entry);
        }
    }

    /// Ends a key and removes it, also for handles found earlier.
    fn remove(&self, entry: &Arc<KeyEntry>) {
        let number = id_number(entry.id);
        let mut shard = self.0.by_id.write(number);
        for hash in entry.end() {
            self.0.by_hash.write(hash.index()).remove(hash.index(), entry);
        }
        if shard.remove(number, entry) {
            self.0.count.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// The revoked keys in the table.
    pub(crate) fn revoked(&self) -> Vec<KeyId> {
        self.0.by_id.matching(KeyEntry::is_revoked).iter().map(|entry| entry.id).collect()
    }

    /// Removes revoked keys that are no longer in the database.
    pub(crate) fn forget(&self, ids: &[KeyId]) {
        for entry in ids.iter().filter_map(|id| self.entry(*id)).filter(|entry| entry.is_revoked()) {
            self.remove(&entry);
        }
    }

    /// To be called before the transaction of a change begins.
    pub(crate) fn begin_change(&self) -> ChangeStart {
        ChangeStart { reloads: self.reloads(), doubts: self.0.doubts.load(Ordering::SeqCst) }
    }

    /// Applies a change that this process committed. Its transaction waited for earlier ones, so it also resolves those
    /// whose outcome was unknown when it began. If the table was reloaded since, the reload may or may not include the
    /// change, so the key is in doubt. Returns whether it is not.
    pub(crate) fn apply_own(&self, snapshot: Snapshot, start: ChangeStart) -> bool {
        let id = snapshot.id;
        if self.reloads() != start.reloads {
            self.mark_in_doubt(id);
            return false;
        }
        self.resolve(snapshot, start.doubts, start.reloads);
        true
    }

    /// Applies a committed state of a key that was read after `reload` reloads, unless the table has a newer one.
    pub(crate) fn apply(&self, snapshot: Snapshot, reload: u32) {
        let number = id_number(snapshot.id);
        // Held to the end: two changes of one key are serialized, for the index as well as for the state.
        let mut shard = self.0.by_id.write(number);
        let there = shard.find(number, |entry| entry.id == snapshot.id);
        let (entry, added, removed) = if let Some(entry) = there {
            let (added, removed) = entry.replace(snapshot, reload, self.0.clock.read());
            (entry, added, removed)
        } else {
            let hashes = snapshot.secrets.iter().map(|secret| secret.hash).collect();
            let entry = Arc::new(KeyEntry::new(snapshot, reload, self.0.clock.read()));
            shard.insert(number, &entry);
            self.0.count.fetch_add(1, Ordering::Relaxed);
            (entry, hashes, Vec::new())
        };
        for hash in added {
            self.0.by_hash.write(hash.index()).insert(hash.index(), &entry);
        }
        for hash in removed.into_iter().filter(|hash| !entry.has_number(hash.index())) {
            self.0.by_hash.write(hash.index()).remove(hash.index(), &entry);
        }
    }

    /// Adds one row of a key while the table is loaded; a key with several secrets has several rows.
    fn load_row(&self, row: Snapshot, now: ClockReading) {
        let number = id_number(row.id);
        let hashes: Vec<HashedKey> = row.secrets.iter().map(|secret| secret.hash).collect();
        let mut shard = self.0.by_id.write(number);
        let entry = if let Some(entry) = shard.find(number, |entry| entry.id == row.id) {
            entry.add_secrets(&row.secrets, now);
            entry
        } else {
            let entry = Arc::new(KeyEntry::new(row, 0, now));
            shard.insert(number, &entry);
            self.0.count.fetch_add(1, Ordering::Relaxed);
            entry
        };
        for hash in hashes {
            self.0.by_hash.write(hash.index()).insert(hash.index(), &entry);
        }
    }

    /// Refuses a key until [`KeyTable::resolve`] sets its state.
    pub(crate) fn mark_in_doubt(&self, id: KeyId) {
        if let Some(entry) = self.entry(id) {
            entry.mark_in_doubt(self.0.doubts.fetch_add(1, Ordering::SeqCst) + 1);
            self.list_in_doubt(id);
        }
    }

    fn list_in_doubt(&self, id: KeyId) {
        let mut list = locked(&self.0.in_doubt);
        if !list.contains(&id) {
            list.push(id);
        }
    }

    /// Removes and returns the keys in doubt, each with the number of its last change of unknown outcome. Keys that stay in
    /// doubt must be put back.
    pub(crate) fn take_in_doubt(&self) -> Vec<(KeyId, u32)> {
        let ids = std::mem::take(&mut *locked(&self.0.in_doubt));
        let numbered = ids.into_iter().filter_map(|id| Some((id, self.entry(id)?.in_doubt())));
        numbered.filter(|(_, number)| *number > 0).collect()
    }

    /// Puts back keys that are still in doubt.
    pub(crate) fn put_back_in_doubt(&self, ids: Vec<KeyId>) {
        locked(&self.0.in_doubt).extend(ids);
    }

    /// Applies the state that the database has after changes of unknown outcome, even if it is the one that the table had
    /// before. A change with a higher number became unknown meanwhile and keeps the key in doubt.
    pub(crate) fn resolve(&self, snapshot: Snapshot, number: u32, reload: u32) {
        let id = snapshot.id;
        self.apply(snapshot, reload);
        if let Some(entry) = self.entry(id)
            && entry.resolve(number)
        {
            self.list_in_doubt(id);
        }
    }
}

/// A handle to a key. It stays valid when the key changes: each admission is decided again.
#[derive(Clone)]
pub struct KeyHandle {
    entry: Arc<KeyEntry>,
}

#[cfg(test)]
mod tests;
