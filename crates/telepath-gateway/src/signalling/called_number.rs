//! Which number an INVITE calls, from the Request-URI and To, and how it is compared with the numbers of a trunk.

use telepath_core::trunk::{E164, SipUsername};
use telepath_sip::message::Request;

/// The user parts that name the callee: of the Request-URI, then of To.
#[derive(Debug)]
pub(super) struct CalledUsers([Option<String>; 2]);

impl CalledUsers {
    pub(super) fn of(request: &Request) -> Self {
        Self([request.uri().user(), request.to().uri().user()])
    }

    /// Whether the INVITE calls this number.
    pub(super) fn contain(&self, number: &E164) -> bool {
        let wanted = number.as_str().trim_start_matches('+');
        self.0.iter().flatten().filter_map(|user| digits_of(user)).any(|digits| digits == wanted)
    }

    /// The callee for the call record: the number if there is one, otherwise the trunk's user name.
    pub(super) fn party(&self, username: &SipUsername) -> String {
        let number = self.0.iter().flatten().find(|user| digits_of(user).is_some());
        number.cloned().unwrap_or_else(|| username.as_str().to_owned())
    }
}

/// The digits of a telephone number without `+` and visual separators (RFC 3966 section 5.1.1); `None` if the text is
/// not a telephone number.
pub(super) fn digits_of(user: &str) -> Option<String> {
    let bare: String = user.chars().filter(|c| !matches!(c, '-' | '.' | '(' | ')' | ' ')).collect();
    let digits = bare.strip_prefix('+').unwrap_or(&bare);
    (!digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())).then(|| digits.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn called(uri: &str, to: &str) -> CalledUsers {
        CalledUsers([Some(uri.to_owned()), Some(to.to_owned())])
    }

    #[test]
    fn numbers_are_compared_by_their_digits() {
        let number = E164::try_from("+15550100123".to_owned()).unwrap();
        let matches = |user: &str| called("support", user).contain(&number);
        assert!(matches("+15550100123") && matches("15550100123") && matches("+1-555-010.0123"));
        assert!(!matches("+15550100124") && !matches("support") && !matches(""));
    }

    #[test]
    fn the_call_record_prefers_the_number_over_the_user_name() {
        let name = SipUsername::try_from("support-01".to_owned()).unwrap();
        assert_eq!(called("support-01", "+15550100123").party(&name), "+15550100123");
        assert_eq!(called("+15550100123", "x").party(&name), "+15550100123");
        assert_eq!(called("support-01", "sales").party(&name), "support-01");
    }
}
