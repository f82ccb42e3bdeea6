//! Security descriptions: `a=crypto` (RFC 4568), which exchanges the keys of SRTP.

use super::{MediaDescription, NegotiationError};
use crate::srtp::{CryptoSuite, KeyIdentifier, MasterKey, PeerKey, SrtpKeys};
use std::fmt::{Display, Formatter, Result as FmtResult};

/// Maximum number of `a=crypto` attributes per m-line; further ones are ignored.
pub const MAX_CRYPTO: usize = 16;
/// The most packets that a key may protect (RFC 4568 section 6.1): a longer lifetime is invalid.
const MAX_LIFETIME: u64 = 1 << 48;

/// Whether a call uses SRTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum SrtpPolicy {
    /// Never.
    Off,
    /// If the peer supports it.
    #[default]
    Preferred,
    /// Always; a call without it is refused.
    Required,
}

/// An `a=crypto` attribute that this server can use. Others are ignored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CryptoAttribute {
    /// Names the attribute within its m-line; an answer has the tag that it accepts.
    pub tag: u32,
    /// The key of what the author sends.
    pub key: PeerKey,
}

impl CryptoAttribute {
    /// Parses `tag suite inline:key||salt|lifetime|MKI:length session-parameters`; `None` if the attribute is malformed, or
    /// asks for something that is not supported: another suite, several keys, a key derivation rate, forward error
    /// correction, or packets that are not encrypted or not authenticated.
    pub fn parse(value: &str) -> Option<Self> {
        let mut fields = value.split_ascii_whitespace();
        let tag = fields.next().filter(|tag| tag.len() <= 9)?.parse().ok()?;
        let suite = CryptoSuite::from_name(fields.next()?)?;
        let (method, parameters) = fields.next()?.split_once(':')?;
        if !method.eq_ignore_ascii_case("inline") || !fields.all(may_be_ignored) {
            return None;
        }
        let mut parts = parameters.split('|');
        let key = MasterKey::from_base64(suite, parts.next()?)?;
        let mut identifier = None;
        for (position, part) in parts.enumerate() {
            if part.contains(':') {
                identifier = Some(KeyIdentifier::parse(part).filter(|_| identifier.is_none())?);
            } else if position > 0 || !is_lifetime(part) {
                return None;
            }
        }
        Some(Self { tag, key: PeerKey { key, identifier } })
    }

    /// The suite.
    pub fn suite(&self) -> CryptoSuite {
        self.key.key.suite()
    }
}

/// A session parameter that changes nothing: the window size is a hint, and an unknown parameter may be ignored if it begins
/// with `-` (RFC 4568 section 6.3).
fn may_be_ignored(parameter: &str) -> bool {
    parameter.starts_with("WSH=") || parameter.starts_with('-')
}

/// `2^31`, or the number in full. The peer watches over the lifetime of its own key.
fn is_lifetime(text: &str) -> bool {
    let packets = match text.strip_prefix("2^") {
        Some(exponent) => exponent.parse().ok().and_then(|exponent| 1_u64.checked_shl(exponent)),
        None => text.parse().ok(),
    };
    packets.is_some_and(|packets| (1..=MAX_LIFETIME).contains(&packets))
}

/// Writes the value of the attribute, with the key.
impl Display for CryptoAttribute {
    fn fmt(&self, f: &mut Formatter<'_>) -> FmtResult {
        write!(f, "{} {} inline:{}", self.tag, self.suite().name(), *self.key.key.to_base64())
    }
}

/// Which of the peer's offered attributes to use: the first that is supported, because the offerer's order of preference
/// counts (RFC 4568 section 5.1.2). `Ok(None)` means audio in clear.
///
/// `secure` is whether the stream has a profile of SRTP, which cannot be used without keys (section 5.1.2).
pub(super) fn select(
    offered: &MediaDescription,
    secure: bool,
    policy: SrtpPolicy,
) -> Result<Option<&CryptoAttribute>, NegotiationError> {
    match (policy, offered.crypto.first(), secure) {
        (SrtpPolicy::Off, _, true) => Err(NegotiationError::SrtpOff),
        (SrtpPolicy::Off, _, false) | (SrtpPolicy::Preferred, None, false) => Ok(None),
        (SrtpPolicy::Preferred | SrtpPolicy::Required, Some(attribute), _) => Ok(Some(attribute)),
        (SrtpPolicy::Preferred | SrtpPolicy::Required, None, true) => Err(NegotiationError::NoCommonSuite),
        (SrtpPolicy::Required, None, false) if offered.has_other_crypto => {
            Err(NegotiationError::NoCommonSuite)
        }
        (SrtpPolicy::Required, None, false) => Err(NegotiationError::SrtpRequired),
    }
}

/// The keys of an answer to our offer. `secure` is whether the answer has a profile of SRTP, and `required` whether our offer
/// had one.
pub(super) fn answered_keys(
    offered: &MediaDescription,
    answered: &MediaDescription,
    secure: bool,
    required: bool,
) -> Result<Option<SrtpKeys>, NegotiationError> {
    // Audio in clear would not be what the peer sends if it answered with keys that we cannot use.
    let Some(answer) = answered.crypto.first().filter(|_| !answered.has_other_crypto) else {
        let clear = !secure && !required && answered.crypto.is_empty() && !answered.has_other_crypto;
        return if clear { Ok(None) } else { Err(NegotiationError::AnswerMismatch) };
    };
    let ours = offered
        .crypto
        .iter()
        .find(|ours| ours.tag == answer.tag && ours.suite() == answer.suite())
        .ok_or(NegotiationError::AnswerMismatch)?;
    Ok(Some(SrtpKeys { local: ours.key.key.clone(), remote: answer.key.clone() }))
}
