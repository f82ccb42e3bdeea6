//! Recovery codes replace a lost second factor. Each works once.

use std::fmt;

use crate::entropy::{Entropy, EntropyError, random_text};
use crate::secret::SecretText;

/// Codes of one user.
pub const RECOVERY_CODES: usize = 10;
/// Crockford's base32 without look-alikes, as in ids.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
/// 50 bits. Guessing is throttled, and the stored hash is keyed.
const LENGTH: usize = 10;

/// A recovery code in plain text, without its hyphen.
pub struct RecoveryCode(SecretText);

impl RecoveryCode {
    /// A new code.
    pub fn generate(entropy: &dyn Entropy) -> Result<Self, EntropyError> {
        Ok(Self(SecretText::new(random_text(entropy, ALPHABET, LENGTH)?)))
    }

    /// Reads what a person typed: case, spaces and hyphens do not matter, and look-alikes are understood. `None` when
    /// the text cannot be a code.
    pub fn parse(text: &str) -> Option<Self> {
        let typed = text.chars().filter(|symbol| !matches!(symbol, ' ' | '-'));
        let code: String = typed
            .map(|symbol| match symbol.to_ascii_lowercase() {
                'o' => '0',
                'i' | 'l' => '1',
                other => other,
            })
            .take(LENGTH + 1)
            .collect();
        let fits = code.len() == LENGTH && code.bytes().all(|byte| ALPHABET.contains(&byte));
        fits.then(|| Self(SecretText::new(code)))
    }

    /// The text that is hashed.
    pub fn expose(&self) -> &str {
        self.0.expose()
    }

    /// The code as it is shown once, in two groups.
    pub fn reveal(&self) -> SecretText {
        let (first, second) = self.expose().split_at(LENGTH / 2);
        SecretText::new(format!("{first}-{second}"))
    }
}

impl fmt::Debug for RecoveryCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecoveryCode(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::SystemEntropy;

    #[test]
    fn a_code_is_read_back_however_it_is_typed() {
        let code = RecoveryCode::generate(&SystemEntropy::default()).unwrap();
        let shown = code.reveal();
        assert_eq!(shown.expose().len(), LENGTH + 1);
        let loud = shown.expose().to_uppercase().replace('-', "  ").replace('0', "O").replace('1', "l");
        assert_eq!(RecoveryCode::parse(&loud).unwrap().expose(), code.expose());
        for wrong in ["", "12345-1234", "12345-123456", "12345-1234u", "12345-1234é"] {
            assert!(RecoveryCode::parse(wrong).is_none(), "{wrong}");
        }
    }
}
