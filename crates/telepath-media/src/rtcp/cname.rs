//! The canonical name (RFC 3550 section 6.5.1).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;

/// A canonical name for one call. It is random, so that it names neither the host nor its user (RFC 7022 section 4.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CanonicalName(String);

impl CanonicalName {
    /// Makes a name from random bytes: 96 bits, as RFC 7022 section 4.2 asks for.
    pub fn from_random(random: [u8; 12]) -> Self {
        Self(STANDARD_NO_PAD.encode(random))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
