//! Protection of forms against other sites (cross-site request forgery). A request that changes something must come from a
//! page of this origin, and a form of a session carries a token of that session as a second barrier.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::ORIGIN;
use http::{HeaderMap, HeaderName};
use subtle::ConstantTimeEq as _;
use telepath_core::id::SessionId;
use telepath_core::user::TokenPurpose;
use telepath_core::vault::Vault;

/// The field of the token.
pub(crate) const FIELD: &str = "form_token";

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Whether a request was sent by a page of this origin. Browsers say so themselves in `Sec-Fetch-Site` (W3C Fetch Metadata);
/// one that does not must name this origin in `Origin`. A request that says neither is refused.
pub(crate) fn is_same_origin(headers: &HeaderMap, origin: &str) -> bool {
    let only = |name: HeaderName| {
        let mut values = headers.get_all(name).iter();
        (values.next(), values.next().is_none())
    };
    match (only(SEC_FETCH_SITE), only(ORIGIN)) {
        ((Some(site), true), _) => site == "same-origin",
        ((None, _), (Some(named), true)) => named.as_bytes().eq_ignore_ascii_case(origin.as_bytes()),
        _ => false,
    }
}

/// Whether the browser says that no page led here: the user typed the address or opened a bookmark.
pub(crate) fn is_typed(headers: &HeaderMap) -> bool {
    headers.get(SEC_FETCH_SITE).is_some_and(|site| site == "none")
}

/// The token of a session's forms. It stays the same while the cookie changes, so that a form in another tab keeps working.
pub(crate) fn token_of(session: SessionId, vault: &Vault) -> String {
    URL_SAFE_NO_PAD.encode(vault.hash_token(TokenPurpose::Form, &session.to_string()).as_bytes())
}

/// Whether a form carries the token of its session.
pub(crate) fn matches(sent: &str, session: SessionId, vault: &Vault) -> bool {
    sent.as_bytes().ct_eq(token_of(session, vault).as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use telepath_core::entropy::SystemEntropy;
    use telepath_core::id::Id as _;
    use telepath_core::vault::MasterKey;

    use super::*;

    const HERE: &str = "https://voice.example:8443";

    fn headers(list: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in list {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn only_requests_of_this_origin_change_anything() {
        let accepted: &[&[(&str, &str)]] = &[
            &[("sec-fetch-site", "same-origin")],
            &[("sec-fetch-site", "same-origin"), ("origin", HERE)],
            &[("origin", HERE)],
            &[("origin", "HTTPS://VOICE.example:8443")],
        ];
        let refused: &[&[(&str, &str)]] = &[
            &[],
            &[("sec-fetch-site", "none")],
            &[("sec-fetch-site", "same-site")],
            &[("sec-fetch-site", "cross-site")],
            &[("sec-fetch-site", "cross-site"), ("origin", HERE)],
            &[("sec-fetch-site", "none"), ("origin", HERE)],
            &[("sec-fetch-site", "same-origin"), ("sec-fetch-site", "cross-site")],
            &[("origin", "null")],
            &[("origin", "")],
            &[("origin", "https://voice.example")],
            &[("origin", "http://voice.example:8443")],
            &[("origin", "https://voice.example:8443.evil.example")],
            &[("origin", "https://evil.example")],
            &[("origin", HERE), ("origin", "https://evil.example")],
        ];
        for list in accepted {
            assert!(is_same_origin(&headers(list), HERE), "{list:?}");
        }
        for list in refused {
            assert!(!is_same_origin(&headers(list), HERE), "{list:?}");
        }
    }

    #[test]
    fn an_address_that_was_typed_is_told_from_a_link_of_another_site() {
        assert!(is_typed(&headers(&[("sec-fetch-site", "none")])));
        for site in ["same-origin", "same-site", "cross-site"] {
            assert!(!is_typed(&headers(&[("sec-fetch-site", site)])), "{site}");
        }
        assert!(!is_typed(&headers(&[])));
    }

    #[test]
    fn a_token_fits_its_session_only() {
        let vault = Vault::new(&MasterKey::generate(&SystemEntropy::default()).unwrap()).unwrap();
        let [mine, other] = [1, 2].map(|byte| SessionId::from_bytes([byte; 16]));
        let token = token_of(mine, &vault);
        assert!(matches(&token, mine, &vault));
        assert!(
            !matches(&token, other, &vault)
                && !matches("", mine, &vault)
                && !matches(&token[1..], mine, &vault)
        );
    }
}
