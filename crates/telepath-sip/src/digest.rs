//! Digest authentication for SIP (RFC 3261 section 22, RFC 7616, RFC 8760): MD5 and SHA-256 with `qop=auth`, and MD5 without
//! qop for old clients. The server side stores only HA1 values, never a password.

mod client;
mod hash;
mod nonce;
mod server;

#[cfg(test)]
mod tests;

use crate::message::{Method, quote, split_unquoted, trim, unquote};

pub(crate) use client::{AuthorizationValue, answer_challenge};
pub use client::{ClientCredentials, Password};
pub use hash::{Algorithm, Ha1, Ha1Pair};
pub(crate) use hash::{hex, hmac_sha256};
pub use nonce::{EpochSeconds, NonceSecret};
pub use server::{
    AuthorizationHeader, Credentials, DigestAlgorithms, DigestConfig, DigestRejectReason, DigestServer,
    DigestVerification,
};

/// The realm of a challenge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Realm(String);

impl Realm {
    /// Creates a realm from its text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The value of a WWW-Authenticate header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge(pub(crate) String);

impl Challenge {
    /// The header value on the wire.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The parameters of a `Digest` challenge or of credentials; values without quotes.
struct DigestParams(Vec<(String, String)>);

impl DigestParams {
    /// `None` if the scheme is not `Digest`, or if the list is malformed or repeats a name.
    fn parse(value: &str) -> Option<Self> {
        let (scheme, rest) = trim(value).split_once([' ', '\t'])?;
        if !scheme.eq_ignore_ascii_case("Digest") {
            return None;
        }
        let mut list: Vec<(String, String)> = Vec::new();
        for part in split_unquoted(rest, b',')? {
            let (name, value) = part.split_once('=')?;
            let (name, value) = (trim(name).to_ascii_lowercase(), trim(value));
            let value = if value.starts_with('"') { unquote(value)? } else { value.to_owned() };
            if list.iter().any(|(have, _)| *have == name) {
                return None;
            }
            list.push((name, value));
        }
        Some(Self(list))
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(have, _)| have == name).map(|(_, value)| value.as_str())
    }
}

/// The inputs of a digest response that `qop=auth` adds.
#[derive(Clone, Copy)]
struct Qop<'a> {
    nc: &'a str,
    cnonce: &'a str,
}

/// The `response` parameter (RFC 7616 section 3.4.1) in lower-case hexadecimal.
fn digest_response(ha1: Ha1, nonce: &str, qop: Option<Qop<'_>>, method: &Method, uri: &str) -> String {
    let algorithm = ha1.algorithm();
    let ha2 = algorithm.hash_hex(&format!("{method}:{uri}"));
    let ha1 = ha1.to_hex();
    match qop {
        Some(Qop { nc, cnonce }) => algorithm.hash_hex(&format!("{ha1}:{nonce}:{nc}:{cnonce}:auth:{ha2}")),
        None => algorithm.hash_hex(&format!("{ha1}:{nonce}:{ha2}")),
    }
}

fn quoted(name: &str, value: &str) -> String {
    format!("{name}={}", quote(value))
}
