//! Time-based one-time passwords (RFC 6238) as authenticator apps generate them: HMAC-SHA-1, 30 seconds, six digits.

use std::fmt;

use aws_lc_rs::hmac;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use zeroize::Zeroizing;

use super::Email;
use crate::clock::Timestamp;
use crate::entropy::{Entropy, EntropyError, random_bytes};
use crate::secret::SecretText;

/// RFC 4226 section 4, requirement R6, recommends 160 bits.
const SECRET_LENGTH: usize = 20;
/// The time step X (RFC 6238 section 4.1).
const STEP_SECONDS: i64 = 30;
const DIGITS: usize = 6;
/// Steps before and after the present one whose code is accepted, for clocks that differ (RFC 6238 section 6).
const DRIFT: i64 = 1;
/// RFC 4648 section 6, the alphabet that authenticator apps read.
const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// Everything but the unreserved characters of RFC 3986 section 2.3.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The shared secret of one authenticator.
pub struct TotpSecret(Zeroizing<[u8; SECRET_LENGTH]>);

/// The text is not a secret as [`TotpSecret::to_base32`] writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a TOTP secret")]
pub struct InvalidTotpSecret;

impl TotpSecret {
    /// A new secret.
    pub fn generate(entropy: &dyn Entropy) -> Result<Self, EntropyError> {
        Ok(Self(Zeroizing::new(random_bytes(entropy)?)))
    }

    /// The text that a person types into an authenticator, and that is sealed for storage: 32 symbols.
    pub fn to_base32(&self) -> SecretText {
        let mut text = String::with_capacity(32);
        // Five bytes are eight symbols, and 20 bytes are four such groups.
        for group in self.0.chunks_exact(5) {
            let bits = group.iter().fold(0_u64, |bits, byte| bits << 8 | u64::from(*byte));
            for place in (0..8).rev() {
                text.push(char::from(BASE32[(bits >> (place * 5) & 31) as usize]));
            }
        }
        SecretText::new(text)
    }

    /// Reads [`TotpSecret::to_base32`] back.
    pub fn parse(text: &SecretText) -> Result<Self, InvalidTotpSecret> {
        let symbols = text.expose().as_bytes();
        if symbols.len() != SECRET_LENGTH * 8 / 5 {
            return Err(InvalidTotpSecret);
        }
        let mut secret = Zeroizing::new([0; SECRET_LENGTH]);
        for (out, group) in secret.chunks_exact_mut(5).zip(symbols.chunks_exact(8)) {
            let mut bits = 0_u64;
            for symbol in group {
                let value = BASE32.iter().position(|known| known == symbol).ok_or(InvalidTotpSecret)?;
                bits = bits << 5 | value as u64;
            }
            out.copy_from_slice(&bits.to_be_bytes()[3..]);
        }
        Ok(Self(secret))
    }

    /// The URI that a QR code carries, in the form that Google Authenticator introduced and others read. The issuer is
    /// the name of this installation, shown next to the address.
    pub fn uri(&self, issuer: &str, email: &Email) -> SecretText {
        let issuer = utf8_percent_encode(issuer, RESERVED);
        let label = format!("{issuer}:{}", utf8_percent_encode(email.as_str(), RESERVED));
        SecretText::new(format!(
            "otpauth://totp/{label}?secret={}&issuer={issuer}&algorithm=SHA1&digits={DIGITS}&period={STEP_SECONDS}",
            self.to_base32().expose()
        ))
    }

    /// The time step whose code this is: the present one, or one step before or after it. `None` for a wrong code and
    /// for one whose step is not after `used`, the step of the last accepted code: a code is accepted once (RFC 6238
    /// section 5.2). All candidates are always compared, so the time taken reveals nothing.
    pub fn verify(&self, code: &str, now: Timestamp, used: Option<i64>) -> Option<i64> {
        let typed: String = code.chars().filter(|symbol| *symbol != ' ').collect();
        let present = step_of(now);
        let mut accepted = None;
        for step in present - DRIFT..=present + DRIFT {
            let right: bool =
                subtle::ConstantTimeEq::ct_eq(self.code(step).as_bytes(), typed.as_bytes()).into();
            if right && used.is_none_or(|used| step > used) {
                accepted = Some(step);
            }
        }
        accepted
    }

    /// The code that an authenticator shows at a moment.
    pub fn code_at(&self, moment: Timestamp) -> String {
        self.code(step_of(moment))
    }

    /// The code of a time step (RFC 4226 section 5.3).
    fn code(&self, step: i64) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, self.0.as_slice());
        let tag = hmac::sign(&key, &step.to_be_bytes());
        let tag = tag.as_ref();
        // Dynamic truncation: the low four bits of the last byte say where the 31 bits begin.
        let offset = usize::from(tag[tag.len() - 1] & 15);
        let bits = tag[offset..offset + 4].iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte));
        format!("{:0DIGITS$}", (bits & 0x7fff_ffff) % 1_000_000)
    }
}

impl fmt::Debug for TotpSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TotpSecret(…)")
    }
}

/// RFC 6238 section 4.2.
const fn step_of(moment: Timestamp) -> i64 {
    moment.unix_seconds().div_euclid(STEP_SECONDS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::SystemEntropy;

    fn rfc_secret() -> TotpSecret {
        TotpSecret(Zeroizing::new(*b"12345678901234567890"))
    }

    #[test]
    fn codes_match_the_vectors_of_rfc_6238_appendix_b() {
        // The last six of the eight digits of the table's SHA-1 rows.
        for (seconds, code) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
            (20_000_000_000, "353130"),
        ] {
            let now = Timestamp::from_unix_seconds(seconds);
            assert_eq!(rfc_secret().verify(code, now, None), Some(seconds / 30), "{seconds}");
        }
    }

    #[test]
    fn a_code_is_accepted_one_step_early_or_late_and_no_further() {
        let secret = rfc_secret();
        let at = |step: i64| Timestamp::from_unix_seconds(step * 30);
        let code = secret.code(1000);
        assert_eq!(secret.verify(&code, at(998), None), None);
        for step in 999..=1001 {
            assert_eq!(secret.verify(&code, at(step), None), Some(1000));
        }
        assert_eq!(secret.verify(&code, at(1002), None), None);
        assert_eq!(secret.verify(&format!("{} {}", &code[..3], &code[3..]), at(1000), None), Some(1000));
        for wrong in ["", "12345", "1234567", "abcdef"] {
            assert_eq!(secret.verify(wrong, at(1000), None), None);
        }
    }

    #[test]
    fn a_used_code_and_every_older_one_are_refused() {
        let secret = rfc_secret();
        let now = Timestamp::from_unix_seconds(1000 * 30);
        assert_eq!(secret.verify(&secret.code(1000), now, Some(1000)), None);
        assert_eq!(secret.verify(&secret.code(999), now, Some(1000)), None);
        assert_eq!(secret.verify(&secret.code(1001), now, Some(1000)), Some(1001));
    }

    #[test]
    fn secrets_survive_base32_and_match_rfc_4648() {
        assert_eq!(rfc_secret().to_base32().expose(), "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
        let secret = TotpSecret::generate(&SystemEntropy::default()).unwrap();
        assert_eq!(TotpSecret::parse(&secret.to_base32()).unwrap().0, secret.0);
        for wrong in ["", "GEZDGNBVGY3TQOJQ", "gezdgnbvgy3tqojqgezdgnbvgy3tqojq"] {
            assert!(TotpSecret::parse(&SecretText::new(wrong.to_owned())).is_err());
        }
    }

    #[test]
    fn the_uri_escapes_issuer_and_address() {
        let uri = rfc_secret().uri("Voice & more", &"ada+ops@example.com".parse().unwrap());
        assert!(
            uri.expose().starts_with("otpauth://totp/Voice%20%26%20more:ada%2Bops%40example.com?secret=GEZD"),
            "{}",
            uri.expose()
        );
        assert!(uri.expose().ends_with("&issuer=Voice%20%26%20more&algorithm=SHA1&digits=6&period=30"));
    }
}
