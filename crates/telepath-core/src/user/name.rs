//! The email address that identifies a user on this server, and the user's name.

use std::fmt;
use std::str::FromStr;

use crate::validation::checked_name;

/// The longest address that SMTP carries (RFC 5321 section 4.5.3.1.3, without the angle brackets).
const LONGEST_EMAIL: usize = 254;
/// RFC 5321 section 4.5.3.1.1.
const LONGEST_LOCAL_PART: usize = 64;
/// RFC 1035 section 2.3.4.
const LONGEST_LABEL: usize = 63;

/// An email address of the form `dot-atom@domain` (RFC 5322 section 3.4.1), in ASCII. It is kept as it was typed and
/// compared without regard to case, so that one mailbox is one user.
#[derive(Clone)]
pub struct Email(String);

/// The text is not an email address that this server accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be an email address such as ada@example.com, in ASCII")]
pub struct InvalidEmail;

impl Email {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The form in which two addresses of one mailbox are equal.
    pub fn key(&self) -> String {
        self.0.to_ascii_lowercase()
    }

    /// The part before the `@`.
    pub fn local_part(&self) -> &str {
        self.0.split_once('@').map_or("", |(local, _)| local)
    }
}

impl FromStr for Email {
    type Err = InvalidEmail;

    fn from_str(text: &str) -> Result<Self, InvalidEmail> {
        let text = text.trim();
        let (local, domain) = text.rsplit_once('@').ok_or(InvalidEmail)?;
        let sized = text.len() <= LONGEST_EMAIL && local.len() <= LONGEST_LOCAL_PART;
        if sized && local.split('.').all(is_atom) && domain.split('.').all(is_label) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidEmail)
        }
    }
}

/// RFC 5322 section 3.2.3.
fn is_atom(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&byte))
}

/// RFC 1123 section 2.1.
fn is_label(text: &str) -> bool {
    (1..=LONGEST_LABEL).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        && !text.starts_with('-')
        && !text.ends_with('-')
}

impl PartialEq for Email {
    fn eq(&self, other: &Self) -> bool {
        self.0.eq_ignore_ascii_case(&other.0)
    }
}

impl Eq for Email {}

impl fmt::Display for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A person's name: 1 to 100 characters without control characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserName(String);

impl UserName {
    /// # Errors
    /// What the name must be.
    pub fn check(text: &str) -> Result<Self, String> {
        checked_name(text.trim().to_owned()).map(Self)
    }

    /// A stored name, which was checked when it was written.
    pub const fn from_stored(text: String) -> Self {
        Self(text)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_compare_without_case_and_keep_their_spelling() {
        let typed: Email = " Ada.Lovelace+ops@Example.COM ".parse().unwrap();
        assert_eq!(typed.as_str(), "Ada.Lovelace+ops@Example.COM");
        assert_eq!(typed, "ada.lovelace+ops@example.com".parse().unwrap());
        assert_eq!(typed.key(), "ada.lovelace+ops@example.com");
        assert_eq!(typed.local_part(), "Ada.Lovelace+ops");
    }

    #[test]
    fn only_ascii_dot_atoms_at_host_names_are_addresses() {
        for good in ["a@b", "root@localhost", "o'brien@mail.example", "x@1.example"] {
            assert!(good.parse::<Email>().is_ok(), "{good}");
        }
        let long = format!("{}@example.com", "a".repeat(65));
        for bad in [
            "", "a", "@b", "a@", "a@b.", "a@.b", "a..b@c", ".a@b", "a b@c", "a@b_c", "a@-b", "ä@b",
            "a@b\n.c", "\"a\"@b", &long,
        ] {
            assert_eq!(bad.parse::<Email>(), Err(InvalidEmail), "{bad}");
        }
        assert!(format!("a@{}", "b.".repeat(125) + "bb").parse::<Email>().is_ok());
        assert!(format!("a@{}", "b.".repeat(126) + "b").parse::<Email>().is_err());
    }

    #[test]
    fn names_are_trimmed_and_bounded() {
        assert_eq!(UserName::check("  Ada  ").unwrap().as_str(), "Ada");
        assert!(UserName::check("   ").is_err());
        assert!(UserName::check(&"x".repeat(101)).is_err());
        assert!(UserName::check("A\u{7}").is_err());
    }
}
