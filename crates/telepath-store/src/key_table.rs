//! The keys in memory, from which every request is admitted: no I/O and no lock across an await. A key's state stands
//! under its own small lock, and [`KeyTable::admit`] decides under it, so that a change that was applied is seen by every
//! admission after it, also through a handle that was found before.

pub(crate) mod entry;
pub(crate) mod load;

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use crossbeam_utils::CachePadded;
use telepath_core::clock::Timestamp;
use telepath_core::id::{AccountId, Id as _, KeyId};
use telepath_core::limit::WindowState;
use telepath_core::scope::ScopeSet;
use telepath_core::secret::HashedKey;

use crate::cluster::lease::Lease;
use entry::{Entry, Snapshot, TakeResult, WindowContext};

/// Parts of each index with a lock of their own; a power of two.
const SHARDS: usize = 64;

/// What became of a request at the moment of admission.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// It may go on, and was counted.
    Admitted {
        /// What the key may do.
        scopes: ScopeSet,
        /// The key's window, this request included.
        window: WindowState,
    },
    /// The window is full (429); nothing was counted.
    Limited {
        /// The key's window.
        window: WindowState,
    },
    /// The key may not be used from this address (403); nothing was counted.
    WrongAddress,
    /// Revoked, expired, not yet valid, or the secret is no longer one of the key's (401).
    Dead,
    /// A change of the key was sent to the database and it is not known whether it happened. Until the database says so
    /// the key is refused (503), never admitted by what may be the old state.
    InDoubt,
    /// This server has not heard from the database for too long to know which keys are good (503).
    NoLease,
    /// Where the windows of all servers are counted cannot be asked (503).
    LimiterUnavailable,
}

/// Spreads nothing: what it is given is the output of an HMAC or the random part of an id.
#[derive(Default)]
pub(crate) struct AsIs(u64);

impl Hasher for AsIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0 << 8 | u64::from(*byte);
        }
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = value;
    }
}

/// One shard of an index. Keys whose index numbers collide wait in `more`, which is as good as always empty.
#[derive(Default)]
struct Shard {
    first: HashMap<u64, Arc<Entry>, BuildHasherDefault<AsIs>>,
    more: Vec<(u64, Arc<Entry>)>,
}

impl Shard {
    fn find(&self, index: u64, is_it: impl Fn(&Entry) -> bool) -> Option<Arc<Entry>> {
        let first = self.first.get(&index)?;
        if is_it(first) {
            return Some(Arc::clone(first));
        }
        self.more.iter().find(|(at, entry)| *at == index && is_it(entry)).map(|(_, entry)| Arc::clone(entry))
    }

    fn insert(&mut self, index: u64, entry: &Arc<Entry>) {
        match self.first.get(&index) {
            Some(there) if Arc::ptr_eq(there, entry) => {}
            Some(_) => self.more.push((index, Arc::clone(entry))),
            None => drop(self.first.insert(index, Arc::clone(entry))),
        }
    }

    fn remove(&mut self, index: u64, entry: &Arc<Entry>) {
        if self.first.get(&index).is_some_and(|there| Arc::ptr_eq(there, entry)) {
            self.first.remove(&index);
            if let Some(place) = self.more.iter().position(|(at, _)| *at == index) {
                let (_, next) = self.more.swap_remove(place);
                self.first.insert(index, next);
            }
        } else if let Some(place) =
            self.more.iter().position(|(at, there)| *at == index && Arc::ptr_eq(there, entry))
        {
            self.more.swap_remove(place);
        }
    }
}

type Index = Box<[CachePadded<RwLock<Shard>>]>;

fn shard_of(index: &Index, number: u64) -> &RwLock<Shard> {
    // The map inside uses the lowest and the highest bits; the middle is free.
    &index[(number >> 32) as usize & (SHARDS - 1)]
}

fn read(shard: &RwLock<Shard>) -> std::sync::RwLockReadGuard<'_, Shard> {
    shard.read().unwrap_or_else(PoisonError::into_inner)
}

fn write(shard: &RwLock<Shard>) -> std::sync::RwLockWriteGuard<'_, Shard> {
    shard.write().unwrap_or_else(PoisonError::into_inner)
}

fn locked<T>(list: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    list.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Tables {
    by_hash: Index,
    by_id: Index,
    count: AtomicUsize,
    /// Keys in doubt. Each stands here at most once, so the list is bounded by their number.
    in_doubt: Mutex<Vec<KeyId>>,
    /// Whether anything may be admitted.
    lease: Arc<Lease>,
}

/// All keys, shared by all request tasks.
#[derive(Clone)]
pub struct KeyTable(Arc<Tables>);

fn id_number(id: KeyId) -> u64 {
    let mut tail = [0; 8];
    tail.copy_from_slice(&id.as_bytes()[8..]);
    u64::from_be_bytes(tail)
}

impl KeyTable {
    /// For tests: no keys, and no other server.
    #[cfg(test)]
    pub(crate) fn empty() -> Self {
        Self::under(Arc::new(Lease::unbounded()))
    }

    /// No keys yet; they are admitted while the lease holds.
    pub(crate) fn under(lease: Arc<Lease>) -> Self {
        let index = || (0..SHARDS).map(|_| CachePadded::default()).collect();
        Self(Arc::new(Tables {
            by_hash: index(),
            by_id: index(),
            count: AtomicUsize::new(0),
            in_doubt: Mutex::default(),
            lease,
        }))
    }

    /// The key with this secret.
    pub fn find(&self, hash: &HashedKey) -> Option<KeyHandle> {
        let number = hash.index();
        let entry = read(shard_of(&self.0.by_hash, number)).find(number, |entry| entry.has(hash))?;
        Some(KeyHandle { entry })
    }

    /// The moment of admission: judges the key's policy, checks that this very secret is still one of the key's, and
    /// counts the request in the key's window, all under the key's lock.
    pub fn admit(&self, key: &KeyHandle, hash: &HashedKey, address: IpAddr, now: Timestamp) -> Admission {
        if !self.0.lease.holds() {
            return Admission::NoLease;
        }
        key.entry.admit(hash, address, now)
    }

    /// Judges the key and its secret without counting: for a window that is counted elsewhere. What comes of it must be
    /// judged again by [`KeyTable::settle`] when the count is known.
    pub(crate) fn judge(
        &self,
        key: &KeyHandle,
        hash: &HashedKey,
        address: IpAddr,
        now: Timestamp,
    ) -> Result<WindowContext, Admission> {
        if !self.0.lease.holds() {
            return Err(Admission::NoLease);
        }
        key.entry.judge(hash, address, now)
    }

    /// The moment of admission of a request that was counted elsewhere: judges everything anew, and remembers the count.
    pub(crate) fn settle(
        &self,
        key: &KeyHandle,
        hash: &HashedKey,
        address: IpAddr,
        now: Timestamp,
        taken: TakeResult,
    ) -> Admission {
        if !self.0.lease.holds() {
            return Admission::NoLease;
        }
        key.entry.settle(hash, address, now, taken)
    }

    /// How many keys there are, whatever their state.
    pub fn len(&self) -> usize {
        self.0.count.load(Ordering::Relaxed)
    }

    /// Whether there is no key at all.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn entry(&self, id: KeyId) -> Option<Arc<Entry>> {
        let number = id_number(id);
        read(shard_of(&self.0.by_id, number)).find(number, |entry| entry.id == id)
    }

    /// Takes over a key as it was committed, unless a newer state is already here.
    pub(crate) fn apply(&self, snapshot: Snapshot) {
        let number = id_number(snapshot.id);
        // Held to the end: two changes of one key take their turns here, for the index as well as for the state.
        let mut shard = write(shard_of(&self.0.by_id, number));
        let there = shard.find(number, |entry| entry.id == snapshot.id);
        let (entry, added, removed) = if let Some(entry) = there {
            let (added, removed) = entry.replace(snapshot);
            (entry, added, removed)
        } else {
            let hashes = snapshot.secrets.iter().map(|secret| secret.hash).collect();
            let entry = Arc::new(Entry::new(snapshot));
            shard.insert(number, &entry);
            self.0.count.fetch_add(1, Ordering::Relaxed);
            (entry, hashes, Vec::new())
        };
        for hash in added {
            write(shard_of(&self.0.by_hash, hash.index())).insert(hash.index(), &entry);
        }
        for hash in removed.into_iter().filter(|hash| !entry.has_number(hash.index())) {
            write(shard_of(&self.0.by_hash, hash.index())).remove(hash.index(), &entry);
        }
    }

    /// Takes over one row of a key as it is read at start; a key with several secrets comes in several rows.
    fn load(&self, row: Snapshot) {
        let number = id_number(row.id);
        let hashes: Vec<HashedKey> = row.secrets.iter().map(|secret| secret.hash).collect();
        let mut shard = write(shard_of(&self.0.by_id, number));
        let entry = if let Some(entry) = shard.find(number, |entry| entry.id == row.id) {
            entry.add_secrets(&row.secrets);
            entry
        } else {
            let entry = Arc::new(Entry::new(row));
            shard.insert(number, &entry);
            self.0.count.fetch_add(1, Ordering::Relaxed);
            entry
        };
        for hash in hashes {
            write(shard_of(&self.0.by_hash, hash.index())).insert(hash.index(), &entry);
        }
    }

    /// Refuses a key until [`KeyTable::apply`] or [`KeyTable::confirm`] says what it is.
    pub(crate) fn mark_in_doubt(&self, id: KeyId) {
        if let Some(entry) = self.entry(id)
            && entry.mark_in_doubt()
        {
            locked(&self.0.in_doubt).push(id);
        }
    }

    /// The keys in doubt; they are forgotten here, and must be put back if they stay in doubt.
    pub(crate) fn take_in_doubt(&self) -> Vec<KeyId> {
        std::mem::take(&mut *locked(&self.0.in_doubt))
    }

    /// Puts keys back that are still in doubt.
    pub(crate) fn put_back_in_doubt(&self, ids: Vec<KeyId>) {
        locked(&self.0.in_doubt).extend(ids);
    }

    /// Takes over the state that the database has after a doubt, even if it is the one that was here before.
    pub(crate) fn confirm(&self, snapshot: Snapshot) {
        let id = snapshot.id;
        self.apply(snapshot);
        if let Some(entry) = self.entry(id) {
            entry.clear_in_doubt();
        }
    }
}

/// A key that was found. It stays good whatever happens to the key: what it admits is decided anew each time.
#[derive(Clone)]
pub struct KeyHandle {
    entry: Arc<Entry>,
}

impl KeyHandle {
    /// Whether this very secret works, or will when the key becomes valid. Nothing is counted.
    pub fn is_live(&self, hash: &HashedKey, now: Timestamp) -> bool {
        self.entry.is_live(hash, now)
    }

    /// The key's id.
    pub fn key_id(&self) -> KeyId {
        self.entry.id
    }

    /// Whose key it is.
    pub fn account_id(&self) -> AccountId {
        self.entry.account
    }

    /// Grows with every change of the key, before the change is answered: what was read from the database after this
    /// was asked is not older than it.
    pub fn version(&self) -> i64 {
        self.entry.version()
    }
}

#[cfg(test)]
mod tests;
