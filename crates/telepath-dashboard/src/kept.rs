//! What is kept in memory between two requests of the same owner, under a random id: a bounded number of values, each for a
//! bounded time.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use telepath_core::clock::Timestamp;
use telepath_core::entropy::{Entropy, EntropyError};
use telepath_core::user::UserToken;

/// Values of all owners; beyond that the oldest is dropped.
pub(crate) const MOST: usize = 256;
/// Values of one owner; beyond that their oldest is dropped.
pub(crate) const MOST_OF_AN_OWNER: usize = 4;

struct Entry<O, T> {
    id: String,
    owner: O,
    until: Timestamp,
    value: T,
}

/// The values that are kept.
pub(crate) struct Kept<O, T>(Mutex<VecDeque<Entry<O, T>>>);

impl<O: Copy + PartialEq, T> Kept<O, T> {
    /// Keeps a value until a time; returns its id.
    pub(crate) fn keep(
        &self,
        owner: O,
        value: T,
        (now, until): (Timestamp, Timestamp),
        entropy: &dyn Entropy,
    ) -> Result<String, EntropyError> {
        let id = UserToken::generate(entropy)?.expose().to_owned();
        let mut entries = self.entries();
        entries.retain(|entry| now < entry.until);
        if entries.iter().filter(|entry| entry.owner == owner).count() >= MOST_OF_AN_OWNER
            && let Some(oldest) = entries.iter().position(|entry| entry.owner == owner)
        {
            entries.remove(oldest);
        }
        if entries.len() >= MOST {
            entries.pop_front();
        }
        entries.push_back(Entry { id: id.clone(), owner, until, value });
        Ok(id)
    }

    pub(crate) fn get(&self, owner: O, id: &str, now: Timestamp) -> Option<T>
    where
        T: Clone,
    {
        let entries = self.entries();
        let found = entries.iter().find(|entry| entry.id == id && entry.owner == owner && now < entry.until);
        found.map(|entry| entry.value.clone())
    }

    /// Takes a value out; it can be taken once.
    pub(crate) fn take(&self, owner: O, id: &str, now: Timestamp) -> Option<T> {
        let mut entries = self.entries();
        let is_it = |entry: &Entry<O, T>| entry.id == id && entry.owner == owner && now < entry.until;
        let place = entries.iter().position(is_it)?;
        entries.remove(place).map(|entry| entry.value)
    }

    /// Keeps another value under the same id; one that is gone stays gone.
    pub(crate) fn replace(&self, owner: O, id: &str, value: T, until: Timestamp) {
        let mut entries = self.entries();
        if let Some(entry) = entries.iter_mut().find(|entry| entry.id == id && entry.owner == owner) {
            (entry.value, entry.until) = (value, until);
        }
    }

    pub(crate) fn remove(&self, owner: O, id: &str) {
        self.entries().retain(|entry| entry.id != id || entry.owner != owner);
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.entries().len()
    }

    fn entries(&self) -> MutexGuard<'_, VecDeque<Entry<O, T>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<O, T> Default for Kept<O, T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

/// Values may hold secrets.
impl<O, T> fmt::Debug for Kept<O, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Kept(…)")
    }
}
