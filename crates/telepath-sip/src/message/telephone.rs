//! Telephone numbers in URIs (RFC 3966): a `tel:` URI, or the user part of a SIP URI, which may hold the same text
//! (RFC 3261 section 19.1.6). Parameters such as `npdi`, `rn` (RFC 4694), `tgrp` (RFC 4904) or `phone-context` are part of
//! neither the number nor the user name.

use super::lex::percent_decode;
use super::uri::Uri;

/// The user part of a URI, split into the part that names the user or holds the number, and its parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TelephoneSubscriber {
    name: String,
    params: Vec<(String, Option<String>)>,
}

impl TelephoneSubscriber {
    /// Splits the user part of a URI; `None` if it has none.
    pub fn of(uri: &Uri) -> Option<Self> {
        let (name, params) = match uri {
            Uri::Sip(uri) => {
                // An escaped semicolon belongs to the value it stands in (RFC 3261 section 19.1.4).
                let mut parts = uri.escaped_user()?.split(';');
                let name = percent_decode(parts.next().unwrap_or_default());
                (name, parts.map(parameter).collect())
            }
            Uri::Tel(uri) => {
                let params = uri.params().iter();
                let owned = |value: &str| percent_decode(value);
                let params = params.map(|p| (p.name().to_ascii_lowercase(), p.value().map(owned))).collect();
                (uri.number().to_owned(), params)
            }
            Uri::Other(_) => return None,
        };
        (!name.is_empty()).then_some(Self { name, params })
    }

    /// The user name or number as written, decoded and without parameters.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The value of a parameter; names are case-insensitive (RFC 3966 section 4).
    pub fn param(&self, name: &str) -> Option<&str> {
        let found = self.params.iter().find(|(have, _)| have.eq_ignore_ascii_case(name));
        found.and_then(|(_, value)| value.as_deref())
    }

    /// The digits of a number with its `+`, if it has one, and without visual separators (RFC 3966 section 5.1.1); `None` if
    /// this is not a telephone number.
    pub fn number(&self) -> Option<String> {
        number_of(&self.name)
    }

    /// The number in the global form `+` and digits, if it says so itself: it begins with `+`, or is a local number within a
    /// `phone-context` that is a prefix of numbers (RFC 3966 section 5.1.5).
    pub fn global_number(&self) -> Option<String> {
        let number = self.number()?;
        if number.starts_with('+') {
            return Some(number);
        }
        let prefix =
            self.param("phone-context").and_then(number_of).filter(|prefix| prefix.starts_with('+'))?;
        Some(format!("{prefix}{number}"))
    }

    /// The numbers that may be meant, in the global form, most likely first. Without a [`Self::global_number`], the
    /// international prefix `00` stands for `+`, or the `+` is missing.
    pub fn global_numbers(&self) -> Vec<String> {
        if let Some(number) = self.global_number() {
            return vec![number];
        }
        let Some(number) = self.number() else { return Vec::new() };
        let international = number.strip_prefix("00").map(|rest| format!("+{rest}"));
        international.into_iter().chain([format!("+{number}")]).collect()
    }
}

fn parameter(text: &str) -> (String, Option<String>) {
    match text.split_once('=') {
        Some((name, value)) => (percent_decode(name).to_ascii_lowercase(), Some(percent_decode(value))),
        None => (percent_decode(text).to_ascii_lowercase(), None),
    }
}

fn number_of(text: &str) -> Option<String> {
    let bare: String = text.chars().filter(|c| !matches!(c, '-' | '.' | '(' | ')' | ' ')).collect();
    let digits = bare.strip_prefix('+').unwrap_or(&bare);
    (!digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())).then_some(bare)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subscriber(uri: &str) -> TelephoneSubscriber {
        TelephoneSubscriber::of(&Uri::parse(uri).unwrap()).unwrap()
    }

    #[test]
    fn number_portability_and_trunk_group_parameters_are_not_part_of_the_number() {
        for uri in [
            "sip:+15550100123;npdi;rn=+15550199@sbc.test",
            "sip:+15550100123;tgrp=east-1;trunk-context=carrier.test@sbc.test;user=phone",
            "sip:+1-555-010.0123;npdi@sbc.test",
            "sip:+1(555)0100123;cic=+1288@sbc.test:5070;transport=udp",
            "sip:%2B15550100123;rn=+1%3B2@sbc.test",
            "tel:+1-555-010-0123;npdi;rn=+15550199",
        ] {
            let found = subscriber(uri);
            assert_eq!(found.number().as_deref(), Some("+15550100123"), "{uri}");
            assert_eq!(found.global_numbers(), ["+15550100123"], "{uri}");
        }
        let found = subscriber("sip:+15550100123;NPDI;rn=+1%3B2@sbc.test");
        assert_eq!((found.param("RN"), found.param("npdi")), (Some("+1;2"), None));
    }

    #[test]
    fn a_local_number_is_completed_with_its_phone_context() {
        let found = |uri: &str| subscriber(uri).global_numbers();
        assert_eq!(found("tel:5550100123;phone-context=+1"), ["+15550100123"]);
        assert_eq!(found("tel:555-0100123;Phone-Context=+1-"), ["+15550100123"]);
        assert_eq!(found("sip:(30)12345678;phone-context=%2B49@sbc.test"), ["+493012345678"]);
        assert_eq!(found("tel:+15550100123;phone-context=+49"), ["+15550100123"], "it is global already");
        assert_eq!(found("tel:15550100123;phone-context=1"), ["+15550100123"], "the context is not global");
        assert_eq!(found("sip:5550100123;phone-context=+1@sbc.test;user=phone"), ["+15550100123"]);
        assert_eq!(found("tel:5550100123;phone-context=carrier.test"), ["+5550100123"]);
        assert_eq!(found("sip:0015550100123@sbc.test"), ["+15550100123", "+0015550100123"]);
        assert_eq!(found("sip:15550100123@sbc.test"), ["+15550100123"]);
    }

    #[test]
    fn only_a_plus_or_a_prefix_in_the_context_makes_a_number_global() {
        let found = |uri: &str| subscriber(uri).global_number();
        for uri in
            ["tel:+1-555-010-0123", "tel:5550100123;phone-context=+1", "sip:+15550100123;npdi@sbc.test"]
        {
            assert_eq!(found(uri).as_deref(), Some("+15550100123"), "{uri}");
        }
        for uri in [
            "tel:15550100123;phone-context=carrier.test",
            "sip:0015550100123@sbc.test",
            "sip:support-01@sbc.test",
        ] {
            assert_eq!(found(uri), None, "{uri}");
        }
    }

    #[test]
    fn a_user_name_with_parameters_stays_a_user_name() {
        let found = subscriber("sip:support-01;tgrp=east@sbc.test");
        assert_eq!((found.name(), found.number()), ("support-01", None));
        assert!(found.global_numbers().is_empty());
        for uri in ["sip:sbc.test", "sip:;tgrp=x@sbc.test", "urn:service:sos"] {
            assert!(Uri::parse(uri).is_none_or(|uri| TelephoneSubscriber::of(&uri).is_none()), "{uri}");
        }
        assert_eq!(subscriber("sip:+@sbc.test").number(), None);
    }
}
