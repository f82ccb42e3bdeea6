//! The crypto suites of security descriptions (RFC 4568 section 6.2, RFC 7714 section 14.1).

/// The longest master key with its salt, in bytes.
pub const MAX_KEY_BYTES: usize = 44;

/// A crypto suite. `AES_CM_128_HMAC_SHA1_32` is not among them: its tag of 32 bits saves six bytes per packet and makes
/// forgery 2^48 times easier. Who offers it also offers the one with 80 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CryptoSuite {
    /// AES-128 in Galois/counter mode.
    AeadAes128Gcm,
    /// AES-256 in Galois/counter mode.
    AeadAes256Gcm,
    /// AES-128 in counter mode with HMAC-SHA1, of which 80 bits are sent.
    AesCm128HmacSha1_80,
}

impl CryptoSuite {
    /// Every suite, in the order of our offers.
    pub const ALL: [Self; 3] = [Self::AeadAes128Gcm, Self::AeadAes256Gcm, Self::AesCm128HmacSha1_80];

    /// The name in SDP.
    pub const fn name(self) -> &'static str {
        match self {
            Self::AeadAes128Gcm => "AEAD_AES_128_GCM",
            Self::AeadAes256Gcm => "AEAD_AES_256_GCM",
            Self::AesCm128HmacSha1_80 => "AES_CM_128_HMAC_SHA1_80",
        }
    }

    /// The suite with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|suite| suite.name() == name)
    }

    /// Length of the master key, in bytes.
    pub const fn key_length(self) -> usize {
        match self {
            Self::AeadAes128Gcm | Self::AesCm128HmacSha1_80 => 16,
            Self::AeadAes256Gcm => 32,
        }
    }

    /// Length of the master salt, in bytes.
    pub const fn salt_length(self) -> usize {
        match self {
            Self::AeadAes128Gcm | Self::AeadAes256Gcm => 12,
            Self::AesCm128HmacSha1_80 => 14,
        }
    }

    /// Length of master key and salt together, in bytes.
    pub const fn material_length(self) -> usize {
        self.key_length() + self.salt_length()
    }

    /// Length of the authentication tag, in bytes.
    pub const fn tag_length(self) -> usize {
        match self {
            Self::AeadAes128Gcm | Self::AeadAes256Gcm => 16,
            Self::AesCm128HmacSha1_80 => 10,
        }
    }
}
