//! Leaked keys: reports by holders of a key, and the signed lists of the public secret-scanning partner
//! program. The signature is ECDSA on P-256 with SHA-256 over the raw body (FIPS 186-5), in ASN.1 form.

use std::net::IpAddr;

use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use crate::clock::Timestamp;
use crate::named::named_enum;
use crate::secret::{HashedKey, SecretText};
use crate::validation::Invalid;

/// The most secrets that one report takes.
pub const MAX_REPORTED: usize = 100;
/// The most signing keys that are configured.
const MAX_SIGNING_KEYS: usize = 64;
/// The longest part of a partner's text that is kept with a revocation, in characters.
const EXCERPT: usize = 200;

/// What comes before the point in the `SubjectPublicKeyInfo` of every key on P-256 (RFC 5480 section 2): the lengths, the
/// two object identifiers and the head of the bit string.
const P256_HEAD: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86,
    0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];
/// An uncompressed point: 4 and two coordinates.
const P256_POINT: usize = 65;

/// An unchecked report of leaked secrets.
#[derive(Debug, Default)]
#[cfg_attr(test, derive(serde::Deserialize), serde(default, deny_unknown_fields))]
pub struct LeakReportDraft {
    /// The secrets, at most 100.
    pub secrets: Option<Vec<SecretText>>,
}

impl LeakReportDraft {
    /// Checks the number of secrets. Their content is only checked by the lookup.
    pub fn check(self) -> Result<Vec<SecretText>, Invalid> {
        let mut problems = Invalid::default();
        let secrets = problems.require("secrets", self.secrets, |secrets| {
            if secrets.len() > MAX_REPORTED {
                return Err(format!("must hold at most {MAX_REPORTED} secrets"));
            }
            Ok(secrets)
        });
        secrets.ok_or(problems)
    }
}

/// One secret that a secret-scanning partner found.
#[derive(Debug)]
pub struct FoundSecret {
    /// The text that matches the published pattern.
    pub token: SecretText,
    /// Where it was found.
    pub url: String,
    /// The kind of place where it was found, such as `commit`.
    pub source: String,
}

impl FoundSecret {
    /// Why its key is revoked, in words that can be shown.
    pub fn reason(&self) -> String {
        let mut reason = "Found by secret scanning".to_owned();
        for (word, text) in [("in", &self.source), ("at", &self.url)] {
            let text = excerpt(text);
            if !text.is_empty() {
                reason = format!("{reason} {word} {text}");
            }
        }
        reason
    }
}

/// Sanitizes a partner's text for storage: shortened, printable, and replaced if it looks like a key.
fn excerpt(text: &str) -> String {
    if text.contains("sk_") {
        return "…".to_owned();
    }
    text.chars().take(EXCERPT).filter(char::is_ascii_graphic).collect()
}

named_enum! {
    /// How a key was exposed.
    pub enum ExposureCause {
        /// It was reported as leaked.
        Reported = "reported",
        /// It was sent over plain HTTP.
        SeenInClear = "seen_in_clear",
    }
}

/// A secret that is no longer secret, if it belongs to a key of this server at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExposedSecret {
    /// The hash by which its key is found.
    pub hash: HashedKey,
    /// Why its key is revoked.
    pub reason: String,
}

/// Exposed secrets that were reported together. The size of a request body bounds their number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExposureReport {
    /// How they were exposed.
    pub cause: ExposureCause,
    /// The secrets; may be empty.
    pub secrets: Vec<ExposedSecret>,
    /// The address of the reporter, or of the client that sent the key.
    pub address: Option<IpAddr>,
    /// When the report arrived. A secret that was already dead then revokes nothing.
    pub at: Timestamp,
}

/// The public keys with which a partner signs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SigningKeys(Vec<(String, [u8; P256_POINT])>);

/// Why a file is no list of signing keys.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSigningKeys {
    /// It does not have the form that partners publish.
    #[error(
        "must be JSON of the form {{\"public_keys\": [{{\"key_identifier\", \"key\", \"is_current\"}}]}}"
    )]
    Form,
    /// There are none, or far too many.
    #[error("must hold 1 to {MAX_SIGNING_KEYS} keys")]
    Number,
    /// One of them is not a public key on P-256 in PEM form.
    #[error("the key {0} is not a public key on the curve P-256 in PEM form")]
    Key(String),
}

#[derive(Deserialize)]
struct KeyFile {
    public_keys: Vec<KeyOfFile>,
}

#[derive(Deserialize)]
struct KeyOfFile {
    key_identifier: String,
    key: String,
}

impl SigningKeys {
    /// Parses the list in the form that partners publish. A key that is no longer current still verifies earlier reports.
    pub fn parse(text: &str) -> Result<Self, InvalidSigningKeys> {
        let file: KeyFile = serde_json::from_str(text).map_err(|_| InvalidSigningKeys::Form)?;
        if !(1..=MAX_SIGNING_KEYS).contains(&file.public_keys.len()) {
            return Err(InvalidSigningKeys::Number);
        }
        let point = |key: KeyOfFile| match p256_point(&key.key) {
            Some(point) => Ok((key.key_identifier, point)),
            None => Err(InvalidSigningKeys::Key(excerpt(&key.key_identifier))),
        };
        file.public_keys.into_iter().map(point).collect::<Result<_, _>>().map(Self)
    }

    /// Whether the key of this name has signed the body; `signature` is in base64.
    pub fn have_signed(&self, name: &str, signature: &str, body: &[u8]) -> bool {
        let key = self.0.iter().find(|(known, _)| known == name);
        let (Some((_, point)), Ok(signature)) = (key, STANDARD.decode(signature)) else { return false };
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, point).verify(body, &signature).is_ok()
    }
}

/// The point of a public key in PEM form (RFC 7468 section 13).
fn p256_point(pem: &str) -> Option<[u8; P256_POINT]> {
    let inner = pem.trim().strip_prefix("-----BEGIN PUBLIC KEY-----")?;
    let inner = inner.strip_suffix("-----END PUBLIC KEY-----")?;
    let text: String = inner.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    let der = STANDARD.decode(text).ok()?;
    let point: [u8; P256_POINT] = der.strip_prefix(&P256_HEAD)?.try_into().ok()?;
    (point[0] == 4).then_some(point)
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};

    use super::*;

    fn pair() -> EcdsaKeyPair {
        EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap()
    }

    fn file(pair: &EcdsaKeyPair) -> String {
        let der = [&P256_HEAD[..], pair.public_key().as_ref()].concat();
        let pem = format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", STANDARD.encode(der));
        serde_json::json!({"public_keys": [{"key_identifier": "one", "key": pem, "is_current": true}]})
            .to_string()
    }

    #[test]
    fn a_signature_verifies_only_with_the_named_key_and_the_exact_body() {
        let (signer, stranger) = (pair(), pair());
        let keys = SigningKeys::parse(&file(&signer)).unwrap();
        let signature = STANDARD.encode(signer.sign(&SystemRandom::new(), b"[]").unwrap());
        assert!(keys.have_signed("one", &signature, b"[]"));
        assert!(!keys.have_signed("two", &signature, b"[]"));
        assert!(!keys.have_signed("one", &signature, b"[ ]"));
        assert!(!keys.have_signed("one", "", b"[]") && !keys.have_signed("one", "not base64!", b"[]"));
        let other = SigningKeys::parse(&file(&stranger)).unwrap();
        assert!(!other.have_signed("one", &signature, b"[]"));
    }

    #[test]
    fn a_key_in_the_form_that_openssl_writes_is_read() {
        // An example of RFC 9500 section 2.3, `testECCP256`, as a public key.
        let pem = "-----BEGIN PUBLIC KEY-----\n\
            MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEQiVI+I+3gv+17KN0RFLHKh5Vj71v\n\
            c75eSOkyMsxFxbFsTNEMTLjVuKFxOelIgsiZJXKZNCX0FBmrfpCkKklCcg==\n\
            -----END PUBLIC KEY-----\n";
        assert!(p256_point(pem).is_some());
    }

    #[test]
    fn files_of_another_form_are_refused_with_the_reason() {
        assert_eq!(SigningKeys::parse("[]"), Err(InvalidSigningKeys::Form));
        assert_eq!(SigningKeys::parse(r#"{"public_keys":[]}"#), Err(InvalidSigningKeys::Number));
        let bad = r#"{"public_keys":[{"key_identifier":"k","key":"-----BEGIN PUBLIC KEY-----"}]}"#;
        assert_eq!(SigningKeys::parse(bad), Err(InvalidSigningKeys::Key("k".to_owned())));
    }

    #[test]
    fn a_reason_holds_no_key_and_no_control_characters() {
        let found = |url: &str| FoundSecret {
            token: SecretText::new("x".to_owned()),
            url: url.to_owned(),
            source: "commit".to_owned(),
        };
        assert_eq!(
            found("https://example.com/\r\na").reason(),
            "Found by secret scanning in commit at https://example.com/a"
        );
        assert_eq!(found("https://e/sk_live_x").reason(), "Found by secret scanning in commit at …");
        assert!(found(&"u".repeat(9000)).reason().len() < 300);
    }
}
