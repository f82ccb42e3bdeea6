//! The hashes of digest authentication: MD5 and SHA-256, the HA1 values that a server stores instead of passwords, and the
//! HMAC that authenticates nonces.

use std::borrow::Cow;
use std::fmt::Write as _;

use md5::{Digest as _, Md5};
use sha2::Sha256;
use zeroize::Zeroize;

use crate::message::encode;

/// A digest algorithm; the `-sess` variants are not supported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// MD5, for old peers.
    Md5,
    /// SHA-256 (RFC 8760).
    Sha256,
}

impl Algorithm {
    /// The value of the `algorithm` parameter.
    pub fn name(self) -> &'static str {
        match self {
            Self::Md5 => "MD5",
            Self::Sha256 => "SHA-256",
        }
    }

    /// Parses the `algorithm` parameter; without one, the algorithm is MD5 (RFC 7616 section 3.3).
    pub(crate) fn parse(name: Option<&str>) -> Option<Self> {
        let name = name.unwrap_or("MD5");
        [Self::Md5, Self::Sha256].into_iter().find(|a| a.name().eq_ignore_ascii_case(name))
    }

    /// The hash of what is on the wire, where a URI or cnonce may have bytes that are not UTF-8.
    pub(crate) fn hash_hex(self, text: &str) -> String {
        let wire = if text.is_ascii() {
            Cow::Borrowed(text.as_bytes())
        } else {
            Cow::Owned(encode(text.to_owned()))
        };
        match self {
            Self::Md5 => hex(&Md5::digest(&wire)),
            Self::Sha256 => hex(&Sha256::digest(&wire)),
        }
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut out, byte| {
        let _infallible = write!(out, "{byte:02x}");
        out
    })
}

fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    if text.len() != N * 2 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    let mut bytes = [0; N];
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(at * 2..at * 2 + 2)?, 16).ok()?;
    }
    Some(bytes)
}

/// `H(username:realm:password)`. Equivalent to the password within its realm, so it has no debug output.
#[derive(Clone, Copy)]
pub enum Ha1 {
    /// The MD5 hash.
    Md5([u8; 16]),
    /// The SHA-256 hash.
    Sha256([u8; 32]),
}

impl Ha1 {
    /// Computes the hash of a password.
    pub fn derive(algorithm: Algorithm, username: &str, realm: &str, password: &str) -> Self {
        let mut text = format!("{username}:{realm}:{password}");
        let ha1 = match algorithm {
            Algorithm::Md5 => Self::Md5(Md5::digest(text.as_bytes()).into()),
            Algorithm::Sha256 => Self::Sha256(Sha256::digest(text.as_bytes()).into()),
        };
        text.zeroize();
        ha1
    }

    /// Parses hexadecimal; `None` if the length or a digit is wrong.
    pub fn from_hex(algorithm: Algorithm, text: &str) -> Option<Self> {
        match algorithm {
            Algorithm::Md5 => unhex(text).map(Self::Md5),
            Algorithm::Sha256 => unhex(text).map(Self::Sha256),
        }
    }

    /// The algorithm of the hash.
    pub fn algorithm(&self) -> Algorithm {
        match self {
            Self::Md5(_) => Algorithm::Md5,
            Self::Sha256(_) => Algorithm::Sha256,
        }
    }

    pub(crate) fn to_hex(self) -> String {
        match self {
            Self::Md5(bytes) => hex(&bytes),
            Self::Sha256(bytes) => hex(&bytes),
        }
    }
}

/// The stored HA1 values of a user, one per algorithm.
#[derive(Clone, Copy)]
pub struct Ha1Pair {
    md5: [u8; 16],
    sha256: [u8; 32],
}

impl Ha1Pair {
    /// Wraps the two values.
    pub fn new(md5: [u8; 16], sha256: [u8; 32]) -> Self {
        Self { md5, sha256 }
    }

    /// Computes both values from a password.
    pub fn derive(username: &str, realm: &str, password: &str) -> Self {
        let text = format!("{username}:{realm}:{password}");
        let text = zeroize::Zeroizing::new(text);
        Self { md5: Md5::digest(text.as_bytes()).into(), sha256: Sha256::digest(text.as_bytes()).into() }
    }

    /// The two values, for storage: MD5, then SHA-256.
    pub fn to_bytes(&self) -> ([u8; 16], [u8; 32]) {
        (self.md5, self.sha256)
    }

    pub(crate) fn pick(&self, algorithm: Algorithm) -> Ha1 {
        match algorithm {
            Algorithm::Md5 => Ha1::Md5(self.md5),
            Algorithm::Sha256 => Ha1::Sha256(self.sha256),
        }
    }
}

/// HMAC-SHA-256 (RFC 2104).
pub(crate) fn hmac_sha256(key: &[u8; 32], parts: &[&[u8]]) -> [u8; 32] {
    let mut inner_pad = [0x36_u8; 64];
    let mut outer_pad = [0x5c_u8; 64];
    for (at, byte) in key.iter().enumerate() {
        inner_pad[at] ^= byte;
        outer_pad[at] ^= byte;
    }
    let mut inner = Sha256::new();
    inner.update(inner_pad);
    for part in parts {
        inner.update(part);
    }
    let mut outer = Sha256::new();
    outer.update(outer_pad);
    outer.update(inner.finalize());
    inner_pad.zeroize();
    outer_pad.zeroize();
    outer.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::{hex, hmac_sha256};

    #[test]
    fn hmac_sha256_matches_pythons_hmac_module() {
        // Key 0..32, message "telepath".
        let mut key = [0_u8; 32];
        for (at, byte) in (0_u8..).zip(key.iter_mut()) {
            *byte = at;
        }
        assert_eq!(
            hex(&hmac_sha256(&key, &[b"tele", b"path"])),
            "7310c0515836d92b246a551c6b448a48908f630917312562c796cc828a47c4e3"
        );
    }
}
