//! The stored form of a SIP password: the two HA1 values that digest authentication needs (RFC 7616 section 3.4.2), one for
//! each algorithm that carriers support. The password itself is never stored.

use std::fmt::{self, Write as _};

use aws_lc_rs::digest::{SHA256, digest};
use md5::{Digest as _, Md5};
use zeroize::Zeroizing;

use crate::secret::SecretText;

/// The protection space of every trunk (RFC 7616 section 3.3). It is part of each HA1, so it can never change.
pub const SIP_REALM: &str = "telepath";

/// HA1 = H(username ":" realm ":" password) under MD5 and under SHA-256. They are as sensitive as the password,
/// because they suffice to place calls, so `Debug` prints no content.
#[derive(Clone, PartialEq, Eq)]
pub struct DigestHashes {
    md5: Zeroizing<[u8; 16]>,
    sha256: Zeroizing<[u8; 32]>,
}

impl DigestHashes {
    /// Hashes a password for a user in [`SIP_REALM`].
    pub fn of(username: &str, password: &SecretText) -> Self {
        let text = Zeroizing::new(format!("{username}:{SIP_REALM}:{}", password.expose()));
        let mut sha256 = [0; 32];
        sha256.copy_from_slice(digest(&SHA256, text.as_bytes()).as_ref());
        Self { md5: Zeroizing::new(Md5::digest(text.as_bytes()).into()), sha256: Zeroizing::new(sha256) }
    }

    /// From database columns.
    pub fn from_bytes(md5: [u8; 16], sha256: [u8; 32]) -> Self {
        Self { md5: Zeroizing::new(md5), sha256: Zeroizing::new(sha256) }
    }

    /// Both in hexadecimal, for sealing.
    pub fn to_text(&self) -> SecretText {
        let mut text = String::with_capacity(2 * (16 + 32));
        for byte in self.md5.iter().chain(self.sha256.iter()) {
            // Writing to a string cannot fail.
            let _ = write!(text, "{byte:02x}");
        }
        SecretText::new(text)
    }

    /// From that text; `None` if it is not one.
    pub fn from_text(text: &SecretText) -> Option<Self> {
        let digits = text.expose().as_bytes();
        if digits.len() != 2 * (16 + 32) {
            return None;
        }
        let mut bytes = Zeroizing::new([0; 16 + 32]);
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            let digit = |place: usize| {
                char::from(pair[place]).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
            };
            *byte = digit(0)? << 4 | digit(1)?;
        }
        let (md5, sha256) = bytes.split_at(16);
        Some(Self::from_bytes(md5.try_into().ok()?, sha256.try_into().ok()?))
    }

    /// HA1 for the algorithm MD5.
    pub fn md5(&self) -> &[u8; 16] {
        &self.md5
    }

    /// HA1 for the algorithm SHA-256.
    pub fn sha256(&self) -> &[u8; 32] {
        &self.sha256
    }
}

impl fmt::Debug for DigestHashes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DigestHashes(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_survive_their_text_form() {
        let hashes = DigestHashes::of("support-01", &SecretText::new("secret-password".into()));
        let text = hashes.to_text();
        assert!(DigestHashes::from_text(&text) == Some(hashes));
        let (digits, _) = text.expose().split_at(95);
        for wrong in [String::new(), digits.to_owned(), format!("{digits}g"), format!("{digits}00")] {
            assert!(DigestHashes::from_text(&SecretText::new(wrong)).is_none());
        }
    }

    #[test]
    fn both_hashes_are_of_user_realm_password() {
        let hashes = DigestHashes::of("support-01", &SecretText::new("secret-password".into()));
        // printf 'support-01:telepath:secret-password' | md5sum; … | sha256sum
        let hex = |bytes: &[u8]| bytes.iter().fold(String::new(), |text, b| format!("{text}{b:02x}"));
        assert_eq!(hex(hashes.md5()), "3bed2c4e32c2a2cf23bac3ba1bc1855c");
        assert_eq!(hex(hashes.sha256()), "01e4e3612f003a811e2e3d3a44022fe52e289691e368d9e449772814ad41aa7e");
    }
}
