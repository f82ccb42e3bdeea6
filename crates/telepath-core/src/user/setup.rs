//! The link with which the first user of a server is created. It is printed when a server starts that has no user.
//!
//! The code is the time of its creation with a keyed hash of it, so nothing is stored, and every server of a cluster accepts it.
//! It works until the first user exists.

use std::fmt::Write as _;
use std::time::Duration;

use subtle::ConstantTimeEq as _;

use super::TokenPurpose;
use crate::clock::Timestamp;
use crate::secret::SecretText;
use crate::vault::Vault;

/// How long the link works.
pub const FIRST_USER_LINK_LIFETIME: Duration = Duration::from_hours(1);

/// Hexadecimal digits of the time in the code.
const TIME_DIGITS: usize = 12;

/// The code of the link. It is shown once, in the output of the server.
pub struct SetupCode(SecretText);

impl SetupCode {
    /// A code that works from `now` on.
    pub fn new(vault: &Vault, now: Timestamp) -> Self {
        let time = format!("{:0TIME_DIGITS$x}", now.unix_ms().max(0));
        let hash = vault.hash_token(TokenPurpose::SetupCode, &time);
        let mut code = time;
        for byte in hash.as_bytes() {
            // Writing to a string does not fail.
            let _ = write!(code, "{byte:02x}");
        }
        Self(SecretText::new(code))
    }

    /// The code itself, for the link.
    pub fn expose(&self) -> &str {
        self.0.expose()
    }

    /// Whether a text is a code of this installation that is not too old.
    pub fn verify(text: &str, vault: &Vault, now: Timestamp) -> bool {
        let Some(time) = text.get(..TIME_DIGITS) else { return false };
        let Ok(ms) = i64::from_str_radix(time, 16) else { return false };
        let created = Timestamp::from_unix_ms(ms);
        let genuine: bool = Self::new(vault, created).expose().as_bytes().ct_eq(text.as_bytes()).into();
        genuine && created <= now && now < created.plus(FIRST_USER_LINK_LIFETIME)
    }
}

impl std::fmt::Debug for SetupCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SetupCode(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::SystemEntropy;
    use crate::vault::MasterKey;

    const NOON: Timestamp = Timestamp::from_unix_seconds(1_800_014_400);

    fn vault() -> Vault {
        Vault::new(&MasterKey::generate(&SystemEntropy::default()).unwrap()).unwrap()
    }

    #[test]
    fn a_code_works_for_an_hour_and_on_this_installation_only() {
        let (vault, other) = (vault(), vault());
        let code = SetupCode::new(&vault, NOON);
        let end = NOON.plus(FIRST_USER_LINK_LIFETIME);
        assert!(SetupCode::verify(code.expose(), &vault, NOON));
        assert!(SetupCode::verify(code.expose(), &vault, end.minus(Duration::from_millis(1))));
        assert!(!SetupCode::verify(code.expose(), &vault, end));
        assert!(!SetupCode::verify(code.expose(), &vault, NOON.minus(Duration::from_millis(1))));
        assert!(!SetupCode::verify(code.expose(), &other, NOON));
        assert_eq!(format!("{code:?}"), "SetupCode(…)");
    }

    #[test]
    fn a_changed_code_does_not_work() {
        let vault = vault();
        let code = SetupCode::new(&vault, NOON).expose().to_owned();
        // A later time with the hash of the first.
        let later = format!("{:012x}{}", NOON.unix_ms() + 1, &code[TIME_DIGITS..]);
        for wrong in
            ["", "0", &code[1..], &code[..code.len() - 1], &later, &code.to_uppercase(), "é00000000000000"]
        {
            assert!(!SetupCode::verify(wrong, &vault, NOON), "{wrong}");
        }
    }
}
