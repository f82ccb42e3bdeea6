//! Types for secrets. A [`PlainKey`] is an API key in plain text, a [`HashedKey`] is its stored form, and a [`SecretText`] is any
//! other secret. None can be printed by accident: their `Debug` shows no content, and they have no `Display`.

use std::fmt;

use subtle::ConstantTimeEq as _;
use zeroize::{Zeroize as _, Zeroizing};

use crate::base62;
use crate::entropy::{Entropy, EntropyError, random_text};
use crate::named::named_enum;

/// Random characters in a key: 62^43 is just over 2^256.
const RANDOM_CHARACTERS: usize = 43;
/// Characters of the CRC-32 that ends a key.
const CHECKSUM_CHARACTERS: usize = 6;
const PREFIX_LENGTH: usize = 8;
/// Length of a whole key in bytes.
pub const KEY_LENGTH: usize = PREFIX_LENGTH + RANDOM_CHARACTERS + CHECKSUM_CHARACTERS;
/// The published pattern by which secret scanners find keys.
pub const KEY_PATTERN: &str = "sk_(live|test)_[0-9A-Za-z]{49}";

named_enum! {
    /// Whether a key acts on live or on test data; shown in its prefix.
    pub enum KeyMode {
        /// `sk_live_`
        Live = "live",
        /// `sk_test_`
        Test = "test",
    }
}

impl KeyMode {
    /// The first eight characters of a key of this mode.
    pub const fn prefix(self) -> &'static str {
        match self {
            KeyMode::Live => "sk_live_",
            KeyMode::Test => "sk_test_",
        }
    }
}

/// The text does not have the form of an API key, or its checksum is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an API key")]
pub struct MalformedKey;

/// An API key in the clear: prefix, 43 random base62 characters, 6 base62 characters of CRC-32 over all before it.
/// The memory is wiped when the value is dropped.
pub struct PlainKey([u8; KEY_LENGTH]);

impl PlainKey {
    /// A new key with about 256 bits of entropy.
    pub fn generate(mode: KeyMode, entropy: &dyn Entropy) -> Result<Self, EntropyError> {
        let random = Zeroizing::new(random_text(entropy, base62::ALPHABET, RANDOM_CHARACTERS)?);
        let mut key = [0; KEY_LENGTH];
        key[..PREFIX_LENGTH].copy_from_slice(mode.prefix().as_bytes());
        key[PREFIX_LENGTH..KEY_LENGTH - CHECKSUM_CHARACTERS].copy_from_slice(random.as_bytes());
        let sum = checksum(&key);
        key[KEY_LENGTH - CHECKSUM_CHARACTERS..].copy_from_slice(&sum);
        Ok(Self(key))
    }

    /// Accepts only the exact form with a right checksum, so that most wrong texts are refused before any look-up.
    pub fn parse(text: &[u8]) -> Result<Self, MalformedKey> {
        let key: [u8; KEY_LENGTH] = text.try_into().map_err(|_| MalformedKey)?;
        let prefix = &key[..PREFIX_LENGTH];
        let known =
            prefix == KeyMode::Live.prefix().as_bytes() || prefix == KeyMode::Test.prefix().as_bytes();
        if !known || !base62::is_base62(&key[PREFIX_LENGTH..]) {
            return Err(MalformedKey);
        }
        if key[KEY_LENGTH - CHECKSUM_CHARACTERS..] != checksum(&key) {
            return Err(MalformedKey);
        }
        Ok(Self(key))
    }

    /// The bytes, for hashing.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The mode that the prefix names.
    pub fn mode(&self) -> KeyMode {
        if self.0.starts_with(b"sk_test_") { KeyMode::Test } else { KeyMode::Live }
    }

    /// Reveals the secret. Called once: for the response that creates the key.
    pub fn reveal(&self) -> SecretText {
        SecretText::new(String::from_utf8_lossy(&self.0).into_owned())
    }

    /// What may be shown later: `sk_live_AbC…wxyz`.
    pub fn mask(&self) -> KeyMask {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        KeyMask(format!("{}…{}", text(&self.0[..PREFIX_LENGTH + 3]), text(&self.0[KEY_LENGTH - 4..])))
    }
}

/// The keys in a text: each place that has the published form with a right checksum, whatever surrounds it.
pub fn find_keys(text: &[u8]) -> impl Iterator<Item = PlainKey> {
    text.windows(KEY_LENGTH)
        .filter(|window| window.starts_with(b"sk_"))
        .filter_map(|window| PlainKey::parse(window).ok())
}

/// Whether a text contains a key. Such a text must not be stored: it would show the key to everyone who may read the text.
pub fn contains_key(text: &[u8]) -> bool {
    find_keys(text).next().is_some()
}

fn checksum(key: &[u8; KEY_LENGTH]) -> [u8; CHECKSUM_CHARACTERS] {
    base62::encode_u32(crc32fast::hash(&key[..KEY_LENGTH - CHECKSUM_CHARACTERS]))
}

impl Drop for PlainKey {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for PlainKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PlainKey(…)")
    }
}

/// The first three and last four characters of a key; not secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyMask(String);

impl KeyMask {
    /// From a stored mask.
    pub fn from_stored(mask: String) -> Self {
        Self(mask)
    }

    /// The text to show.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The stored form of an API key: HMAC-SHA-256 under the server's pepper. Equality takes constant time.
#[derive(Clone, Copy)]
pub struct HashedKey([u8; 32]);

impl HashedKey {
    /// From a stored or freshly computed hash.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The raw hash, for storage.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The part by which tables find a key; the whole hash is still compared before the key counts as found.
    pub fn index(&self) -> u64 {
        let mut first = [0; 8];
        first.copy_from_slice(&self.0[..8]);
        u64::from_le_bytes(first)
    }
}

impl PartialEq for HashedKey {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for HashedKey {}

impl fmt::Debug for HashedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HashedKey(…)")
    }
}

/// Any other secret text: a provider's credential, a header value, a SIP password. Wiped when dropped.
#[derive(Clone)]
pub struct SecretText(Zeroizing<String>);

impl SecretText {
    /// Takes the text over.
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The secret itself. Review every call.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The last four characters, shown so that people can tell credentials apart; `None` for a text so short that four
    /// characters would give much of it away.
    pub fn last4(&self) -> Option<String> {
        let characters: Vec<char> = self.0.chars().collect();
        (characters.len() >= 12).then(|| characters[characters.len() - 4..].iter().collect())
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretText(…)")
    }
}

impl<'de> serde::Deserialize<'de> for SecretText {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::SystemEntropy;

    fn fresh() -> PlainKey {
        PlainKey::generate(KeyMode::Live, &SystemEntropy::default()).unwrap()
    }

    #[test]
    fn a_new_key_has_the_published_form_and_parses() {
        let key = fresh();
        let secret = key.reveal();
        assert_eq!(secret.expose().len(), 57);
        assert!(secret.expose().starts_with("sk_live_"));
        assert_eq!(PlainKey::parse(secret.expose().as_bytes()).unwrap().as_bytes(), key.as_bytes());
    }

    #[test]
    fn every_single_character_change_fails_the_format_or_checksum() {
        let secret = fresh().reveal();
        for place in 0..KEY_LENGTH {
            let mut bytes = secret.expose().as_bytes().to_vec();
            bytes[place] = if bytes[place] == b'a' { b'b' } else { b'a' };
            assert_eq!(PlainKey::parse(&bytes).err(), Some(MalformedKey), "position {place}");
        }
        assert!(PlainKey::parse(&secret.expose().as_bytes()[1..]).is_err());
        assert!(PlainKey::parse(b"").is_err());
    }

    #[test]
    fn keys_are_found_anywhere_in_a_text() {
        let (live, test) = (fresh().reveal(), PlainKey::generate(KeyMode::Test, &SystemEntropy::default()));
        let (live, test) = (live.expose(), test.unwrap().reveal());
        let test = test.expose();
        for text in [
            live.to_owned(),
            format!("{live}\n"),
            format!("  \"{live}\","),
            format!(r#"{{"token":"{live}"}}"#),
            format!("https://api.example/v1/whoami?key={live}&x=1"),
            format!("ключ:{live}…"),
            format!("sk_live_{live}"),
            format!("sk_{live}0123"),
        ] {
            let found: Vec<_> = find_keys(text.as_bytes()).map(|key| key.as_bytes().to_vec()).collect();
            assert_eq!(found, [live.as_bytes()], "{}", text.len());
        }
        assert_eq!(find_keys(format!("{live}{test} {live}").as_bytes()).count(), 3);
        let masked = format!("{}…{}", &live[..11], &live[53..]);
        for text in ["", "sk_live_", "sk_live_abc123def456...", &live[..56], &live[1..], masked.as_str()] {
            assert!(!contains_key(text.as_bytes()), "{}", text.len());
        }
    }

    #[test]
    fn the_mask_shows_three_and_four_characters() {
        let key = fresh();
        let secret = key.reveal();
        let mask = key.mask();
        assert!(mask.as_str().starts_with(&secret.expose()[..11]));
        assert!(mask.as_str().ends_with(&secret.expose()[53..]));
        assert_eq!(mask.as_str().chars().count(), 11 + 1 + 4);
    }

    #[test]
    fn debug_output_holds_no_secret() {
        let key = fresh();
        let secret = key.reveal();
        let shown = format!("{key:?} {secret:?} {:?}", HashedKey::from_bytes([7; 32]));
        assert_eq!(shown, "PlainKey(…) SecretText(…) HashedKey(…)");
    }

    #[test]
    fn last4_is_not_shown_of_short_secrets() {
        assert_eq!(SecretText::new("short".into()).last4(), None);
        assert_eq!(SecretText::new("long enough to show".into()).last4().as_deref(), Some("show"));
    }
}
