//! Random tokens that identify a session or a one-use link. Only a hash of a token is stored.

use std::fmt;

use subtle::ConstantTimeEq as _;

use crate::base62;
use crate::entropy::{Entropy, EntropyError, random_text};
use crate::named::named_enum;
use crate::secret::SecretText;

/// Characters of a token: 62^43 is just over 2^256.
const TOKEN_LENGTH: usize = 43;

named_enum! {
    /// What a token is good for. Its name is part of the hash, so a token is never accepted in the place of another kind.
    pub enum TokenPurpose {
        /// The cookie of a session.
        Session = "session",
        /// The link of an invitation.
        Invitation = "invitation",
        /// The link that sets a password.
        PasswordLink = "password-link",
        /// A recovery code.
        RecoveryCode = "recovery-code",
        /// The forms of a session.
        Form = "form",
        /// The link with which the first user is created.
        SetupCode = "setup-code",
        /// The email address of a sign-in attempt, which may be a password typed into the wrong field.
        SignInName = "sign-in-name",
    }
}

/// A token in plain text. It is shown once, in a cookie or a link.
pub struct UserToken(SecretText);

/// The text does not have the form of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a token")]
pub struct InvalidUserToken;

impl UserToken {
    /// A new token with about 256 bits of entropy.
    pub fn generate(entropy: &dyn Entropy) -> Result<Self, EntropyError> {
        Ok(Self(SecretText::new(random_text(entropy, base62::ALPHABET, TOKEN_LENGTH)?)))
    }

    /// Accepts only the exact form, so that most wrong texts are refused before any look-up.
    pub fn parse(text: &str) -> Result<Self, InvalidUserToken> {
        if text.len() == TOKEN_LENGTH && base62::is_base62(text.as_bytes()) {
            Ok(Self(SecretText::new(text.to_owned())))
        } else {
            Err(InvalidUserToken)
        }
    }

    /// The token itself, for the cookie or the link, and for hashing.
    pub fn expose(&self) -> &str {
        self.0.expose()
    }
}

impl fmt::Debug for UserToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UserToken(…)")
    }
}

/// The stored form of a token: HMAC-SHA-256 under a key that is not in the database. Equality takes constant time.
#[derive(Clone, Copy)]
pub struct TokenHash([u8; 32]);

impl TokenHash {
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl PartialEq for TokenHash {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for TokenHash {}

impl fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenHash(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::SystemEntropy;

    #[test]
    fn a_token_parses_and_shows_nothing_in_debug_output() {
        let token = UserToken::generate(&SystemEntropy::default()).unwrap();
        assert_eq!(UserToken::parse(token.expose()).unwrap().expose(), token.expose());
        assert_eq!(format!("{token:?} {:?}", TokenHash::from_bytes([7; 32])), "UserToken(…) TokenHash(…)");
        for wrong in ["", &token.expose()[1..], &format!("{}-", &token.expose()[1..])] {
            assert_eq!(UserToken::parse(wrong).err(), Some(InvalidUserToken));
        }
    }
}
