//! Key derivation (RFC 3711 section 4.3, with AES-256 as in RFC 6188 section 3). The key derivation rate is always 0: session
//! keys are derived once.

use super::master_key::MasterKey;
use aws_lc_rs::cipher::{AES_128, AES_256, EncryptingKey, EncryptionContext, UnboundCipherKey};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::iv::FixedLength;

/// What a session key is for (RFC 3711 section 4.3.2).
#[derive(Debug, Clone, Copy)]
pub(super) enum Label {
    RtpEncryption = 0,
    RtpAuthentication = 1,
    RtpSalt = 2,
    RtcpEncryption = 3,
    RtcpAuthentication = 4,
    RtcpSalt = 5,
}

/// An AES key in counter mode.
pub(super) fn counter_mode(key: &[u8]) -> Result<EncryptingKey, Unspecified> {
    let algorithm = if key.len() == 32 { &AES_256 } else { &AES_128 };
    EncryptingKey::ctr(UnboundCipherKey::new(algorithm, key)?)
}

/// XORs the key stream that starts at a counter onto the data.
pub(super) fn apply_key_stream(
    key: &EncryptingKey,
    counter: [u8; 16],
    data: &mut [u8],
) -> Result<(), Unspecified> {
    // There is no key stream of no length.
    if data.is_empty() {
        return Ok(());
    }
    key.less_safe_encrypt(data, EncryptionContext::Iv128(FixedLength::from(&counter))).map(|_| ())
}

/// Fills `out` with the session key of a label.
pub(super) fn derive(master: &MasterKey, label: Label, out: &mut [u8]) -> Result<(), Unspecified> {
    let mut counter = [0; 16];
    // A shorter salt is extended with zeros at its end (RFC 7714 section 11).
    counter[..master.salt().len()].copy_from_slice(master.salt());
    counter[7] ^= label as u8;
    out.fill(0);
    apply_key_stream(&counter_mode(master.key())?, counter, out)
}
