//! The master key and what is derived from it: the pepper under which API keys are hashed, and the keys that encrypt
//! provider credentials. The master key lives outside the database, so a stolen database alone opens nothing.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, Salt};
use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use crate::audit::ChainKey;
use crate::entropy::{Entropy, EntropyError, random_bytes};
use crate::secret::{HashedKey, PlainKey, SecretText};
use crate::user::{TokenHash, TokenPurpose};

/// Domain separation of the derived keys (HKDF `info`, RFC 5869 section 2.3).
const PEPPER_INFO: &[u8] = b"telepath/v1/api-key-pepper";
const SEALING_INFO: &[u8] = b"telepath/v1/credential-sealing";
const FINGERPRINT_INFO: &[u8] = b"telepath/v1/master-key-fingerprint";
const SIP_NONCE_INFO: &[u8] = b"telepath/v1/sip-digest-nonce";
const USER_TOKEN_INFO: &[u8] = b"telepath/v1/user-token";
const AUDIT_CHAIN_INFO: &[u8] = b"telepath/v1/audit-chain";

/// 32 secret bytes from which everything else is derived.
pub struct MasterKey(Zeroizing<[u8; 32]>);

/// The text is not a master key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a master key is 32 bytes in base64 (44 characters)")]
pub struct InvalidMasterKey;

impl MasterKey {
    /// A new master key.
    pub fn generate(entropy: &dyn Entropy) -> Result<Self, EntropyError> {
        Ok(Self(Zeroizing::new(random_bytes(entropy)?)))
    }

    /// From its base64 text; surrounding white space is ignored.
    pub fn parse(text: &str) -> Result<Self, InvalidMasterKey> {
        let bytes = Zeroizing::new(STANDARD.decode(text.trim()).map_err(|_| InvalidMasterKey)?);
        let key = <[u8; 32]>::try_from(bytes.as_slice()).map_err(|_| InvalidMasterKey)?;
        Ok(Self(Zeroizing::new(key)))
    }

    /// As base64 text, for the key file.
    pub fn to_text(&self) -> SecretText {
        SecretText::new(STANDARD.encode(self.0.as_slice()))
    }

    /// Fails only if the cryptographic library does: 32 bytes is the hash length, far below the 255 × 32 at which
    /// expansion fails (RFC 5869 section 2.3). A key of zeroes is never returned.
    fn derive(&self, info: &[u8]) -> Result<Zeroizing<[u8; 32]>, InvalidMasterKey> {
        let key = Salt::new(HKDF_SHA256, &[]).extract(self.0.as_slice());
        let mut out = Zeroizing::new([0; 32]);
        let parts = [info];
        let expanded = key.expand(&parts, HKDF_SHA256).and_then(|okm| okm.fill(out.as_mut_slice()));
        expanded.map(|()| out).map_err(|_| InvalidMasterKey)
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKey(…)")
    }
}

/// Names the master key under which something was sealed: the first bytes of a value derived from it. Not secret.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SealingKeyId([u8; 8]);

impl fmt::Display for SealingKeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for SealingKeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// An encrypted secret as stored in the database: version, key id, nonce, then AES-256-GCM cipher text with its tag.
#[derive(Clone, PartialEq, Eq)]
pub struct Sealed(Vec<u8>);

impl Sealed {
    /// From a database column; checked when it is opened.
    pub fn from_bytes(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// The bytes for a database column.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sealed({} bytes)", self.0.len())
    }
}

/// Why a sealed secret could not be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// Not the format that this version writes.
    #[error("the sealed secret has an unknown format")]
    Format,
    /// Sealed under a master key that is not loaded.
    #[error("sealed under another master key ({0})")]
    OtherKey(SealingKeyId),
    /// Changed since it was sealed, or sealed for another place.
    #[error("the sealed secret does not belong here or was changed")]
    Tampered,
}

const FORMAT: u8 = 1;
const HEADER: usize = 1 + 8 + NONCE_LEN;

/// Everything that is done with the master key.
pub struct Vault {
    pepper: hmac::Key,
    user_tokens: hmac::Key,
    sealing: LessSafeKey,
    sealing_id: SealingKeyId,
    sip_nonce_secret: Zeroizing<[u8; 32]>,
    audit_chain: ChainKey,
}

impl Vault {
    /// Derives the pepper and the sealing key.
    ///
    /// # Errors
    /// [`InvalidMasterKey`] when the cryptographic library derives no key or refuses it, which a 32-byte key never causes.
    pub fn new(master: &MasterKey) -> Result<Self, InvalidMasterKey> {
        let sealing = UnboundKey::new(&AES_256_GCM, master.derive(SEALING_INFO)?.as_slice());
        let mut id = [0; 8];
        id.copy_from_slice(&master.derive(FINGERPRINT_INFO)?[..8]);
        Ok(Self {
            pepper: hmac::Key::new(hmac::HMAC_SHA256, master.derive(PEPPER_INFO)?.as_slice()),
            user_tokens: hmac::Key::new(hmac::HMAC_SHA256, master.derive(USER_TOKEN_INFO)?.as_slice()),
            sealing: LessSafeKey::new(sealing.map_err(|_| InvalidMasterKey)?),
            sealing_id: SealingKeyId(id),
            sip_nonce_secret: master.derive(SIP_NONCE_INFO)?,
            audit_chain: ChainKey::new(&*master.derive(AUDIT_CHAIN_INFO)?),
        })
    }

    /// HMAC-SHA-256 of a token of a user, for one purpose. The key is not in the database, so a stolen database alone does
    /// not allow short codes to be guessed.
    pub fn hash_token(&self, purpose: TokenPurpose, token: &str) -> TokenHash {
        let mut context = hmac::Context::with_key(&self.user_tokens);
        context.update(purpose.name().as_bytes());
        // No purpose has this byte in its name.
        context.update(&[0]);
        context.update(token.as_bytes());
        let mut hash = [0; 32];
        hash.copy_from_slice(context.sign().as_ref());
        TokenHash::from_bytes(hash)
    }

    /// HMAC-SHA-256 of an API key under the pepper.
    pub fn hash_key(&self, key: &PlainKey) -> HashedKey {
        let tag = hmac::sign(&self.pepper, key.as_bytes());
        let mut hash = [0; 32];
        hash.copy_from_slice(tag.as_ref());
        HashedKey::from_bytes(hash)
    }

    /// Names the master key; stored with the database so that a wrong one is noticed at start.
    pub fn sealing_key_id(&self) -> SealingKeyId {
        self.sealing_id
    }

    /// The secret that authenticates SIP digest nonces.
    pub fn sip_nonce_secret(&self) -> &[u8; 32] {
        &self.sip_nonce_secret
    }

    /// The key that links the entries of audit trails.
    pub fn audit_chain(&self) -> &ChainKey {
        &self.audit_chain
    }

    /// Encrypts a secret for one place, such as `conn_…/openai_api_key`; it opens only there.
    pub fn seal(
        &self,
        secret: &SecretText,
        place: &str,
        entropy: &dyn Entropy,
    ) -> Result<Sealed, EntropyError> {
        let nonce: [u8; NONCE_LEN] = random_bytes(entropy)?;
        let mut cipher = secret.expose().as_bytes().to_vec();
        self.sealing
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(place.as_bytes()),
                &mut cipher,
            )
            .map_err(|_| EntropyError)?;
        let mut out = Vec::with_capacity(HEADER + cipher.len());
        out.push(FORMAT);
        out.extend_from_slice(&self.sealing_id.0);
        out.extend_from_slice(&nonce);
        out.append(&mut cipher);
        Ok(Sealed(out))
    }

    /// Decrypts a secret that was sealed for `place`.
    pub fn open(&self, sealed: &Sealed, place: &str) -> Result<SecretText, OpenError> {
        let (header, cipher) = sealed.0.split_at_checked(HEADER).ok_or(OpenError::Format)?;
        let (id, nonce) = header[1..].split_at(8);
        if header[0] != FORMAT {
            return Err(OpenError::Format);
        }
        if id != self.sealing_id.0 {
            return Err(OpenError::OtherKey(SealingKeyId(id.try_into().map_err(|_| OpenError::Format)?)));
        }
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| OpenError::Format)?;
        let mut buffer = Zeroizing::new(cipher.to_vec());
        let plain = self
            .sealing
            .open_in_place(nonce, Aad::from(place.as_bytes()), &mut buffer)
            .map_err(|_| OpenError::Tampered)?;
        String::from_utf8(plain.to_vec()).map(SecretText::new).map_err(|_| OpenError::Tampered)
    }
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Vault({})", self.sealing_id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::SystemEntropy;
    use crate::secret::KeyMode;

    fn vault() -> Vault {
        Vault::new(&MasterKey::generate(&SystemEntropy::default()).unwrap()).unwrap()
    }

    #[test]
    fn sealed_secrets_open_in_their_place_and_nowhere_else() {
        let (vault, entropy) = (vault(), SystemEntropy::default());
        let sealed = vault.seal(&SecretText::new("a credential".into()), "conn_1/openai", &entropy).unwrap();
        assert_eq!(vault.open(&sealed, "conn_1/openai").unwrap().expose(), "a credential");
        assert_eq!(vault.open(&sealed, "conn_2/openai").unwrap_err(), OpenError::Tampered);
        assert!(!sealed.as_bytes().windows(12).any(|w| w == b"a credential"));
    }

    #[test]
    fn every_changed_byte_is_noticed() {
        let vault = vault();
        let sealed = vault.seal(&SecretText::new("x".into()), "p", &SystemEntropy::default()).unwrap();
        for place in 0..sealed.as_bytes().len() {
            let mut bytes = sealed.as_bytes().to_vec();
            bytes[place] ^= 1;
            assert!(vault.open(&Sealed::from_bytes(bytes), "p").is_err(), "byte {place}");
        }
        assert_eq!(vault.open(&Sealed::from_bytes(vec![1; 5]), "p").unwrap_err(), OpenError::Format);
    }

    #[test]
    fn another_master_key_is_named_in_the_error() {
        let (one, two) = (vault(), vault());
        let sealed = one.seal(&SecretText::new("x".into()), "p", &SystemEntropy::default()).unwrap();
        assert_eq!(two.open(&sealed, "p").unwrap_err(), OpenError::OtherKey(one.sealing_key_id()));
    }

    #[test]
    fn key_hashes_depend_on_the_pepper() {
        let key = PlainKey::generate(KeyMode::Live, &SystemEntropy::default()).unwrap();
        let (one, two) = (vault(), vault());
        assert_eq!(one.hash_key(&key), one.hash_key(&key));
        assert_ne!(one.hash_key(&key), two.hash_key(&key));
    }

    #[test]
    fn token_hashes_depend_on_the_key_and_the_purpose() {
        let (one, two) = (vault(), vault());
        let hash = one.hash_token(TokenPurpose::Session, "token");
        assert_eq!(hash, one.hash_token(TokenPurpose::Session, "token"));
        assert_ne!(hash, one.hash_token(TokenPurpose::Invitation, "token"));
        assert_ne!(hash, two.hash_token(TokenPurpose::Session, "token"));
    }

    #[test]
    fn a_master_key_survives_its_text_form() {
        let master = MasterKey::generate(&SystemEntropy::default()).unwrap();
        let text = master.to_text();
        let again = MasterKey::parse(&format!("{}\n", text.expose())).unwrap();
        assert_eq!(
            Vault::new(&master).unwrap().sealing_key_id(),
            Vault::new(&again).unwrap().sealing_key_id()
        );
        assert_eq!(MasterKey::parse("c2hvcnQ=").err(), Some(InvalidMasterKey));
    }
}
