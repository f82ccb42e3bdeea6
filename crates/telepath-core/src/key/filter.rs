//! Which keys a list shows, and in which order.

use super::{KeyStatus, Preset};
use crate::clock::Timestamp;
use crate::named::named_enum;
use crate::page::{CREATED_AT, SortKey, SortKind};

named_enum! {
    /// The value that a list of keys is sorted by.
    #[derive(Default)]
    pub enum KeySort {
        /// Ignoring the case of ASCII letters.
        Name = "name",
        #[default]
        CreatedAt = "created_at",
        /// Unused keys come last.
        LastUsedAt = "last_used_at",
        RequestCount = "request_count",
        /// Keys that never expire come last.
        ExpiresAt = "expires_at",
    }
}

/// Every order that [`KeySort::parse`] accepts.
pub const KEY_SORTS: [&str; 10] = [
    "name",
    "-name",
    "created_at",
    "-created_at",
    "last_used_at",
    "-last_used_at",
    "request_count",
    "-request_count",
    "expires_at",
    "-expires_at",
];

impl KeySort {
    /// Parses an order: the value, and whether the smallest or oldest comes first, which a leading `-` reverses.
    pub fn parse(text: &str) -> Option<(Self, bool)> {
        let (name, ascending) = text.strip_prefix('-').map_or((text, true), |name| (name, false));
        Self::from_name(name).map(|sort| (sort, ascending))
    }

    /// The key of the list's cursors.
    pub const fn key(self) -> SortKey {
        let kind = match self {
            KeySort::CreatedAt => return CREATED_AT,
            KeySort::Name => SortKind::Text,
            KeySort::LastUsedAt | KeySort::RequestCount | KeySort::ExpiresAt => SortKind::Number,
        };
        SortKey { name: self.name(), kind }
    }
}

/// Which keys a list shows, and in which order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KeyFilter {
    /// Only keys in this state.
    pub status: Option<KeyStatus>,
    /// Only keys that are expired or revoked, or only those that are not.
    pub ended: Option<bool>,
    /// Only keys created from this preset.
    pub preset: Option<Preset>,
    /// Only keys that were not used for this many days. An unused key counts from its creation.
    pub idle_days: Option<u32>,
    /// Only keys that expire before this moment.
    pub expires_before: Option<Timestamp>,
    /// Only keys that never expire, or only those that do.
    pub never_expires: Option<bool>,
    /// Only keys with this text in their name (ignoring the case of ASCII letters), with this id, with a secret that ends in
    /// these four characters, or used from this address.
    pub search: Option<String>,
    pub sort: KeySort,
    /// Smallest or oldest first.
    pub ascending: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_have_a_direction_and_the_newest_comes_first_by_default() {
        assert_eq!(KeySort::parse("-last_used_at"), Some((KeySort::LastUsedAt, false)));
        assert_eq!(KeySort::parse("name"), Some((KeySort::Name, true)));
        assert_eq!(KeySort::parse("--name"), None);
        assert!(KEY_SORTS.iter().all(|sort| KeySort::parse(sort).is_some()));
        assert_eq!(KEY_SORTS.len(), 2 * KeySort::ALL.len());
        assert_eq!(<(KeySort, bool)>::default(), (KeySort::CreatedAt, false));
    }
}
