//! The master keys and what is derived from them. A master key seals credentials, and several can be loaded while one replaces
//! another. The pepper under which API keys are hashed and the other keys of hashes were derived from the first master key
//! and stay the same afterwards: what they hashed cannot be hashed again. Master keys live outside the database, so a stolen
//! database alone opens nothing.

mod derived;
mod master_key;
mod sealed;

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use aws_lc_rs::hmac;

use derived::DerivedKeys;
pub use master_key::{InvalidMasterKey, MAX_MASTER_KEYS, MasterKey};
use sealed::SealingKey;
pub use sealed::{InvalidSealingKeyId, OpenError, Sealed, SealingKeyId};

use crate::audit::ChainKey;
use crate::entropy::{Entropy, EntropyError};
use crate::secret::{HashedKey, PlainKey, SecretText};
use crate::user::{TokenHash, TokenPurpose};

/// The place of the derived keys among sealed secrets.
const DERIVED_KEYS: &str = "keyring/derived_keys";

/// What a database says about its master keys.
#[derive(Debug, Clone)]
pub struct StoredKeyring {
    /// The key that seals.
    pub active: SealingKeyId,
    /// The derived keys, once the first master key was replaced.
    pub derived_keys: Option<Sealed>,
}

/// Why a vault cannot be made of the loaded master keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum VaultError {
    /// No master key is loaded, or the cryptographic library refuses one.
    #[error(transparent)]
    Unusable(#[from] InvalidMasterKey),
    /// The key that seals is not loaded.
    #[error("the database belongs to master key {expected}, but master key {given} is loaded")]
    ActiveKeyMissing {
        /// The key that the database names.
        expected: SealingKeyId,
        /// The first that is loaded.
        given: SealingKeyId,
    },
    /// The derived keys cannot be opened.
    #[error("the derived keys in the database cannot be opened: {0}")]
    DerivedKeys(OpenError),
}

/// The loaded master keys.
#[derive(Clone)]
struct Ring {
    /// Contains `active`; at most [`MAX_MASTER_KEYS`], in the order in which they were loaded.
    keys: Vec<Arc<SealingKey>>,
    /// The key that seals.
    active: Arc<SealingKey>,
}

/// Everything that is done with the master keys.
pub struct Vault {
    pepper: hmac::Key,
    user_tokens: hmac::Key,
    audit_chain: ChainKey,
    derived: DerivedKeys,
    ring: RwLock<Ring>,
}

impl Vault {
    /// A vault with one master key, for a new database or one whose first master key was never replaced.
    ///
    /// # Errors
    /// [`InvalidMasterKey`] when the cryptographic library derives no key or refuses it, which a 32-byte key never causes.
    pub fn new(master: &MasterKey) -> Result<Self, InvalidMasterKey> {
        let active = Arc::new(SealingKey::of(master)?);
        Ok(Self::with(DerivedKeys::of(master)?, Ring { keys: vec![Arc::clone(&active)], active }))
    }

    /// A vault with all loaded master keys. The database says which of them seals; for a new database it is the first.
    pub fn of_keyring(masters: &[MasterKey], stored: Option<&StoredKeyring>) -> Result<Self, VaultError> {
        let (first, rest) = masters.split_first().ok_or(InvalidMasterKey)?;
        let vault = Self::new(first)?;
        vault.load(rest)?;
        let Some(stored) = stored else { return Ok(vault) };
        let ring = vault.ring();
        let expected = stored.active;
        let missing = || VaultError::ActiveKeyMissing { expected, given: ring.active.id() };
        let active = ring.find(expected).ok_or_else(missing)?;
        let derived = match &stored.derived_keys {
            Some(sealed) => {
                let text = sealed::open(&ring.keys, sealed, DERIVED_KEYS).map_err(VaultError::DerivedKeys)?;
                DerivedKeys::from_text(&text).ok_or(VaultError::DerivedKeys(OpenError::Format))?
            }
            None => derived_from(masters, expected)?.ok_or_else(missing)?,
        };
        Ok(Self::with(derived, Ring { active, keys: ring.keys }))
    }

    fn with(derived: DerivedKeys, ring: Ring) -> Self {
        Self {
            pepper: hmac::Key::new(hmac::HMAC_SHA256, derived.pepper()),
            user_tokens: hmac::Key::new(hmac::HMAC_SHA256, derived.user_tokens()),
            audit_chain: ChainKey::new(derived.audit_chain()),
            derived,
            ring: RwLock::new(ring),
        }
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

    /// The secret that authenticates SIP digest nonces.
    pub fn sip_nonce_secret(&self) -> &[u8; 32] {
        self.derived.sip_nonce()
    }

    /// The key that links the entries of audit trails.
    pub fn audit_chain(&self) -> &ChainKey {
        &self.audit_chain
    }

    fn ring(&self) -> Ring {
        self.ring.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn change<T>(&self, change: impl FnOnce(&mut Ring) -> T) -> T {
        change(&mut self.ring.write().unwrap_or_else(PoisonError::into_inner))
    }

    /// Names the master key that seals; stored with the database so that a wrong one is noticed at start.
    pub fn sealing_key_id(&self) -> SealingKeyId {
        self.ring().active.id()
    }

    /// The loaded master keys, in the order in which they were loaded.
    pub fn loaded(&self) -> Vec<SealingKeyId> {
        self.ring().keys.iter().map(|key| key.id()).collect()
    }

    /// Loads further master keys, which open what they have sealed. Returns those that were not loaded yet.
    ///
    /// # Errors
    /// [`InvalidMasterKey`] if there would be more than [`MAX_MASTER_KEYS`]; then none is loaded.
    pub fn load(&self, masters: &[MasterKey]) -> Result<Vec<SealingKeyId>, InvalidMasterKey> {
        let keys: Vec<_> = masters.iter().map(SealingKey::of).collect::<Result<_, _>>()?;
        self.change(|ring| {
            let (mut all, known) = (ring.keys.clone(), ring.keys.len());
            for key in keys {
                if all.iter().all(|other| other.id() != key.id()) {
                    all.push(Arc::new(key));
                }
            }
            if all.len() > MAX_MASTER_KEYS {
                return Err(InvalidMasterKey);
            }
            ring.keys = all;
            Ok(ring.keys[known..].iter().map(|key| key.id()).collect())
        })
    }

    /// Unloads a master key, unless it seals.
    pub fn unload(&self, id: SealingKeyId) {
        self.change(|ring| {
            let active = ring.active.id();
            ring.keys.retain(|key| key.id() != id || key.id() == active);
        });
    }

    /// Seals with another loaded key from now on. `false` if it is not loaded.
    pub fn activate(&self, id: SealingKeyId) -> bool {
        self.change(|ring| match ring.find(id) {
            Some(key) => {
                ring.active = key;
                true
            }
            None => false,
        })
    }

    /// The derived keys, sealed under one of the loaded keys; `None` if it is not loaded.
    pub fn seal_derived_keys(
        &self,
        id: SealingKeyId,
        entropy: &dyn Entropy,
    ) -> Result<Option<Sealed>, EntropyError> {
        let key = self.ring().find(id);
        key.map(|key| key.seal(&self.derived.to_text(), DERIVED_KEYS, entropy)).transpose()
    }

    /// Encrypts a secret for one place, such as `conn_…/openai_api_key`; it opens only there.
    pub fn seal(
        &self,
        secret: &SecretText,
        place: &str,
        entropy: &dyn Entropy,
    ) -> Result<Sealed, EntropyError> {
        self.ring().active.seal(secret, place, entropy)
    }

    /// Decrypts a secret that was sealed for `place` under any of the loaded keys.
    pub fn open(&self, sealed: &Sealed, place: &str) -> Result<SecretText, OpenError> {
        sealed::open(&self.ring().keys, sealed, place)
    }
}

impl Ring {
    fn find(&self, id: SealingKeyId) -> Option<Arc<SealingKey>> {
        self.keys.iter().find(|key| key.id() == id).cloned()
    }
}

/// Derives the keys of hashes from the master key with this name.
fn derived_from(masters: &[MasterKey], id: SealingKeyId) -> Result<Option<DerivedKeys>, InvalidMasterKey> {
    for master in masters {
        if SealingKeyId::of(master)? == id {
            return DerivedKeys::of(master).map(Some);
        }
    }
    Ok(None)
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Vault({})", self.sealing_key_id())
    }
}

#[cfg(test)]
mod tests;
