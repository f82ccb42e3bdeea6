//! The packet transforms: counter mode with HMAC-SHA1 (RFC 3711 section 4) and Galois/counter mode (RFC 7714).
//!
//! The two differ in what they authenticate and in where the end of an SRTCP packet has its parts:
//!
//! ```text
//! counter mode   ciphertext | E + index | tag      the tag covers everything before it
//! GCM            ciphertext | tag | E + index      the tag covers header, ciphertext and E + index
//! ```

use super::derivation::{Label, apply_key_stream, counter_mode, derive};
use super::master_key::MasterKey;
use super::suite::CryptoSuite;
use crate::rtp::Ssrc;
use aws_lc_rs::aead::{AES_128_GCM, AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::cipher::EncryptingKey;
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::hmac;
use zeroize::Zeroizing;

/// The part of an RTCP packet that is not encrypted: the first word and the SSRC.
pub(super) const RTCP_HEADER: usize = 8;
/// The word with the E bit and the SRTCP index.
pub(super) const INDEX_WORD: usize = 4;
/// The E bit: the packet is encrypted.
pub(super) const ENCRYPTED: u32 = 1 << 31;
const HMAC_KEY: usize = 20;

/// The session keys for RTP, or for RTCP.
pub(super) enum SessionCipher {
    CounterMode { cipher: Box<EncryptingKey>, authenticator: Box<hmac::Key>, salt: [u8; 14], tag: usize },
    Gcm { key: LessSafeKey, salt: [u8; NONCE_LEN] },
}

impl SessionCipher {
    /// The keys for RTP.
    pub(super) fn for_rtp(master: &MasterKey) -> Result<Self, Unspecified> {
        Self::new(master, Label::RtpEncryption, Label::RtpAuthentication, Label::RtpSalt)
    }

    /// The keys for RTCP.
    pub(super) fn for_rtcp(master: &MasterKey) -> Result<Self, Unspecified> {
        Self::new(master, Label::RtcpEncryption, Label::RtcpAuthentication, Label::RtcpSalt)
    }

    fn new(
        master: &MasterKey,
        encryption: Label,
        authentication: Label,
        salting: Label,
    ) -> Result<Self, Unspecified> {
        let suite = master.suite();
        let mut key = Zeroizing::new([0; 32]);
        let key = &mut key[..suite.key_length()];
        derive(master, encryption, key)?;
        match suite {
            CryptoSuite::AesCm128HmacSha1_80 => {
                let mut secret = Zeroizing::new([0; HMAC_KEY]);
                derive(master, authentication, &mut *secret)?;
                let mut salt = [0; 14];
                derive(master, salting, &mut salt)?;
                Self::counter_mode(key, &secret, salt, suite.tag_length())
            }
            CryptoSuite::AeadAes128Gcm | CryptoSuite::AeadAes256Gcm => {
                let mut salt = [0; NONCE_LEN];
                derive(master, salting, &mut salt)?;
                Self::gcm(key, salt)
            }
        }
    }

    pub(super) fn counter_mode(
        key: &[u8],
        secret: &[u8; HMAC_KEY],
        salt: [u8; 14],
        tag: usize,
    ) -> Result<Self, Unspecified> {
        let authenticator = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret);
        Ok(Self::CounterMode {
            cipher: Box::new(counter_mode(key)?),
            authenticator: Box::new(authenticator),
            salt,
            tag,
        })
    }

    pub(super) fn gcm(key: &[u8], salt: [u8; NONCE_LEN]) -> Result<Self, Unspecified> {
        let algorithm = if key.len() == 32 { &AES_256_GCM } else { &AES_128_GCM };
        Ok(Self::Gcm { key: LessSafeKey::new(UnboundKey::new(algorithm, key)?), salt })
    }

    /// Protects an RTP packet whose last bytes are room for the tag.
    pub(super) fn seal_rtp(
        &self,
        packet: &mut [u8],
        header: usize,
        ssrc: Ssrc,
        index: u64,
    ) -> Result<(), Unspecified> {
        let tag_length = self.tag_length();
        let (text, room) = packet
            .split_at_mut_checked(packet.len().saturating_sub(tag_length))
            .filter(|(text, room)| text.len() >= header && room.len() == tag_length)
            .ok_or(Unspecified)?;
        match self {
            Self::CounterMode { cipher, authenticator, salt, tag } => {
                apply_key_stream(cipher, counter(salt, ssrc, index), &mut text[header..])?;
                let digest = sign_rtp(authenticator, text, index);
                room.copy_from_slice(&digest.as_ref()[..*tag]);
            }
            Self::Gcm { key, salt } => {
                let (aad, payload) = text.split_at_mut(header);
                let nonce = rtp_nonce(salt, ssrc, index);
                let tag = key.seal_in_place_separate_tag(nonce, Aad::from(&*aad), payload)?;
                room.copy_from_slice(tag.as_ref());
            }
        }
        Ok(())
    }

    /// Authenticates and decrypts an RTP packet and returns its length without the tag.
    pub(super) fn open_rtp(
        &self,
        packet: &mut [u8],
        header: usize,
        ssrc: Ssrc,
        index: u64,
    ) -> Result<usize, Unspecified> {
        let length = packet.len().checked_sub(self.tag_length()).filter(|&length| length >= header);
        let length = length.ok_or(Unspecified)?;
        match self {
            Self::CounterMode { cipher, authenticator, salt, tag } => {
                let (text, received) = packet.split_at_mut(length);
                let digest = sign_rtp(authenticator, text, index);
                verify_slices_are_equal(&digest.as_ref()[..*tag], received)?;
                apply_key_stream(cipher, counter(salt, ssrc, index), &mut text[header..])?;
            }
            Self::Gcm { key, salt } => {
                let (aad, sealed) = packet.split_at_mut(header);
                key.open_in_place(rtp_nonce(salt, ssrc, index), Aad::from(&*aad), sealed)?;
            }
        }
        Ok(length)
    }

    /// Protects a compound RTCP packet and appends what SRTCP adds.
    pub(super) fn seal_rtcp(&self, packet: &mut Vec<u8>, ssrc: Ssrc, index: u32) -> Result<(), Unspecified> {
        let word = (ENCRYPTED | index).to_be_bytes();
        if packet.len() < RTCP_HEADER {
            return Err(Unspecified);
        }
        match self {
            Self::CounterMode { cipher, authenticator, salt, tag } => {
                apply_key_stream(cipher, counter(salt, ssrc, index.into()), &mut packet[RTCP_HEADER..])?;
                packet.extend_from_slice(&word);
                let digest = hmac::sign(authenticator, packet);
                packet.extend_from_slice(&digest.as_ref()[..*tag]);
            }
            Self::Gcm { key, salt } => {
                let (header, text) = packet.split_at_mut(RTCP_HEADER);
                let aad = Aad::from(rtcp_aad(header, word)?);
                let tag = key.seal_in_place_separate_tag(rtcp_nonce(salt, ssrc, index), aad, text)?;
                packet.extend_from_slice(tag.as_ref());
                packet.extend_from_slice(&word);
            }
        }
        Ok(())
    }

    /// The word with the E bit and the index of a protected RTCP packet.
    pub(super) fn index_word(&self, packet: &[u8]) -> Option<u32> {
        let after = match self {
            Self::CounterMode { tag, .. } => *tag,
            Self::Gcm { .. } => 0,
        };
        let end = packet.len().checked_sub(after)?;
        let word = packet.get(end.checked_sub(INDEX_WORD)?..end)?;
        word.first_chunk().map(|word| u32::from_be_bytes(*word))
    }

    /// Authenticates and decrypts an RTCP packet and returns its length without what SRTCP added.
    pub(super) fn open_rtcp(&self, packet: &mut [u8], ssrc: Ssrc, index: u32) -> Result<usize, Unspecified> {
        let trailer = self.tag_length() + INDEX_WORD;
        let length = packet.len().checked_sub(trailer).filter(|&length| length >= RTCP_HEADER);
        let length = length.ok_or(Unspecified)?;
        match self {
            Self::CounterMode { cipher, authenticator, salt, tag } => {
                let (signed, received) = packet.split_at_mut(length + INDEX_WORD);
                let digest = hmac::sign(authenticator, signed);
                verify_slices_are_equal(&digest.as_ref()[..*tag], received)?;
                let text = &mut signed[RTCP_HEADER..length];
                apply_key_stream(cipher, counter(salt, ssrc, index.into()), text)?;
            }
            Self::Gcm { key, salt } => {
                let aad = Aad::from(rtcp_aad(packet, (ENCRYPTED | index).to_be_bytes())?);
                let end = packet.len() - INDEX_WORD;
                key.open_in_place(rtcp_nonce(salt, ssrc, index), aad, &mut packet[RTCP_HEADER..end])?;
            }
        }
        Ok(length)
    }

    /// Whether the tag is at the very end, behind a master key identifier (RFC 3711 section 3.1), and not before it (RFC
    /// 7714 section 8.2).
    pub(super) fn ends_with_tag(&self) -> bool {
        match self {
            Self::CounterMode { .. } => true,
            Self::Gcm { .. } => false,
        }
    }

    /// Length of the authentication tag.
    pub(super) fn tag_length(&self) -> usize {
        match self {
            Self::CounterMode { tag, .. } => *tag,
            Self::Gcm { key, .. } => key.algorithm().tag_len(),
        }
    }
}

impl std::fmt::Debug for SessionCipher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SessionCipher([redacted])")
    }
}

/// The tag covers the packet and the rollover counter, which is not sent (RFC 3711 section 4.2).
fn sign_rtp(authenticator: &hmac::Key, packet: &[u8], index: u64) -> hmac::Tag {
    let mut context = hmac::Context::with_key(authenticator);
    context.update(packet);
    context.update(&rollover_counter(index));
    context.sign()
}

fn rollover_counter(index: u64) -> [u8; 4] {
    let [_, _, a, b, c, d, _, _] = index.to_be_bytes();
    [a, b, c, d]
}

/// The first counter block of a packet: the exclusive or of the salt, the SSRC and the index (RFC 3711 section 4.1.1).
fn counter(salt: &[u8; 14], ssrc: Ssrc, index: u64) -> [u8; 16] {
    let mut block = [0; 16];
    block[..14].copy_from_slice(salt);
    xor(&mut block[4..8], &ssrc.0.to_be_bytes());
    xor(&mut block[8..14], &index.to_be_bytes()[2..]);
    block
}

/// The nonce of an RTP packet: the exclusive or of the salt and of SSRC, rollover counter and sequence number (RFC 7714 section 8.1).
fn rtp_nonce(salt: &[u8; NONCE_LEN], ssrc: Ssrc, index: u64) -> Nonce {
    let mut nonce = *salt;
    xor(&mut nonce[2..6], &ssrc.0.to_be_bytes());
    xor(&mut nonce[6..], &index.to_be_bytes()[2..]);
    Nonce::assume_unique_for_key(nonce)
}

/// The nonce of an RTCP packet (RFC 7714 section 9.1).
fn rtcp_nonce(salt: &[u8; NONCE_LEN], ssrc: Ssrc, index: u32) -> Nonce {
    let mut nonce = *salt;
    xor(&mut nonce[2..6], &ssrc.0.to_be_bytes());
    xor(&mut nonce[8..], &index.to_be_bytes());
    Nonce::assume_unique_for_key(nonce)
}

fn rtcp_aad(packet: &[u8], word: [u8; INDEX_WORD]) -> Result<[u8; RTCP_HEADER + INDEX_WORD], Unspecified> {
    let mut aad = [0; RTCP_HEADER + INDEX_WORD];
    aad[..RTCP_HEADER].copy_from_slice(packet.get(..RTCP_HEADER).ok_or(Unspecified)?);
    aad[RTCP_HEADER..].copy_from_slice(&word);
    Ok(aad)
}

fn xor(block: &mut [u8], with: &[u8]) {
    block.iter_mut().zip(with).for_each(|(byte, with)| *byte ^= with);
}
