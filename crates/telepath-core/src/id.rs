//! Typed, prefixed, sortable ids. Each is a `UUIDv7` (RFC 9562 section 5.7). Its text is a prefix that names the kind and 26
//! lower-case Crockford base32 characters, whose order is the order of creation in every collation.

use std::fmt;
use std::str::FromStr;

use crate::clock::Timestamp;
use crate::entropy::{Entropy, EntropyError, random_bytes};

const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
/// 128 bits in groups of five.
const ENCODED: usize = 26;

/// The text is not an id of the expected kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a valid {kind} id")]
pub struct InvalidId {
    /// The prefix that was expected, without its underscore.
    pub kind: &'static str,
}

/// What all ids have in common; implemented by the types of this module only.
pub trait Id: Copy + Ord + fmt::Display + FromStr<Err = InvalidId> {
    /// The prefix without its underscore, such as `key`.
    const KIND: &'static str;

    /// From raw bytes, such as a database column.
    fn from_bytes(bytes: [u8; 16]) -> Self;

    /// The raw bytes.
    fn as_bytes(&self) -> &[u8; 16];

    /// The text behind the prefix and its underscore, in ASCII.
    fn encoded(&self) -> [u8; ENCODED] {
        encode(*self.as_bytes())
    }

    /// The first id of a millisecond: all ids of earlier ones sort before it.
    fn first_of(moment: Timestamp) -> Self {
        let ms = u128::try_from(moment.unix_ms()).unwrap_or(0);
        // A UUIDv7 begins with its creation time in 48 bits (RFC 9562 section 5.7).
        Self::from_bytes((ms << 80).to_be_bytes())
    }

    /// Creates an id that sorts after all ids of earlier milliseconds.
    fn generate(now: Timestamp, entropy: &dyn Entropy) -> Result<Self, EntropyError> {
        let random = random_bytes::<10>(entropy)?;
        let ms = u64::try_from(now.unix_ms()).unwrap_or(0);
        Ok(Self::from_bytes(uuid::Builder::from_unix_timestamp_millis(ms, &random).into_uuid().into_bytes()))
    }
}

/// The value of each symbol; 255 is none. A table, because a server start reads millions of ids.
const DIGITS: [u8; 256] = {
    let mut digits = [255; 256];
    let mut value = 0;
    while value < 32 {
        digits[ALPHABET[value as usize] as usize] = value;
        value += 1;
    }
    digits
};

fn encode(bytes: [u8; 16]) -> [u8; ENCODED] {
    const SIXTY_BITS: u128 = (1 << 60) - 1;
    let mut value = u128::from_be_bytes(bytes);
    let mut out = [b'0'; ENCODED];
    // Twelve symbols are sixty bits, which one register holds.
    for part in out.rchunks_mut(12) {
        let mut bits = u64::try_from(value & SIXTY_BITS).unwrap_or(0);
        for slot in part.iter_mut().rev() {
            *slot = ALPHABET[(bits & 31) as usize];
            bits >>= 5;
        }
        value >>= 60;
    }
    out
}

fn decode(text: &[u8]) -> Option<[u8; 16]> {
    if text.len() != ENCODED {
        return None;
    }
    let mut value: u128 = 0;
    for (place, symbol) in text.iter().enumerate() {
        let digit = DIGITS[usize::from(*symbol)];
        // 26 × 5 = 130 bits: the first symbol may use only three of its five.
        if digit > if place == 0 { 7 } else { 31 } {
            return None;
        }
        value = value << 5 | u128::from(digit);
    }
    Some(value.to_be_bytes())
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident = $prefix:literal;)+) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; 16]);

        impl Id for $name {
            const KIND: &'static str = $prefix;

            fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(bytes)
            }

            fn as_bytes(&self) -> &[u8; 16] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!($prefix, "_"))?;
                // Built from an ASCII alphabet.
                f.write_str(std::str::from_utf8(&encode(self.0)).unwrap_or_default())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                text.strip_prefix(concat!($prefix, "_"))
                    .and_then(|rest| decode(rest.as_bytes()))
                    .map(Self)
                    .ok_or(InvalidId { kind: $prefix })
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                <std::borrow::Cow<'de, str>>::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }
    )+};
}

ids! {
    /// An account: the owner of everything else.
    AccountId = "acct";
    /// A person who may sign in to the dashboard.
    UserId = "user";
    /// A session of a user.
    SessionId = "ses";
    /// An invitation to an account.
    InvitationId = "inv";
    /// An attempt to sign in.
    LoginAttemptId = "lgn";
    /// An API key's identity, which outlives each of its secrets.
    KeyId = "key";
    /// One secret of an API key.
    SecretId = "sec";
    /// A trunk, also called a connection.
    TrunkId = "conn";
    /// A call.
    CallId = "call";
    /// A webhook endpoint.
    WebhookId = "whk";
    /// An event that happened and is delivered to webhooks.
    EventId = "evt";
    /// One delivery of an event to one endpoint.
    DeliveryId = "dlv";
    /// One request to the API.
    RequestId = "req";
    /// A segment of the request log.
    SegmentId = "seg";
    /// One entry of the audit trail.
    AuditId = "aud";
    /// An alert.
    AlertId = "alr";
    /// One attempt to carry out a request with an `Idempotency-Key`.
    IdempotencyId = "idem";
    /// A report of leaked keys.
    LeakReportId = "leak";
    /// One run of a server on a database that it may share with others.
    NodeId = "node";
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::SystemEntropy;

    #[test]
    fn text_round_trips_and_ids_of_other_kinds_are_rejected() {
        let id =
            KeyId::generate(Timestamp::from_unix_seconds(1_800_000_000), &SystemEntropy::default()).unwrap();
        let text = id.to_string();
        assert_eq!(text.len(), 4 + 26);
        assert_eq!(text.parse::<KeyId>().unwrap(), id);
        assert_eq!(text.parse::<CallId>(), Err(InvalidId { kind: "call" }));
        assert!(text.to_uppercase().parse::<KeyId>().is_err());
        assert!("key_zzzzzzzzzzzzzzzzzzzzzzzzzz".parse::<KeyId>().is_err(), "more than 128 bits");
        assert!("key_".parse::<KeyId>().is_err());
    }

    #[test]
    fn text_order_is_creation_order() {
        let entropy = SystemEntropy::default();
        let ids: Vec<String> = (0..200)
            .map(|ms| {
                CallId::generate(Timestamp::from_unix_ms(1_790_000_000_000 + ms * 7), &entropy)
                    .unwrap()
                    .to_string()
            })
            .collect();
        assert!(ids.is_sorted());
    }
}
