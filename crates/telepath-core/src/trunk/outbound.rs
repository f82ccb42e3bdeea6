//! Where a trunk may send calls: the rules that every transfer must pass, whoever asks for it. Whoever can make a server call
//! numbers of their choice earns money with it (toll fraud), so without rules nothing is permitted.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::E164;
use crate::validation::Invalid;

/// The most prefixes, and the most hosts, of a trunk.
const MAX_ENTRIES: usize = 200;
/// Transfers of a trunk that may be pending at once if it names no number.
const DEFAULT_CONCURRENT: u32 = 10;
/// Transfers of a trunk within a minute if it names no number.
const DEFAULT_PER_MINUTE: u32 = 30;
/// The largest of both numbers.
const MAX_COUNT: u32 = 10_000;
/// The longest target in bytes.
const MAX_TARGET_BYTES: usize = 512;

/// The first digits of numbers in E.164 form, such as `+1555`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct NumberPrefix(String);

impl NumberPrefix {
    /// Whether a number begins with it.
    fn matches(&self, number: &E164) -> bool {
        number.as_str().starts_with(&self.0)
    }
}

impl TryFrom<String> for NumberPrefix {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, &'static str> {
        let digits = text.strip_prefix('+').unwrap_or_default();
        let valid = (1..=15).contains(&digits.len())
            && digits.bytes().all(|b| b.is_ascii_digit())
            && !digits.starts_with('0');
        if valid { Ok(Self(text)) } else { Err("must be a + and 1 to 15 digits, such as +1555") }
    }
}

impl From<NumberPrefix> for String {
    fn from(prefix: NumberPrefix) -> Self {
        prefix.0
    }
}

/// The host of a `sip:` URI, in lower case: a name or an address.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SipHost(String);

impl TryFrom<String> for SipHost {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, &'static str> {
        let inner = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        let valid = match inner {
            Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
            None => {
                (1..=253).contains(&text.len())
                    && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.'))
                    && !text.starts_with(['-', '.'])
            }
        };
        if valid { Ok(Self(text.to_ascii_lowercase())) } else { Err("must be a host name or an IP address") }
    }
}

impl From<SipHost> for String {
    fn from(host: SipHost) -> Self {
        host.0
    }
}

/// The rules of a trunk. By default nothing is permitted.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct OutboundRules {
    /// The numbers that may be called; empty means none.
    #[serde(default)]
    pub allowed_prefixes: Vec<NumberPrefix>,
    /// The hosts of `sip:` URIs that may be called; empty means none.
    #[serde(default)]
    pub allowed_hosts: Vec<SipHost>,
    /// Transfers that may be pending at once; `None` means 10.
    #[serde(default)]
    pub max_concurrent: Option<u32>,
    /// Transfers within a minute; `None` means 30.
    #[serde(default)]
    pub max_per_minute: Option<u32>,
}

/// Rules that are not checked yet.
#[derive(Debug, Clone, Default)]
#[cfg_attr(test, derive(Deserialize), serde(default, deny_unknown_fields))]
pub struct OutboundDraft {
    /// First digits in E.164 form.
    pub allowed_prefixes: Option<Vec<String>>,
    /// Hosts of `sip:` URIs.
    pub allowed_hosts: Option<Vec<String>>,
    /// Pending transfers, 1–10000.
    pub max_concurrent: Option<u32>,
    /// Transfers within a minute, 1–10000.
    pub max_per_minute: Option<u32>,
}

impl OutboundDraft {
    pub(super) fn check(self, problems: &mut Invalid) -> OutboundRules {
        let count = |n| super::draft::in_range(n, MAX_COUNT);
        OutboundRules {
            allowed_prefixes: checked("outbound.allowed_prefixes", self.allowed_prefixes, problems),
            allowed_hosts: checked("outbound.allowed_hosts", self.allowed_hosts, problems),
            max_concurrent: problems.optional("outbound.max_concurrent", self.max_concurrent, count),
            max_per_minute: problems.optional("outbound.max_per_minute", self.max_per_minute, count),
        }
    }
}

fn checked<T: TryFrom<String, Error = &'static str> + Ord>(
    field: &str,
    texts: Option<Vec<String>>,
    problems: &mut Invalid,
) -> Vec<T> {
    let texts = texts.unwrap_or_default();
    if texts.len() > MAX_ENTRIES {
        problems.wrong(field, format!("must hold at most {MAX_ENTRIES} entries"));
        return Vec::new();
    }
    let places = texts.into_iter().enumerate();
    let mut list: Vec<T> = places
        .filter_map(|(place, text)| problems.keep(&format!("{field}[{place}]"), T::try_from(text)))
        .collect();
    list.sort();
    list.dedup();
    list
}

/// Whom to call, in one spelling: `tel:` and a number in E.164 form, or a `sip:` URI.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallTarget {
    uri: String,
    number: Option<E164>,
    host: Option<SipHost>,
}

/// The text names nobody who can be called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a number in E.164 form, a tel: URI with one, or a sip: URI")]
pub struct InvalidTarget;

impl CallTarget {
    /// Reads a number, a `tel:` URI or a `sip:` URI.
    ///
    /// # Errors
    /// [`InvalidTarget`]. A URI with headers, or with parameters other than `transport` and `user`, is not accepted, because
    /// those could lead elsewhere than the number and the host that the rules look at.
    pub fn parse(text: &str) -> Result<Self, InvalidTarget> {
        if text.len() > MAX_TARGET_BYTES || !text.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(InvalidTarget);
        }
        match text.split_once(':') {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("tel") => Self::number(rest),
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("sip") => Self::sip("sip", rest),
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("sips") => Self::sip("sips", rest),
            Some(_) => Err(InvalidTarget),
            None => Self::number(text),
        }
    }

    fn number(text: &str) -> Result<Self, InvalidTarget> {
        let number = global_number(text).ok_or(InvalidTarget)?;
        Ok(Self { uri: format!("tel:{}", number.as_str()), number: Some(number), host: None })
    }

    fn sip(scheme: &str, rest: &str) -> Result<Self, InvalidTarget> {
        if rest.contains(['?', '<', '>', '"', ',', '%', '\\']) {
            return Err(InvalidTarget);
        }
        let (address, params) = rest.split_once(';').map_or((rest, None), |(a, p)| (a, Some(p)));
        let (user, host_port) = address.split_once('@').ok_or(InvalidTarget)?;
        if user.is_empty() || user.contains(':') || host_port.contains('@') {
            return Err(InvalidTarget);
        }
        let (host, port) = split_port(host_port).ok_or(InvalidTarget)?;
        let host = SipHost::try_from(host.to_owned()).map_err(|_| InvalidTarget)?;
        for param in params.into_iter().flat_map(|params| params.split(';')) {
            let (name, value) = param.split_once('=').ok_or(InvalidTarget)?;
            let known = name.eq_ignore_ascii_case("transport") || name.eq_ignore_ascii_case("user");
            if !known || value.is_empty() || !value.bytes().all(|b| b.is_ascii_alphanumeric()) {
                return Err(InvalidTarget);
            }
        }
        let port = port.map(|port| format!(":{port}")).unwrap_or_default();
        let params = params.map(|params| format!(";{params}")).unwrap_or_default();
        let uri = format!("{scheme}:{user}@{}{port}{params}", host.0);
        Ok(Self { uri, number: dialled_number(user), host: Some(host) })
    }

    /// The URI.
    pub fn uri(&self) -> &str {
        &self.uri
    }

    /// Whether the user of a `sip:` URI looks like a number but is none in E.164 form.
    fn is_local_number(&self) -> bool {
        let user =
            self.uri.split_once(':').and_then(|(_, rest)| rest.split_once('@')).map_or("", |(user, _)| user);
        let digits = user.bytes().filter(u8::is_ascii_digit).count();
        self.number.is_none() && digits > MAX_EXTENSION_DIGITS && digits * 2 > user.len()
    }
}

impl fmt::Display for CallTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.uri)
    }
}

/// Users with more digits, most of them digits, are treated as telephone numbers.
const MAX_EXTENSION_DIGITS: usize = 6;

/// A global number of RFC 3966 without its visual separators. Parameters are not accepted: an extension or a subaddress says
/// nothing about who pays.
fn global_number(text: &str) -> Option<E164> {
    if !text.starts_with('+') {
        return None;
    }
    let digits: String = text.chars().filter(|c| !matches!(c, '-' | '.' | '(' | ')')).collect();
    E164::try_from(digits).ok()
}

/// The number of a SIP user. A number without a plus is read as one with it, so that it cannot pass the rules by being
/// spelled differently.
fn dialled_number(user: &str) -> Option<E164> {
    global_number(user).or_else(|| {
        let digits = user.len() > MAX_EXTENSION_DIGITS && user.bytes().all(|b| b.is_ascii_digit());
        digits.then(|| global_number(&format!("+{user}"))).flatten()
    })
}

/// The host and the port of `host`, `host:port` or `[address]:port`.
fn split_port(text: &str) -> Option<(&str, Option<u16>)> {
    let at = if text.starts_with('[') { text.find(']')? + 1 } else { text.find(':').unwrap_or(text.len()) };
    let (host, rest) = text.split_at(at);
    match rest.strip_prefix(':') {
        Some(port) if port.bytes().all(|b| b.is_ascii_digit()) => Some((host, Some(port.parse().ok()?))),
        None if rest.is_empty() => Some((host, None)),
        Some(_) | None => None,
    }
}

/// Why the rules of a trunk do not permit a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TargetNotAllowed {
    /// No prefix matches.
    #[error("no prefix in outbound.allowed_prefixes of the trunk matches the number")]
    Number,
    /// The host is not listed.
    #[error("outbound.allowed_hosts of the trunk does not contain the host")]
    Host,
}

impl OutboundRules {
    /// Checks whom a call goes to. A number must match a prefix, also as the user of a `sip:` URI, whose host must be listed
    /// too.
    ///
    /// # Errors
    /// [`TargetNotAllowed`].
    pub fn permit(&self, target: &CallTarget) -> Result<(), TargetNotAllowed> {
        if target.host.as_ref().is_some_and(|host| !self.allowed_hosts.contains(host)) {
            return Err(TargetNotAllowed::Host);
        }
        let permitted = match &target.number {
            Some(number) => self.allowed_prefixes.iter().any(|prefix| prefix.matches(number)),
            None => !target.is_local_number(),
        };
        if permitted { Ok(()) } else { Err(TargetNotAllowed::Number) }
    }

    /// Transfers that may be pending at once.
    pub fn max_concurrent(&self) -> u32 {
        self.max_concurrent.unwrap_or(DEFAULT_CONCURRENT)
    }

    /// Transfers within a minute.
    pub fn max_per_minute(&self) -> u32 {
        self.max_per_minute.unwrap_or(DEFAULT_PER_MINUTE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules() -> OutboundRules {
        let draft = r#"{"allowed_prefixes":["+1555","+49"],"allowed_hosts":["PBX.example","[2001:db8::1]"]}"#;
        let mut problems = Invalid::default();
        let rules = serde_json::from_str::<OutboundDraft>(draft).unwrap().check(&mut problems);
        assert!(problems.is_empty());
        rules
    }

    fn permit(text: &str) -> Option<Result<(), TargetNotAllowed>> {
        CallTarget::parse(text).ok().map(|target| rules().permit(&target))
    }

    #[test]
    fn without_rules_nothing_may_be_called() {
        for text in
            ["+15550100123", "tel:+15550100123", "sip:desk@pbx.example", "sip:+15550100123@pbx.example"]
        {
            assert!(OutboundRules::default().permit(&CallTarget::parse(text).unwrap()).is_err(), "{text}");
        }
    }

    #[test]
    fn a_number_must_match_a_prefix_however_it_is_spelled() {
        for text in ["+15550100123", "tel:+1-555-010-0123", "TEL:+1(555)0100123", "+4930123456"] {
            assert_eq!(permit(text), Some(Ok(())), "{text}");
        }
        for text in ["+19005550100", "tel:+1-900-555-0100", "+4", "tel:+88213001234"] {
            assert_ne!(permit(text), Some(Ok(())), "{text}");
        }
        assert_eq!(CallTarget::parse("tel:+1-555-010-0123").unwrap().uri(), "tel:+15550100123");
    }

    #[test]
    fn a_sip_uri_needs_a_listed_host_and_a_permitted_number() {
        for text in
            ["sip:desk@pbx.example", "sips:desk@PBX.EXAMPLE:5061;transport=tcp", "sip:101@[2001:db8::1]"]
        {
            assert_eq!(permit(text), Some(Ok(())), "{text}");
        }
        assert_eq!(permit("sip:+15550100123@pbx.example;user=phone"), Some(Ok(())));
        assert_eq!(permit("sip:desk@evil.example"), Some(Err(TargetNotAllowed::Host)));
        for premium in ["+19005550100", "19005550100", "0019005550100", "011-19005550100", "9*19005550100"] {
            let text = format!("sip:{premium}@pbx.example");
            assert_eq!(permit(&text), Some(Err(TargetNotAllowed::Number)), "{premium}");
        }
    }

    #[test]
    fn a_target_that_could_lead_elsewhere_is_invalid() {
        for text in [
            "",
            "desk",
            "15550100123",
            "tel:15550100123",
            "tel:+15550100123;phone-context=+1900",
            "tel:+15550100123;ext=5",
            "http://pbx.example",
            "sip:pbx.example",
            "sip:@pbx.example",
            "sip:desk@",
            "sip:desk@pbx.example?Replaces=x",
            "sip:desk@pbx.example;maddr=192.0.2.1",
            "sip:desk@evil.example@pbx.example",
            "sip:%2b19005550100@pbx.example",
            "sip:desk:secret@pbx.example",
            "sip:desk@pbx.example:99999",
            "sip:desk@pbx.example>\r\nX: y",
            "sip:desk@pbx .example",
            "+1555010012345678",
        ] {
            assert_eq!(CallTarget::parse(text), Err(InvalidTarget), "{text}");
        }
        assert_eq!(CallTarget::parse(&format!("sip:{}@b", "a".repeat(600))), Err(InvalidTarget));
    }

    #[test]
    fn entries_that_are_no_prefix_or_no_host_are_named() {
        let draft = r#"{"allowed_prefixes":["+1","1","+","+0","+1234567890123456"],"allowed_hosts":["a b","ok"],
            "max_concurrent":0,"max_per_minute":10001}"#;
        let mut problems = Invalid::default();
        serde_json::from_str::<OutboundDraft>(draft).unwrap().check(&mut problems);
        let fields: Vec<String> = problems.into_details().into_iter().map(|problem| problem.field).collect();
        assert_eq!(
            fields,
            [
                "outbound.allowed_prefixes[1]",
                "outbound.allowed_prefixes[2]",
                "outbound.allowed_prefixes[3]",
                "outbound.allowed_prefixes[4]",
                "outbound.allowed_hosts[0]",
                "outbound.max_concurrent",
                "outbound.max_per_minute"
            ]
        );
    }
}
