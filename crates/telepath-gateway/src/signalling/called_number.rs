//! Which number an INVITE calls, from the Request-URI and To, and how it is compared with the numbers of a trunk.

use telepath_core::trunk::{E164, SipUsername};
use telepath_sip::message::{Request, TelephoneSubscriber};

/// The user parts that name the callee: of the Request-URI, then of To.
#[derive(Debug)]
pub(super) struct CalledUsers([Option<TelephoneSubscriber>; 2]);

impl CalledUsers {
    pub(super) fn of(request: &Request) -> Self {
        Self([request.uri(), request.to().uri()].map(TelephoneSubscriber::of))
    }

    /// The user of the Request-URI, if it may be a SIP username.
    pub(super) fn username(&self) -> Option<SipUsername> {
        let [user, _] = &self.0;
        SipUsername::try_from(user.as_ref()?.name().to_owned()).ok()
    }

    /// The numbers that the INVITE may call, most likely first.
    pub(super) fn numbers(&self) -> Vec<E164> {
        let mut numbers: Vec<E164> = Vec::new();
        for number in self.0.iter().flatten().flat_map(TelephoneSubscriber::global_numbers) {
            if let Ok(number) = E164::try_from(number)
                && !numbers.contains(&number)
            {
                numbers.push(number);
            }
        }
        numbers
    }

    /// Whether the Request-URI holds a telephone number, or no user at all, so that it does not name a trunk.
    pub(super) fn names_no_trunk(&self) -> bool {
        let [user, _] = &self.0;
        user.as_ref().is_none_or(|user| user.number().is_some())
    }

    /// The callee for the call record: the number if there is one, otherwise the trunk's user name.
    pub(super) fn party(&self, username: &SipUsername) -> String {
        let number = self.0.iter().flatten().find_map(TelephoneSubscriber::number);
        number.unwrap_or_else(|| username.as_str().to_owned())
    }
}

/// The caller for the call record: the number if there is one, otherwise the user name.
pub(super) fn caller(user: Option<&TelephoneSubscriber>) -> String {
    user.map_or_else(String::new, |user| user.number().unwrap_or_else(|| user.name().to_owned()))
}

#[cfg(test)]
mod tests {
    use telepath_sip::message::Uri;

    use super::*;

    fn called(uri: &str, to: &str) -> CalledUsers {
        CalledUsers(
            [uri, to].map(|user| {
                TelephoneSubscriber::of(&Uri::parse(&format!("sip:{user}@callee.test")).unwrap())
            }),
        )
    }

    #[test]
    fn numbers_are_compared_by_their_digits() {
        let number = E164::try_from("+15550100123".to_owned()).unwrap();
        let matches = |user: &str| called("support", user).numbers().contains(&number);
        assert!(matches("+15550100123") && matches("15550100123") && matches("+1-555-010.0123"));
        assert!(matches("+15550100123;npdi;rn=+15550199") && matches("5550100123;phone-context=+1"));
        assert!(!matches("+15550100124") && !matches("support"));
    }

    #[test]
    fn the_request_uri_comes_before_to_and_each_number_once() {
        let numbers = called("15550100123", "+15550100123;tgrp=a").numbers();
        assert_eq!(numbers.iter().map(E164::as_str).collect::<Vec<_>>(), ["+15550100123"]);
        let numbers = called("+15550100123", "+15550100124").numbers();
        assert_eq!(numbers.iter().map(E164::as_str).collect::<Vec<_>>(), ["+15550100123", "+15550100124"]);
    }

    #[test]
    fn the_call_record_prefers_the_number_over_the_user_name() {
        let name = SipUsername::try_from("support-01".to_owned()).unwrap();
        assert_eq!(called("support-01", "+15550100123").party(&name), "+15550100123");
        assert_eq!(called("+1-555-0100123;npdi", "x").party(&name), "+15550100123");
        assert_eq!(called("support-01", "sales").party(&name), "support-01");
    }
}
