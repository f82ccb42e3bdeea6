//! Which number an INVITE calls, from the Request-URI and To, and how it is compared with the numbers of a trunk.

use telepath_core::trunk::{E164, SipUsername};
use telepath_sip::ReceivedInvite;
use telepath_sip::message::{Request, TelephoneSubscriber};

/// The fewest digits that tell a national number from an extension.
const MIN_NATIONAL_DIGITS: usize = 6;
/// The most digits of a dialled number in the text of a call record.
const MAX_SHOWN_DIGITS: usize = 32;
/// The most numbers of a trunk in the text of a call record.
const MAX_SHOWN_NUMBERS: usize = 3;

/// The user parts that name the callee: of the Request-URI, then of To.
#[derive(Debug)]
pub(super) struct CalledUsers([Option<TelephoneSubscriber>; 2]);

impl CalledUsers {
    pub(super) fn of_request(request: &Request) -> Self {
        Self([request.uri(), request.to().uri()].map(TelephoneSubscriber::of))
    }

    pub(super) fn of(invite: &ReceivedInvite) -> Self {
        Self([invite.uri(), invite.to()].map(|uri| uri.and_then(TelephoneSubscriber::of)))
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

    /// Whether the INVITE calls a telephone number, also one whose international form is not known.
    pub(super) fn are_numbers(&self) -> bool {
        self.0.iter().flatten().any(|user| user.number().is_some())
    }

    /// Whether the INVITE calls a number of this list in a national form: without its country code, or with a national
    /// prefix.
    pub(super) fn are_national(&self, numbers: &[E164]) -> bool {
        let Some(dialled) = self.dialled_number().filter(|number| !number.starts_with('+')) else {
            return false;
        };
        let significant = dialled.trim_start_matches('0');
        let same = |number: &E164| {
            significant.len() >= MIN_NATIONAL_DIGITS && number.as_str().ends_with(significant)
        };
        let prefixed = dialled.starts_with('0') && !dialled.starts_with("00");
        prefixed || numbers.iter().any(same)
    }

    /// What the call record says about a number that the trunk does not take.
    pub(super) fn explain_unlisted(&self, numbers: &[E164]) -> String {
        let number = self.dialled_number();
        let dialled: String =
            number.iter().flat_map(|number| number.chars()).take(MAX_SHOWN_DIGITS).collect();
        let significant = dialled.trim_start_matches(['+', '0']);
        let common = |number: &E164| {
            number.as_str().bytes().rev().zip(significant.bytes().rev()).take_while(|(a, b)| a == b).count()
        };
        // Those that look most like the dialled number first.
        let mut similar: Vec<&E164> = numbers.iter().collect();
        similar.sort_by_key(|number| (std::cmp::Reverse(common(number)), number.as_str()));
        let shown: Vec<&str> = similar.iter().take(MAX_SHOWN_NUMBERS).map(|number| number.as_str()).collect();
        let others = match numbers.len().saturating_sub(shown.len()) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let shown = shown.join(", ");
        if number.is_none() {
            return format!("the Request-URI and To name no number, and inbound_numbers has {shown}{others}");
        }
        let form = if self.are_national(numbers) { ", which is not in international form," } else { "" };
        format!("the caller dialled {dialled}{form} and inbound_numbers has {shown}{others}")
    }

    fn dialled_number(&self) -> Option<String> {
        self.0.iter().flatten().find_map(|user| user.global_number().or_else(|| user.number()))
    }

    /// Whether the Request-URI holds a telephone number, or no user at all, so that it does not name a trunk.
    pub(super) fn names_no_trunk(&self) -> bool {
        let [user, _] = &self.0;
        user.as_ref().is_none_or(|user| user.number().is_some())
    }

    /// The callee for the call record: the number of the trunk that was called, otherwise the number as it was dialled, or the
    /// trunk's user name.
    pub(super) fn party(&self, username: &SipUsername, numbers: &[E164]) -> String {
        let listed = self.numbers().into_iter().find(|number| numbers.contains(number)).map(String::from);
        listed.or_else(|| self.dialled_number()).unwrap_or_else(|| username.as_str().to_owned())
    }
}

/// The caller for the call record: the number if there is one, otherwise the user name.
pub(super) fn caller(user: Option<&TelephoneSubscriber>) -> String {
    let number = |user: &TelephoneSubscriber| user.global_number().or_else(|| user.number());
    user.map_or_else(String::new, |user| number(user).unwrap_or_else(|| user.name().to_owned()))
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
        assert_eq!(called("support-01", "+15550100123").party(&name, &[]), "+15550100123");
        assert_eq!(called("+1-555-0100123;npdi", "x").party(&name, &[]), "+15550100123");
        assert_eq!(called("support-01", "sales").party(&name, &[]), "support-01");
        assert_eq!(called("5550100123;phone-context=+1", "x").party(&name, &[]), "+15550100123");
        assert_eq!(called("0015550100123", "x").party(&name, &[]), "0015550100123");
        let listed = [number("+15550100123")];
        for dialled in ["0015550100123", "15550100123", "+1 555 0100123".replace(' ', "").as_str()] {
            assert_eq!(called(dialled, "x").party(&name, &listed), "+15550100123", "{dialled}");
        }
    }

    fn number(text: &str) -> E164 {
        E164::try_from(text.to_owned()).unwrap()
    }

    #[test]
    fn a_number_of_the_trunk_without_its_country_code_or_with_a_national_prefix_is_national() {
        let numbers = ["+493012345678", "+15550100123"].map(number);
        let national = |dialled: &str| called(dialled, "x").are_national(&numbers);
        for dialled in [
            "3012345678",
            "03012345678",
            "5550100123",
            "012345678",
            "0999",
            "(030) 1234-5678".replace(' ', "").as_str(),
        ] {
            assert!(national(dialled), "{dialled}");
        }
        for dialled in [
            "3012345679",
            "15550100199",
            "0015550100199",
            "45678",
            "+3012345678",
            "3012345678;phone-context=+43",
            "support-01",
        ] {
            assert!(!national(dialled), "{dialled}");
        }
    }

    #[test]
    fn the_call_record_says_what_was_dialled_and_what_the_trunk_has() {
        let numbers = ["+15550100111", "+15550100112", "+15550100113", "+15550100123"].map(number);
        assert_eq!(
            called("5550100123", "x").explain_unlisted(&numbers),
            "the caller dialled 5550100123, which is not in international form, and inbound_numbers has \
             +15550100123, +15550100113, +15550100111 and 1 more"
        );
        assert_eq!(
            called("+15550100199", "x").explain_unlisted(&numbers[..1]),
            "the caller dialled +15550100199 and inbound_numbers has +15550100111"
        );
        assert_eq!(
            called("support-01", "support-01").explain_unlisted(&numbers[..1]),
            "the Request-URI and To name no number, and inbound_numbers has +15550100111"
        );
        assert!(called(&"9".repeat(500), "x").explain_unlisted(&numbers).len() < 200);
    }
}
