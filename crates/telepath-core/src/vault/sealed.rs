//! Sealing under one master key: AES-256-GCM, bound to the place of the secret.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use zeroize::Zeroizing;

use super::master_key::{InvalidMasterKey, MasterKey};
use crate::entropy::{Entropy, EntropyError, random_bytes};
use crate::secret::SecretText;

/// Domain separation of the derived keys (HKDF `info`, RFC 5869 section 2.3).
const SEALING_INFO: &[u8] = b"telepath/v1/credential-sealing";
const FINGERPRINT_INFO: &[u8] = b"telepath/v1/master-key-fingerprint";

const FORMAT: u8 = 1;
const ID: usize = 8;
const HEADER: usize = 1 + ID + NONCE_LEN;

/// Names the master key under which something was sealed: the first bytes of a value derived from it. Not secret.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SealingKeyId([u8; ID]);

impl SealingKeyId {
    /// The name of a master key.
    ///
    /// # Errors
    /// [`InvalidMasterKey`] when the cryptographic library derives no key, which a 32-byte key never causes.
    pub fn of(master: &MasterKey) -> Result<Self, InvalidMasterKey> {
        let mut id = [0; ID];
        id.copy_from_slice(&master.derive(FINGERPRINT_INFO)?[..ID]);
        Ok(Self(id))
    }

    /// As in sealed secrets.
    pub const fn as_bytes(&self) -> &[u8; ID] {
        &self.0
    }

    /// From the bytes in a sealed secret.
    pub const fn from_bytes(bytes: [u8; ID]) -> Self {
        Self(bytes)
    }
}

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

/// The text is not the id of a master key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the id of a master key is 16 hexadecimal digits")]
pub struct InvalidSealingKeyId;

impl FromStr for SealingKeyId {
    type Err = InvalidSealingKeyId;

    fn from_str(text: &str) -> Result<Self, InvalidSealingKeyId> {
        if text.len() != 2 * ID || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(InvalidSealingKeyId);
        }
        let number = u64::from_str_radix(text, 16).map_err(|_| InvalidSealingKeyId)?;
        Ok(Self(number.to_be_bytes()))
    }
}

/// An encrypted secret as stored in the database: version, key id, nonce, then AES-256-GCM cipher text with its tag.
#[derive(Clone, PartialEq, Eq)]
pub struct Sealed(Vec<u8>);

impl Sealed {
    /// The master key that sealed it; `None` if it is too short to name one.
    pub fn key(&self) -> Option<SealingKeyId> {
        Some(SealingKeyId(self.0.get(1..=ID)?.try_into().ok()?))
    }

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

/// One master key that seals and opens.
pub(super) struct SealingKey {
    id: SealingKeyId,
    key: LessSafeKey,
}

impl SealingKey {
    pub(super) fn of(master: &MasterKey) -> Result<Self, InvalidMasterKey> {
        let key = UnboundKey::new(&AES_256_GCM, master.derive(SEALING_INFO)?.as_slice());
        let key = LessSafeKey::new(key.map_err(|_| InvalidMasterKey)?);
        Ok(Self { id: SealingKeyId::of(master)?, key })
    }

    pub(super) const fn id(&self) -> SealingKeyId {
        self.id
    }

    pub(super) fn seal(
        &self,
        secret: &SecretText,
        place: &str,
        entropy: &dyn Entropy,
    ) -> Result<Sealed, EntropyError> {
        let nonce: [u8; NONCE_LEN] = random_bytes(entropy)?;
        let mut cipher = secret.expose().as_bytes().to_vec();
        self.key
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(place.as_bytes()),
                &mut cipher,
            )
            .map_err(|_| EntropyError)?;
        let mut out = Vec::with_capacity(HEADER + cipher.len());
        out.push(FORMAT);
        out.extend_from_slice(&self.id.0);
        out.extend_from_slice(&nonce);
        out.append(&mut cipher);
        Ok(Sealed(out))
    }
}

/// Decrypts a secret with the key that sealed it.
pub(super) fn open(keys: &[Arc<SealingKey>], sealed: &Sealed, place: &str) -> Result<SecretText, OpenError> {
    let (header, cipher) = sealed.0.split_at_checked(HEADER).ok_or(OpenError::Format)?;
    let (id, nonce) = header[1..].split_at(ID);
    if header[0] != FORMAT {
        return Err(OpenError::Format);
    }
    let id = SealingKeyId(id.try_into().map_err(|_| OpenError::Format)?);
    let key = keys.iter().find(|key| key.id == id).ok_or(OpenError::OtherKey(id))?;
    let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| OpenError::Format)?;
    let mut buffer = Zeroizing::new(cipher.to_vec());
    let plain = key
        .key
        .open_in_place(nonce, Aad::from(place.as_bytes()), &mut buffer)
        .map_err(|_| OpenError::Tampered)?;
    String::from_utf8(plain.to_vec()).map(SecretText::new).map_err(|_| OpenError::Tampered)
}
