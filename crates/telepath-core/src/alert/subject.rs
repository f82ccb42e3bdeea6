//! The subject of an alert: a kind and an id. Both are stored as text, so a new kind needs no migration.

use std::fmt;
use std::str::FromStr;

use crate::id::{AccountId, Id as _, KeyId, TrunkId, UserId, WebhookId};
use crate::named::named_enum;

macro_rules! subjects {
    ($($variant:ident($id:ident) = $name:literal, $doc:literal;)+) => {
        /// What an alert is about.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum AlertSubject {
            $(#[doc = $doc] $variant($id),)+
        }

        named_enum! {
            /// The kind of an alert's subject.
            pub enum AlertSubjectKind {
                $(#[doc = $doc] $variant = $name,)+
            }
        }

        impl AlertSubject {
            /// The kind of the subject.
            pub const fn kind(self) -> AlertSubjectKind {
                match self { $(AlertSubject::$variant(_) => AlertSubjectKind::$variant,)+ }
            }
        }

        /// The id's text.
        impl fmt::Display for AlertSubject {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self { $(AlertSubject::$variant(id) => id.fmt(f),)+ }
            }
        }

        impl FromStr for AlertSubject {
            type Err = InvalidSubject;

            /// The prefix of an id names its kind.
            fn from_str(text: &str) -> Result<Self, InvalidSubject> {
                let prefix = text.split_once('_').map_or("", |(prefix, _)| prefix);
                $(if prefix == $id::KIND {
                    return text.parse().map(AlertSubject::$variant).map_err(|_| InvalidSubject);
                })+
                Err(InvalidSubject)
            }
        }

        $(impl From<$id> for AlertSubject {
            fn from(id: $id) -> Self {
                AlertSubject::$variant(id)
            }
        })+
    };
}

subjects! {
    Key(KeyId) = "key", "An API key.";
    Webhook(WebhookId) = "webhook", "A webhook endpoint.";
    Trunk(TrunkId) = "trunk", "A trunk.";
    User(UserId) = "user", "A user.";
    Account(AccountId) = "account", "The account itself.";
}

/// The text is not the id of anything that alerts can be about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is not the id of a key, webhook, trunk, user or account")]
pub struct InvalidSubject;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_every_kind_round_trip() {
        let subjects = [
            AlertSubject::from(KeyId::from_bytes([1; 16])),
            WebhookId::from_bytes([2; 16]).into(),
            TrunkId::from_bytes([3; 16]).into(),
            UserId::from_bytes([4; 16]).into(),
            AccountId::from_bytes([5; 16]).into(),
        ];
        for (subject, kind) in subjects.into_iter().zip(AlertSubjectKind::ALL) {
            assert_eq!(subject.kind(), *kind);
            assert_eq!(subject.to_string().parse(), Ok(subject));
            assert_eq!(AlertSubjectKind::from_name(kind.name()), Some(*kind));
        }
        assert_eq!(subjects.len(), AlertSubjectKind::ALL.len());
    }

    #[test]
    fn ids_of_other_resources_are_refused() {
        for text in ["", "key", "key_", "call_01k9v1n2xrf6t8g3m5q7w9y0za", "alr_01k9v1n2xrf6t8g3m5q7w9y0za"] {
            assert_eq!(text.parse::<AlertSubject>(), Err(InvalidSubject), "{text}");
        }
    }
}
