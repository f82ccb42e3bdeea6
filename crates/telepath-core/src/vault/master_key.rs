//! A master key: 32 secret bytes from which everything else is derived.

use std::fmt;

use aws_lc_rs::hkdf::{HKDF_SHA256, Salt};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use crate::entropy::{Entropy, EntropyError, random_bytes};
use crate::secret::SecretText;

/// Master keys that can be loaded at once.
pub const MAX_MASTER_KEYS: usize = 8;

/// 32 secret bytes from which everything else is derived.
pub struct MasterKey(Zeroizing<[u8; 32]>);

/// The text is not a master key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a master key is 32 bytes in base64 (44 characters), and there are at most {MAX_MASTER_KEYS}, one on each line"
)]
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

    /// One or more keys, separated by white space.
    pub fn parse_all(text: &str) -> Result<Vec<Self>, InvalidMasterKey> {
        let keys: Vec<Self> = text.split_whitespace().map(Self::parse).collect::<Result<_, _>>()?;
        if keys.is_empty() || keys.len() > MAX_MASTER_KEYS { Err(InvalidMasterKey) } else { Ok(keys) }
    }

    /// As base64 text, for the key file.
    pub fn to_text(&self) -> SecretText {
        SecretText::new(STANDARD.encode(self.0.as_slice()))
    }

    /// Fails only if the cryptographic library does: 32 bytes is the hash length, far below the 255 × 32 at which
    /// expansion fails (RFC 5869 section 2.3). A key of zeroes is never returned.
    pub(super) fn derive(&self, info: &[u8]) -> Result<Zeroizing<[u8; 32]>, InvalidMasterKey> {
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
