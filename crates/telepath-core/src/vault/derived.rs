//! The keys of hashes. They are derived from the first master key of a database, and kept sealed when another one replaces it:
//! API keys, tokens and audit entries are hashed once and cannot be hashed again.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::master_key::{InvalidMasterKey, MasterKey};
use crate::secret::SecretText;

/// Domain separation of the derived keys (HKDF `info`, RFC 5869 section 2.3), in the order in which they are stored.
const INFOS: [&[u8]; 4] = [
    b"telepath/v1/api-key-pepper",
    b"telepath/v1/user-token",
    b"telepath/v1/sip-digest-nonce",
    b"telepath/v1/audit-chain",
];

/// One key for each purpose, so that no two purposes share one.
pub(super) struct DerivedKeys([Zeroizing<[u8; 32]>; 4]);

impl DerivedKeys {
    pub(super) fn of(master: &MasterKey) -> Result<Self, InvalidMasterKey> {
        let [pepper, user_tokens, sip_nonce, audit_chain] = INFOS.map(|info| master.derive(info));
        Ok(Self([pepper?, user_tokens?, sip_nonce?, audit_chain?]))
    }

    pub(super) fn pepper(&self) -> &[u8; 32] {
        &self.0[0]
    }

    pub(super) fn user_tokens(&self) -> &[u8; 32] {
        &self.0[1]
    }

    pub(super) fn sip_nonce(&self) -> &[u8; 32] {
        &self.0[2]
    }

    pub(super) fn audit_chain(&self) -> &[u8; 32] {
        &self.0[3]
    }

    /// As base64 text, for sealing.
    pub(super) fn to_text(&self) -> SecretText {
        let mut bytes = Zeroizing::new(Vec::with_capacity(4 * 32));
        for key in &self.0 {
            bytes.extend_from_slice(key.as_slice());
        }
        SecretText::new(STANDARD.encode(bytes.as_slice()))
    }

    /// From that text; `None` if it is not one.
    pub(super) fn from_text(text: &SecretText) -> Option<Self> {
        let bytes = Zeroizing::new(STANDARD.decode(text.expose()).ok()?);
        let (keys, rest) = bytes.as_chunks::<32>();
        let keys: &[[u8; 32]; 4] = keys.try_into().ok()?;
        rest.is_empty().then(|| Self(keys.map(Zeroizing::new)))
    }
}
