//! Signatures of the Standard Webhooks specification 1.0: `v1` is HMAC-SHA-256 under a secret that both sides have, `v1a`
//! is Ed25519, which a receiver verifies with the public key. The signed content is `id.timestamp.body`.

use std::fmt;

use aws_lc_rs::hmac;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use crate::entropy::{Entropy, EntropyError, random_bytes};
use crate::named::named_enum;
use crate::secret::SecretText;

const SHARED_PREFIX: &str = "whsec_";
const PRIVATE_PREFIX: &str = "whsk_";
const PUBLIC_PREFIX: &str = "whpk_";

named_enum! {
    /// How deliveries are signed.
    /// The name is also the version prefix in the signature header.
    pub enum SignatureScheme {
        /// HMAC-SHA-256 under a shared secret.
        V1 = "v1",
        /// Ed25519; the receiver has the public key only.
        V1a = "v1a",
    }
}

/// The stored text is no signing secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a signing secret")]
pub struct InvalidSigningSecret;

/// What an endpoint's deliveries are signed with: 32 random bytes, used as the scheme says.
pub struct SigningSecret {
    scheme: SignatureScheme,
    bytes: Zeroizing<[u8; 32]>,
}

impl SigningSecret {
    /// A new secret.
    pub fn generate(scheme: SignatureScheme, entropy: &dyn Entropy) -> Result<Self, EntropyError> {
        Ok(Self { scheme, bytes: Zeroizing::new(random_bytes(entropy)?) })
    }

    /// From the text of [`SigningSecret::to_text`].
    pub fn parse(text: &SecretText) -> Result<Self, InvalidSigningSecret> {
        let text = text.expose();
        let (scheme, encoded) = match (text.strip_prefix(SHARED_PREFIX), text.strip_prefix(PRIVATE_PREFIX)) {
            (Some(rest), _) => (SignatureScheme::V1, rest),
            (None, Some(rest)) => (SignatureScheme::V1a, rest),
            (None, None) => return Err(InvalidSigningSecret),
        };
        let decoded = Zeroizing::new(STANDARD.decode(encoded).map_err(|_| InvalidSigningSecret)?);
        let bytes = <[u8; 32]>::try_from(decoded.as_slice()).map_err(|_| InvalidSigningSecret)?;
        Ok(Self { scheme, bytes: Zeroizing::new(bytes) })
    }

    /// How it signs.
    pub const fn scheme(&self) -> SignatureScheme {
        self.scheme
    }

    /// The text form. It is encrypted at rest; the response that creates a shared secret shows it once.
    pub fn to_text(&self) -> SecretText {
        let prefix = match self.scheme {
            SignatureScheme::V1 => SHARED_PREFIX,
            SignatureScheme::V1a => PRIVATE_PREFIX,
        };
        SecretText::new(format!("{prefix}{}", STANDARD.encode(self.bytes.as_slice())))
    }

    /// What a receiver verifies with, when that is not the secret itself.
    pub fn public_key(&self) -> Option<String> {
        match self.scheme {
            SignatureScheme::V1 => None,
            SignatureScheme::V1a => {
                let pair = Ed25519KeyPair::from_seed_unchecked(self.bytes.as_slice()).ok()?;
                Some(format!("{PUBLIC_PREFIX}{}", STANDARD.encode(pair.public_key().as_ref())))
            }
        }
    }

    /// One element of the signature header; `None` when the cryptographic library refuses the key, which 32 bytes never
    /// cause.
    fn sign(&self, message: &[u8]) -> Option<String> {
        let signature = match self.scheme {
            SignatureScheme::V1 => {
                let key = hmac::Key::new(hmac::HMAC_SHA256, self.bytes.as_slice());
                STANDARD.encode(hmac::sign(&key, message).as_ref())
            }
            SignatureScheme::V1a => {
                let pair = Ed25519KeyPair::from_seed_unchecked(self.bytes.as_slice()).ok()?;
                STANDARD.encode(pair.sign(message).as_ref())
            }
        };
        Some(format!("{},{signature}", self.scheme.name()))
    }
}

impl fmt::Debug for SigningSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningSecret({}, …)", self.scheme.name())
    }
}

/// The value of `webhook-signature`: one signature per secret, so that a receiver who knows any of them accepts.
/// `None` when nothing can sign; an unsigned delivery is never sent.
pub fn header(secrets: &[SigningSecret], id: &str, unix_seconds: i64, body: &[u8]) -> Option<String> {
    let mut message = format!("{id}.{unix_seconds}.").into_bytes();
    message.extend_from_slice(body);
    let signatures: Option<Vec<String>> = secrets.iter().map(|secret| secret.sign(&message)).collect();
    signatures.filter(|signatures| !signatures.is_empty()).map(|signatures| signatures.join(" "))
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};

    use super::*;
    use crate::entropy::SystemEntropy;

    fn secret(text: &str) -> SigningSecret {
        SigningSecret::parse(&SecretText::new(text.to_owned())).unwrap()
    }

    /// The 32 bytes `00 01 … 1f`; the expected value was computed with Python's `hmac` and `base64`.
    #[test]
    fn a_shared_secret_signs_id_time_and_body() {
        let secret = secret("whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=");
        let header = header(&[secret], "evt_1", 1_800_000_000, br#"{"event":"call.ended"}"#).unwrap();
        assert_eq!(header, "v1,hPNChzUKAx9OO3U89iJ9pWbKbQUOHu8Lf6HgWl4gjP0=");
    }

    #[test]
    fn an_asymmetric_signature_is_verified_by_the_public_key() {
        let secret = SigningSecret::generate(SignatureScheme::V1a, &SystemEntropy::default()).unwrap();
        let public = secret.public_key().unwrap();
        let public = STANDARD.decode(public.strip_prefix("whpk_").unwrap()).unwrap();
        let header = header(std::slice::from_ref(&secret), "evt_1", 5, b"{}").unwrap();
        let signature = STANDARD.decode(header.strip_prefix("v1a,").unwrap()).unwrap();
        let key = UnparsedPublicKey::new(&ED25519, public);
        assert!(key.verify(b"evt_1.5.{}", &signature).is_ok());
        assert!(key.verify(b"evt_1.6.{}", &signature).is_err());
    }

    #[test]
    fn during_a_rotation_every_secret_signs() {
        let entropy = SystemEntropy::default();
        let old = SigningSecret::generate(SignatureScheme::V1, &entropy).unwrap();
        let new = SigningSecret::generate(SignatureScheme::V1, &entropy).unwrap();
        let alone = header(std::slice::from_ref(&old), "evt_1", 5, b"{}").unwrap();
        let both = header(&[new, old], "evt_1", 5, b"{}").unwrap();
        assert_eq!(both.split(' ').count(), 2);
        assert!(both.ends_with(&alone));
        assert_eq!(header(&[], "evt_1", 5, b"{}"), None);
    }

    #[test]
    fn secrets_round_trip_as_text_and_debug_output_hides_them() {
        for scheme in [SignatureScheme::V1, SignatureScheme::V1a] {
            let made = SigningSecret::generate(scheme, &SystemEntropy::default()).unwrap();
            let read = SigningSecret::parse(&made.to_text()).unwrap();
            assert_eq!((read.scheme(), *read.bytes), (scheme, *made.bytes));
            assert!(!format!("{made:?}").contains(&made.to_text().expose()[10..]));
        }
        for text in ["", "whsec_", "whsec_AAEC", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=", "whsec_***"]
        {
            assert!(SigningSecret::parse(&SecretText::new(text.to_owned())).is_err(), "{text}");
        }
    }
}
