//! Master keys. They cannot be printed, and their memory is wiped.

use super::suite::{CryptoSuite, MAX_KEY_BYTES};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use zeroize::Zeroizing;

/// Some peers leave the padding out.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A master key with its salt, for one direction.
#[derive(Clone)]
pub struct MasterKey {
    suite: CryptoSuite,
    material: Zeroizing<[u8; MAX_KEY_BYTES]>,
}

impl MasterKey {
    /// Makes a key from random bytes, of which a suite may need only the first.
    pub fn from_random(suite: CryptoSuite, random: &Zeroizing<[u8; MAX_KEY_BYTES]>) -> Self {
        let mut key = Self { suite, material: Zeroizing::new([0; MAX_KEY_BYTES]) };
        let length = suite.material_length();
        key.material[..length].copy_from_slice(&random[..length]);
        key
    }

    /// Decodes the `key||salt` of a key parameter (RFC 4568 section 6.1); `None` if it is not base64 or its length does not
    /// fit the suite.
    pub fn from_base64(suite: CryptoSuite, text: &str) -> Option<Self> {
        // A longer text is refused before it is decoded.
        if text.len() > 2 * MAX_KEY_BYTES {
            return None;
        }
        let decoded = Zeroizing::new(LENIENT.decode(text).ok()?);
        if decoded.len() != suite.material_length() {
            return None;
        }
        let mut key = Self { suite, material: Zeroizing::new([0; MAX_KEY_BYTES]) };
        key.material[..decoded.len()].copy_from_slice(&decoded);
        Some(key)
    }

    /// The `key||salt` of a key parameter.
    pub fn to_base64(&self) -> Zeroizing<String> {
        Zeroizing::new(STANDARD.encode(self.material()))
    }

    /// The suite that the key is for.
    pub fn suite(&self) -> CryptoSuite {
        self.suite
    }

    /// The key without its salt.
    pub(super) fn key(&self) -> &[u8] {
        &self.material[..self.suite.key_length()]
    }

    /// The salt.
    pub(super) fn salt(&self) -> &[u8] {
        &self.material[self.suite.key_length()..self.suite.material_length()]
    }

    fn material(&self) -> &[u8] {
        &self.material[..self.suite.material_length()]
    }
}

impl PartialEq for MasterKey {
    fn eq(&self, other: &Self) -> bool {
        self.suite == other.suite && verify_slices_are_equal(self.material(), other.material()).is_ok()
    }
}

impl Eq for MasterKey {}

impl std::fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "MasterKey({}, [redacted])", self.suite.name())
    }
}

/// A master key identifier (RFC 3711 section 3.1), which the peer repeats in every packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyIdentifier {
    value: u32,
    length: u8,
}

impl KeyIdentifier {
    /// Parses `value:length`, with the length in bytes; `None` above four bytes, which no peer with one key needs.
    pub fn parse(text: &str) -> Option<Self> {
        let (value, length) = text.split_once(':')?;
        let (value, length) = (value.parse().ok()?, length.parse().ok()?);
        let fits = u32::BITS.checked_sub(u32::leading_zeros(value))? <= u32::from(length) * 8;
        ((1..=4).contains(&length) && fits).then_some(Self { value, length })
    }

    /// Its length in packets, in bytes.
    pub(super) fn length(self) -> usize {
        usize::from(self.length)
    }

    /// Whether these bytes of a packet are this identifier.
    pub(super) fn matches(self, bytes: &[u8]) -> bool {
        let value = self.value.to_be_bytes();
        value.get(value.len() - self.length()..) == Some(bytes)
    }
}

/// The key with which the peer protects its packets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerKey {
    /// The key.
    pub key: MasterKey,
    /// The identifier in its packets, if it uses one.
    pub identifier: Option<KeyIdentifier>,
}
