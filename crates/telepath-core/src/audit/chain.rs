//! The chain of an account's audit trail. Every link is an HMAC under a key that is not in the database, and so is the tag over
//! the state of the chain. Whoever can write to the database but does not have the key can neither replace or reorder
//! entries, nor cut some off at the end.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use aws_lc_rs::digest::{Context, SHA256};
use aws_lc_rs::hmac;

use super::AuditEntry;
use crate::id::{AccountId, AuditId};
use crate::storage_limit::LimitReached;

/// The first bytes of what is authenticated, so that a link is never taken for a tag.
const LINK: &[u8] = b"link";
const STATE: &[u8] = b"state";

/// The key of all chains of an installation, derived from the master key.
#[derive(Clone)]
pub struct ChainKey(Arc<hmac::Key>);

impl ChainKey {
    pub(crate) fn new(key: &[u8; 32]) -> Self {
        Self(Arc::new(hmac::Key::new(hmac::HMAC_SHA256, key)))
    }

    /// HMAC-SHA-256 over parts, each preceded by its length so that no two lists of parts have the same input.
    fn tag(&self, parts: &[&[u8]]) -> ChainHash {
        let mut context = hmac::Context::with_key(&self.0);
        for part in parts {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
        ChainHash::of(context.sign().as_ref())
    }
}

impl fmt::Debug for ChainKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ChainKey(…)")
    }
}

/// The id of an entry that is about to be written, with the key that links it.
#[derive(Debug, Clone)]
pub struct KeyedAuditId {
    pub id: AuditId,
    pub key: ChainKey,
    /// The size in bytes at which the trail has no room for the entry; `None` if there is always room.
    pub trail_limit: Option<LimitReached>,
}

/// A link of the chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChainHash(pub [u8; 32]);

impl ChainHash {
    /// What the first entry of a trail follows.
    pub const GENESIS: Self = Self([0; 32]);

    fn of(bytes: &[u8]) -> Self {
        let mut hash = [0; 32];
        hash.copy_from_slice(bytes);
        Self(hash)
    }
}

/// In hexadecimal.
impl fmt::Display for ChainHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The newest entry of a chain, as it is logged and expected: `POSITION:HASH`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChainHead {
    /// The number of the entry, counted from 1; 0 in an empty chain.
    pub position: u64,
    /// Its link.
    pub hash: ChainHash,
}

impl ChainHead {
    /// The head of a chain without entries.
    pub const GENESIS: Self = Self { position: 0, hash: ChainHash::GENESIS };
}

impl fmt::Display for ChainHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.position, self.hash)
    }
}

/// The text is not a chain head.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be POSITION:HASH, such as 28: followed by 64 hexadecimal digits")]
pub struct InvalidChainHead;

impl FromStr for ChainHead {
    type Err = InvalidChainHead;

    fn from_str(text: &str) -> Result<Self, InvalidChainHead> {
        let (position, digits) = text.split_once(':').ok_or(InvalidChainHead)?;
        let plain = |text: &str, is: fn(&u8) -> bool| text.bytes().all(|byte| is(&byte));
        if digits.len() != 64 || !plain(digits, u8::is_ascii_hexdigit) || !plain(position, u8::is_ascii_digit)
        {
            return Err(InvalidChainHead);
        }
        let mut hash = [0; 32];
        for (byte, pair) in hash.iter_mut().zip(digits.as_bytes().chunks_exact(2)) {
            let pair = std::str::from_utf8(pair).map_err(|_| InvalidChainHead)?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_| InvalidChainHead)?;
        }
        let position = position.parse().map_err(|_| InvalidChainHead)?;
        Ok(Self { position, hash: ChainHash(hash) })
    }
}

/// Everything about a chain that is stored beside its entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChainState {
    pub account: AccountId,
    pub head: ChainHead,
    /// Entries up to this position were written by a version that linked them by SHA-256 without a key.
    pub keyed_after: u64,
    /// Entries up to this one were deleted by retention.
    pub anchor: ChainHead,
}

impl ChainState {
    /// The chain of a new account.
    pub const fn new(account: AccountId) -> Self {
        Self { account, head: ChainHead::GENESIS, keyed_after: 0, anchor: ChainHead::GENESIS }
    }

    /// The tag that is stored with the state.
    pub fn tag(&self, key: &ChainKey) -> ChainHash {
        key.tag(&[
            STATE,
            self.account.to_string().as_bytes(),
            &self.head.position.to_be_bytes(),
            &self.head.hash.0,
            &self.keyed_after.to_be_bytes(),
            &self.anchor.position.to_be_bytes(),
            &self.anchor.hash.0,
        ])
    }

    /// Whether a holder of the key stored this state. Takes constant time.
    pub fn is_authentic(&self, key: &ChainKey, tag: &[u8]) -> bool {
        aws_lc_rs::constant_time::verify_slices_are_equal(&self.tag(key).0, tag).is_ok()
    }

    /// The link of an entry at `position`, keyed or, for an entry of an earlier version, not.
    pub fn link(
        &self,
        entry: &AuditEntry,
        position: u64,
        previous: ChainHash,
        before_text: &str,
        after_text: &str,
    ) -> ChainHash {
        if position > self.keyed_after {
            entry.keyed_link(position, previous, before_text, after_text)
        } else {
            entry.plain_link(previous, before_text, after_text)
        }
    }
}

impl AuditEntry {
    /// HMAC over the position, the previous link and every member. `before` and `after` are given as the exact texts that are
    /// stored.
    pub fn keyed_link(
        &self,
        position: u64,
        previous: ChainHash,
        before_text: &str,
        after_text: &str,
    ) -> ChainHash {
        let members = self.members(before_text, after_text);
        let position = position.to_be_bytes();
        let mut parts: Vec<&[u8]> = vec![LINK, &position, &previous.0];
        parts.extend(members.iter().map(String::as_bytes));
        self.id.key.tag(&parts)
    }

    /// SHA-256 over the previous link and every member, as earlier versions wrote it.
    fn plain_link(&self, previous: ChainHash, before_text: &str, after_text: &str) -> ChainHash {
        let mut context = Context::new(&SHA256);
        context.update(&previous.0);
        for member in self.members(before_text, after_text) {
            context.update(&(member.len() as u64).to_be_bytes());
            context.update(member.as_bytes());
        }
        ChainHash::of(context.finish().as_ref())
    }

    fn members(&self, before_text: &str, after_text: &str) -> [String; 9] {
        [
            self.id.id.to_string(),
            self.account_id.to_string(),
            self.origin.actor.to_string(),
            self.origin.address.map(|address| address.to_string()).unwrap_or_default(),
            self.origin.at.unix_ms().to_string(),
            self.action.name().to_owned(),
            self.target.clone(),
            before_text.to_owned(),
            after_text.to_owned(),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::super::{AuditAction, Origin};
    use super::*;
    use crate::clock::Timestamp;
    use crate::id::Id as _;

    fn entry(key: &ChainKey) -> AuditEntry {
        AuditEntry {
            id: KeyedAuditId { id: AuditId::from_bytes([1; 16]), key: key.clone(), trail_limit: None },
            account_id: AccountId::from_bytes([2; 16]),
            origin: Origin::local(Timestamp::from_unix_seconds(5)),
            action: AuditAction::KeyCreated,
            target: "key_a".to_owned(),
            before: serde_json::Value::Null,
            after: serde_json::Value::Null,
        }
    }

    #[test]
    fn every_member_the_position_the_previous_hash_and_the_key_change_the_link() {
        let entry = entry(&ChainKey::new(&[7; 32]));
        let base = entry.keyed_link(1, ChainHash::GENESIS, "null", "{}");
        let moved = AuditEntry { target: "key_an".to_owned(), ..entry.clone() };
        let other = AuditEntry { action: AuditAction::KeyRevoked, ..entry.clone() };
        let foreign = AuditEntry {
            id: KeyedAuditId { key: ChainKey::new(&[8; 32]), ..entry.id.clone() },
            ..entry.clone()
        };
        assert_ne!(base, entry.keyed_link(1, base, "null", "{}"));
        assert_ne!(base, entry.keyed_link(2, ChainHash::GENESIS, "null", "{}"));
        assert_ne!(base, entry.keyed_link(1, ChainHash::GENESIS, "null{", "}"));
        for changed in [moved, other, foreign] {
            assert_ne!(base, changed.keyed_link(1, ChainHash::GENESIS, "null", "{}"));
        }
        assert_eq!(base, entry.keyed_link(1, ChainHash::GENESIS, "null", "{}"));
    }

    #[test]
    fn entries_of_earlier_versions_keep_their_link_without_a_key() {
        let state = ChainState { keyed_after: 3, ..ChainState::new(AccountId::from_bytes([2; 16])) };
        let (one, two) = (entry(&ChainKey::new(&[7; 32])), entry(&ChainKey::new(&[8; 32])));
        let link = |entry, position| state.link(entry, position, ChainHash::GENESIS, "null", "{}");
        assert_eq!(link(&one, 3), link(&two, 3));
        assert_ne!(link(&one, 4), link(&two, 4));
    }

    #[test]
    fn the_tag_covers_every_part_of_the_state() {
        let key = ChainKey::new(&[7; 32]);
        let state = ChainState::new(AccountId::from_bytes([2; 16]));
        let head = ChainHead { position: 1, hash: ChainHash::GENESIS };
        let other = ChainHead { position: 0, hash: ChainHash([1; 32]) };
        let tag = state.tag(&key);
        assert!(state.is_authentic(&key, &tag.0));
        assert!(!state.is_authentic(&ChainKey::new(&[8; 32]), &tag.0));
        assert!(!state.is_authentic(&key, &[]));
        for changed in [
            ChainState { account: AccountId::from_bytes([3; 16]), ..state },
            ChainState { head, ..state },
            ChainState { head: other, ..state },
            ChainState { keyed_after: 1, ..state },
            ChainState { anchor: head, ..state },
            ChainState { anchor: other, ..state },
        ] {
            assert!(!changed.is_authentic(&key, &tag.0), "{changed:?}");
        }
    }

    #[test]
    fn a_head_survives_its_text_form() {
        let head = ChainHead { position: 28, hash: ChainHash([0xab; 32]) };
        assert_eq!(head.to_string(), format!("28:{}", "ab".repeat(32)));
        assert_eq!(head.to_string().parse(), Ok(head));
        assert_eq!(head.to_string().to_uppercase().parse(), Ok(head));
        let digits = "ab".repeat(32);
        for wrong in
            ["", "28", &digits, &format!("-1:{digits}"), &format!("+1:{digits}"), &format!(":{digits}")]
        {
            assert_eq!(wrong.parse::<ChainHead>(), Err(InvalidChainHead), "{wrong}");
        }
        for wrong in
            [format!("1:{digits}0"), format!("1:+b{}", &digits[2..]), format!("{}0:{digits}", u64::MAX)]
        {
            assert_eq!(wrong.parse::<ChainHead>(), Err(InvalidChainHead), "{wrong}");
        }
    }
}
