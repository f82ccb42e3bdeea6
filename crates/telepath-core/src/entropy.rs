//! The source of random bytes. A trait with one method, so that ids and secrets can be generated from a known seed in
//! a test and from the operating system's generator everywhere else.

use aws_lc_rs::rand::{SecureRandom as _, SystemRandom};

/// The operating system returned no random bytes; no secret can be generated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the system's random generator failed")]
pub struct EntropyError;

/// A source of cryptographically secure random bytes.
pub trait Entropy: Send + Sync + 'static {
    /// Fills the whole buffer, or fails and leaves its content unspecified.
    fn fill(&self, buffer: &mut [u8]) -> Result<(), EntropyError>;
}

/// The CSPRNG of the cryptographic library, seeded by the operating system.
#[derive(Debug, Default)]
pub struct SystemEntropy(SystemRandom);

impl Entropy for SystemEntropy {
    fn fill(&self, buffer: &mut [u8]) -> Result<(), EntropyError> {
        self.0.fill(buffer).map_err(|_| EntropyError)
    }
}

/// Fresh random bytes as an array.
pub fn random_bytes<const N: usize>(entropy: &dyn Entropy) -> Result<[u8; N], EntropyError> {
    let mut bytes = [0; N];
    entropy.fill(&mut bytes)?;
    Ok(bytes)
}

/// `length` characters drawn without bias from `alphabet` (2 to 256 symbols), by rejection sampling.
pub fn random_text(entropy: &dyn Entropy, alphabet: &[u8], length: usize) -> Result<String, EntropyError> {
    let symbols = u16::try_from(alphabet.len()).unwrap_or(256).clamp(2, 256);
    let limit = 256 - 256 % symbols;
    let mut text = String::with_capacity(length);
    while text.len() < length {
        for byte in random_bytes::<64>(entropy)? {
            if u16::from(byte) < limit && text.len() < length {
                text.push(char::from(alphabet[usize::from(u16::from(byte) % symbols)]));
            }
        }
    }
    Ok(text)
}
