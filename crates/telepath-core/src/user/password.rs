//! Passwords: which ones are accepted, and how they are hashed.
//!
//! The rules are those of NIST SP 800-63B section 5.1.1.2: a length, no composition rules, and no password that an
//! attacker tries first.

use std::fmt;

use argon2::password_hash::phc;
use argon2::{Algorithm, Argon2, Params, PasswordHasher as _, PasswordVerifier as _, Version};

use super::Email;
use crate::entropy::{Entropy, EntropyError, random_bytes};
use crate::secret::SecretText;

/// Characters that a password has at least.
pub const SHORTEST_PASSWORD: usize = 12;
/// Characters that a password has at most.
pub const LONGEST_PASSWORD: usize = 256;

/// Argon2id (RFC 9106) with 64 MiB, three passes and one lane: about 100 ms of one processor.
const MEMORY_KIB: u32 = 64 * 1024;
const PASSES: u32 = 3;
const LANES: u32 = 1;
/// Bytes; RFC 9106 section 3.1 recommends 16.
const SALT_LENGTH: usize = 16;

/// The passwords of twelve characters and more among the 30,000 most common of several leaks, lower-case. Most of the
/// most common ones are shorter, and the length refuses them.
const COMMON: &str = include_str!("common_passwords.txt");

/// Why a password is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WeakPassword {
    #[error("must have at least {SHORTEST_PASSWORD} characters; four words work well")]
    TooShort,
    #[error("must have at most {LONGEST_PASSWORD} characters")]
    TooLong,
    #[error("is one of the most common passwords, or repeats a few characters")]
    Common,
    #[error("must not be the email address or the name")]
    Personal,
}

/// A password that was accepted.
pub struct Password(SecretText);

impl Password {
    /// Checks what a user chose. `name` is theirs.
    ///
    /// # Errors
    /// The first rule that the text breaks.
    pub fn check(text: SecretText, email: &Email, name: &str) -> Result<Self, WeakPassword> {
        let length = text.expose().chars().count();
        if length < SHORTEST_PASSWORD {
            return Err(WeakPassword::TooShort);
        }
        if length > LONGEST_PASSWORD {
            return Err(WeakPassword::TooLong);
        }
        let lower = SecretText::new(text.expose().to_lowercase());
        let personal = [email.as_str(), email.local_part(), name];
        if personal.iter().any(|known| known.to_lowercase() == lower.expose()) {
            return Err(WeakPassword::Personal);
        }
        if is_common(lower.expose()) { Err(WeakPassword::Common) } else { Ok(Self(text)) }
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(…)")
    }
}

fn is_common(lower: &str) -> bool {
    // `aaaaaaaaaaaa`, `abcabcabcabc`, `123412341234`
    let symbols: Vec<char> = lower.chars().collect();
    let repeats = (1..=4).any(|unit| symbols.iter().zip(&symbols[unit..]).all(|(one, next)| one == next));
    // `123456789012`, `abcdefghijkl`
    let climbs = |step: u32| {
        symbols.windows(2).all(|pair| {
            let next = (pair[0] as u32).wrapping_add(step);
            // After 9 comes 0, and before 0 comes 9.
            next == pair[1] as u32 || matches!((pair[0], pair[1]), ('9', '0') | ('0', '9'))
        })
    };
    repeats || climbs(1) || climbs(u32::MAX) || COMMON.lines().any(|common| common == lower)
}

/// A hashed password in the PHC string format, with its parameters and salt.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(String);

/// A password could not be hashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PasswordHashError {
    /// No random salt.
    #[error(transparent)]
    Entropy(#[from] EntropyError),
    /// The library refused the parameters, or there is no memory.
    #[error("the password could not be hashed")]
    Library,
}

impl PasswordHash {
    /// Hashes a password with a fresh salt. It takes about 100 ms and 64 MiB, so it must not run on a thread that serves
    /// requests.
    pub fn of(password: &Password, entropy: &dyn Entropy) -> Result<Self, PasswordHashError> {
        hash(password.0.expose(), entropy)
    }

    /// Spends as much as [`PasswordHash::verify`] on a text, for a name without a user.
    pub fn verify_nothing(attempt: &SecretText, entropy: &dyn Entropy) -> Result<(), PasswordHashError> {
        hash(attempt.expose(), entropy).map(drop)
    }

    /// A stored hash.
    pub const fn from_stored(text: String) -> Self {
        Self(text)
    }

    /// The text for storage.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is the password. A hash that cannot be read fits no password. It costs what
    /// [`PasswordHash::of`] costs.
    pub fn verify(&self, attempt: &SecretText) -> bool {
        let Ok(stored) = phc::PasswordHash::new(&self.0) else { return false };
        // The parameters are those of the stored hash.
        Argon2::default().verify_password(attempt.expose().as_bytes(), &stored).is_ok()
    }

    /// Whether the hash uses outdated parameters and should be recomputed when the password
    /// is next known.
    pub fn is_outdated(&self) -> bool {
        !self.0.starts_with(&format!("$argon2id$v=19$m={MEMORY_KIB},t={PASSES},p={LANES}$"))
    }
}

fn hash(text: &str, entropy: &dyn Entropy) -> Result<PasswordHash, PasswordHashError> {
    let salt = random_bytes::<SALT_LENGTH>(entropy)?;
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None).map_err(|_| PasswordHashError::Library)?;
    let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let hashed = argon.hash_password_with_salt(text.as_bytes(), &salt);
    hashed.map(|hash| PasswordHash(hash.to_string())).map_err(|_| PasswordHashError::Library)
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::SystemEntropy;

    fn check(text: &str) -> Result<Password, WeakPassword> {
        let email = "ada.lovelace@example.com".parse().unwrap();
        Password::check(SecretText::new(text.to_owned()), &email, "Ada Lovelace King")
    }

    #[test]
    fn length_is_counted_in_characters_from_12_to_256() {
        assert_eq!(check("elf-chärs-é").err(), Some(WeakPassword::TooShort));
        assert!(check("zwölf-chärs!").is_ok());
        let varied: String = "correct horse battery staple ".chars().cycle().take(257).collect();
        assert!(check(&varied[..256]).is_ok());
        assert_eq!(check(&varied).err(), Some(WeakPassword::TooLong));
    }

    #[test]
    fn common_passwords_and_repetitions_are_refused_in_any_case() {
        for common in [
            "QwertyUiop123",
            "password1234",
            "aaaaaaaaaaaa",
            "abcabcabcabc",
            "123412341234",
            "123456789012",
            "abcdefghijklm",
            "987654321098",
        ] {
            assert_eq!(check(common).err(), Some(WeakPassword::Common), "{common}");
        }
    }

    #[test]
    fn the_list_holds_only_what_the_length_lets_through() {
        assert!(COMMON.lines().count() > 200);
        for line in COMMON.lines() {
            assert!(line.chars().count() >= SHORTEST_PASSWORD && line == line.to_lowercase(), "{line}");
        }
    }

    #[test]
    fn the_name_and_the_address_are_no_passwords() {
        for personal in ["Ada.Lovelace@example.com", "ada.lovelace", "ADA LOVELACE KING"] {
            assert_eq!(check(personal).err(), Some(WeakPassword::Personal), "{personal}");
        }
    }

    #[test]
    fn a_hash_fits_its_password_only_and_names_its_parameters() {
        let password = check("correct horse battery staple").unwrap();
        let hash = PasswordHash::of(&password, &SystemEntropy::default()).unwrap();
        assert!(hash.as_str().starts_with("$argon2id$v=19$m=65536,t=3,p=1$"), "{}", hash.as_str());
        assert!(!hash.is_outdated());
        assert!(hash.verify(&SecretText::new("correct horse battery staple".to_owned())));
        assert!(!hash.verify(&SecretText::new("correct horse battery stapler".to_owned())));
        assert_eq!(format!("{password:?} {hash:?}"), "Password(…) PasswordHash(…)");
    }

    #[test]
    fn hashes_of_other_parameters_verify_and_are_outdated() {
        // The argon2 reference implementation: echo -n password | argon2 somesalt -id -t 2 -m 16 -p 1 -e
        let text = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc";
        let hash = PasswordHash::from_stored(text.to_owned());
        assert!(hash.verify(&SecretText::new("password".to_owned())));
        assert!(hash.is_outdated());
        assert!(!PasswordHash::from_stored("nonsense".to_owned()).verify(&SecretText::new(String::new())));
    }
}
