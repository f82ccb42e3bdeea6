//! Headers that are added to every delivery to an endpoint, such as an `Authorization` that its proxy requires. The values
//! are secrets: they are sealed as one JSON object and never shown.

use std::collections::BTreeMap;

use crate::secret::SecretText;
use crate::validation::Invalid;

/// The most headers of an endpoint.
const MAX_HEADERS: usize = 16;
/// The longest name and the longest value, in bytes.
const MAX_NAME: usize = 64;
const MAX_VALUE: usize = 2048;
/// Names that a delivery sets itself, or that belong to the connection (RFC 9110 section 7.6.1).
const RESERVED: [&str; 14] = [
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "host",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "http2-settings",
];
const RESERVED_PREFIXES: [&str; 2] = ["webhook-", "x-telepath-"];

/// Checked headers, with their names in lower case.
#[derive(Debug, Clone)]
pub struct WebhookHeaders(BTreeMap<String, SecretText>);

impl WebhookHeaders {
    /// Checks names and values. `None` without headers or with problems, which are noted.
    pub(super) fn check(headers: BTreeMap<String, SecretText>, problems: &mut Invalid) -> Option<Self> {
        if headers.len() > MAX_HEADERS {
            problems.wrong("headers", format!("must hold at most {MAX_HEADERS} headers"));
            return None;
        }
        let (mut checked, mut failed) = (BTreeMap::new(), false);
        for (name, value) in headers {
            let lower = name.to_ascii_lowercase();
            let problem = if !is_name(&lower) {
                Some("must be a header name that a delivery does not set itself")
            } else if !is_value(value.expose()) {
                Some("must have 1 to 2048 printable ASCII characters, without spaces at the ends")
            } else if checked.contains_key(&lower) {
                Some("is a duplicate; names are compared without case")
            } else {
                None
            };
            match problem {
                Some(problem) => {
                    problems.wrong(&format!("headers.{name}"), problem);
                    failed = true;
                }
                None => drop(checked.insert(lower, value)),
            }
        }
        (!failed && !checked.is_empty()).then_some(Self(checked))
    }

    /// The JSON object that is sealed.
    ///
    /// # Errors
    /// A value that JSON cannot express; no header has one.
    pub fn to_json(&self) -> serde_json::Result<SecretText> {
        let plain: BTreeMap<_, _> = self.0.iter().map(|(name, value)| (name, value.expose())).collect();
        serde_json::to_string(&plain).map(SecretText::new)
    }

    /// The headers of a JSON object that was sealed.
    ///
    /// # Errors
    /// The text is not such an object.
    pub fn from_json(json: &SecretText) -> serde_json::Result<Self> {
        serde_json::from_str(json.expose()).map(Self)
    }

    /// Names and values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &SecretText)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }
}

fn is_name(name: &str) -> bool {
    (1..=MAX_NAME).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
        && !RESERVED.contains(&name)
        && !RESERVED_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

fn is_value(value: &str) -> bool {
    (1..=MAX_VALUE).contains(&value.len())
        && value.bytes().all(|b| (b' '..=b'~').contains(&b))
        && value.trim_matches(' ') == value
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pairs: &[(&str, &str)]) -> Result<Option<WebhookHeaders>, Vec<String>> {
        let mut problems = Invalid::default();
        let headers =
            pairs.iter().map(|(name, value)| ((*name).to_owned(), SecretText::new((*value).to_owned())));
        let checked = WebhookHeaders::check(headers.collect(), &mut problems);
        if problems.is_empty() {
            return Ok(checked);
        }
        Err(problems.into_details().into_iter().map(|problem| problem.field).collect())
    }

    #[test]
    fn headers_survive_sealing_with_their_names_in_lower_case() {
        let headers = check(&[("Authorization", "Bearer a b"), ("X-Tenant", "7")]).unwrap().unwrap();
        let back = WebhookHeaders::from_json(&headers.to_json().unwrap()).unwrap();
        let pairs: Vec<_> = back.iter().map(|(name, value)| (name, value.expose())).collect();
        assert_eq!(pairs, [("authorization", "Bearer a b"), ("x-tenant", "7")]);
        assert!(!format!("{headers:?}").contains("Bearer"));
        assert!(check(&[]).unwrap().is_none());
    }

    #[test]
    fn headers_that_a_delivery_sets_itself_are_refused() {
        for name in [
            "Host",
            "content-length",
            "Content-Type",
            "Transfer-Encoding",
            "Connection",
            "User-Agent",
            "webhook-id",
            "Webhook-Signature",
            "X-Telepath-Attempt",
            "Expect",
            "",
            "a b",
            "a:b",
            "a\r\nb",
        ] {
            assert_eq!(check(&[(name, "v")]).unwrap_err(), [format!("headers.{name}")], "{name}");
        }
        for value in ["", " a", "a ", "a\nb", "a\u{7f}", "\u{e9}"] {
            assert_eq!(check(&[("x-a", value)]).unwrap_err(), ["headers.x-a"], "{value:?}");
        }
        assert_eq!(check(&[("X-A", "1"), ("x-a", "2")]).unwrap_err(), ["headers.x-a"]);
        let names: Vec<_> = (0..17).map(|number| format!("x-{number}")).collect();
        let many: Vec<_> = names.iter().map(|name| (name.as_str(), "v")).collect();
        assert_eq!(check(&many).unwrap_err(), ["headers"]);
    }
}
