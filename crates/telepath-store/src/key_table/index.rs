//! An index from 64-bit numbers to keys, in shards with a lock of their own.
//!
//! The numbers are the output of an HMAC or the random part of an id, so they serve as their own hash. Several keys may
//! share a number; the caller's predicate tells them apart.

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crossbeam_utils::CachePadded;
use hashbrown::HashTable;

use super::entry::KeyEntry;

/// Shards; a power of two.
const SHARDS: usize = 64;

/// One shard: each key with the number it is stored under, which a growing table needs again.
#[derive(Default)]
pub(super) struct Shard(HashTable<(u64, Arc<KeyEntry>)>);

impl Shard {
    pub(super) fn find(&self, number: u64, is_it: impl Fn(&KeyEntry) -> bool) -> Option<Arc<KeyEntry>> {
        let found = self.0.find(number, |(at, entry)| *at == number && is_it(entry))?;
        Some(Arc::clone(&found.1))
    }

    /// Stores a key under a number, unless it already is.
    pub(super) fn insert(&mut self, number: u64, entry: &Arc<KeyEntry>) {
        let same = |(at, there): &(u64, Arc<KeyEntry>)| *at == number && Arc::ptr_eq(there, entry);
        if self.0.find(number, same).is_none() {
            self.0.insert_unique(number, (number, Arc::clone(entry)), |(at, _)| *at);
        }
    }

    fn entries(&self) -> impl Iterator<Item = &Arc<KeyEntry>> {
        self.0.iter().map(|(_, entry)| entry)
    }

    /// Returns whether the key was there.
    pub(super) fn remove(&mut self, number: u64, entry: &Arc<KeyEntry>) -> bool {
        let same = |(at, there): &(u64, Arc<KeyEntry>)| *at == number && Arc::ptr_eq(there, entry);
        self.0.find_entry(number, same).is_ok_and(|slot| {
            slot.remove();
            true
        })
    }
}

/// The index.
pub(super) struct KeyIndex(Box<[CachePadded<RwLock<Shard>>]>);

impl Default for KeyIndex {
    fn default() -> Self {
        Self((0..SHARDS).map(|_| CachePadded::default()).collect())
    }
}

impl KeyIndex {
    /// The table inside a shard uses the lowest and the highest bits; the bits in the middle choose the shard.
    fn shard(&self, number: u64) -> &RwLock<Shard> {
        &self.0[(number >> 32) as usize & (SHARDS - 1)]
    }

    /// Every key that matches, once for each number that it is stored under. Locks one shard at a time.
    pub(super) fn matching(&self, matches: impl Fn(&KeyEntry) -> bool) -> Vec<Arc<KeyEntry>> {
        let mut found = Vec::new();
        for shard in &self.0 {
            let shard = shard.read().unwrap_or_else(PoisonError::into_inner);
            found.extend(shard.entries().filter(|entry| matches(entry)).map(Arc::clone));
        }
        found
    }

    pub(super) fn read(&self, number: u64) -> RwLockReadGuard<'_, Shard> {
        self.shard(number).read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn write(&self, number: u64) -> RwLockWriteGuard<'_, Shard> {
        self.shard(number).write().unwrap_or_else(PoisonError::into_inner)
    }
}
