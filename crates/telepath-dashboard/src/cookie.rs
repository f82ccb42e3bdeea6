//! Cookies (RFC 6265): the session, the code of a one-use link, and the zone that the script of the pages sets.

use http::header::COOKIE;
use http::{HeaderMap, HeaderValue};
use telepath_core::user::{PERSISTENT_LIFETIME, TimeZoneName, UserToken};

/// The cookie of a session. The prefix makes browsers require `Secure`, on the path `/`, and on no `Domain`.
const SESSION: &str = "__Host-telepath";
/// Its name over plain HTTP on a loopback address, where not every browser accepts the prefix.
const LOOPBACK_SESSION: &str = "telepath";
/// The code of a one-use link, while its form is open.
const SETUP: &str = "__Host-telepath_setup";
const LOOPBACK_SETUP: &str = "telepath_setup";
/// Seconds that it is kept.
const SETUP_AGE: u32 = 3600;
/// The most characters of a code.
const SETUP_LENGTH: usize = 128;
/// What a sign-in at an identity provider is bound to, until the provider leads the browser back.
const PROVIDER: &str = "__Host-telepath_provider";
const LOOPBACK_PROVIDER: &str = "telepath_provider";
/// Seconds that it is kept.
const PROVIDER_AGE: u32 = 600;
/// The most characters of it.
const PROVIDER_LENGTH: usize = 3000;
/// The time zone of the browser.
const ZONE: &str = "telepath_zone";

/// How long the browser keeps the cookie of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keep {
    /// Until it is closed.
    UntilClosed,
    /// As long as a session can last whose user chose to stay signed in.
    Persistently,
}

const fn session_name(https: bool) -> &'static str {
    if https { SESSION } else { LOOPBACK_SESSION }
}

/// The token of the session; `None` if the cookie is missing, sent twice or not a token.
pub(crate) fn session_token(headers: &HeaderMap, https: bool) -> Option<UserToken> {
    let mut values = values(headers, session_name(https));
    match (values.next(), values.next()) {
        (Some(value), None) => UserToken::parse(value).ok(),
        _ => None,
    }
}

/// The zone of the browser, if its script has said so.
pub(crate) fn zone(headers: &HeaderMap) -> Option<TimeZoneName> {
    values(headers, ZONE).next()?.parse().ok()
}

/// The `Set-Cookie` field that hands out a session.
pub(crate) fn set_session(token: &UserToken, https: bool, keep: Keep) -> Option<HeaderValue> {
    let age = match keep {
        Keep::UntilClosed => String::new(),
        Keep::Persistently => format!("; Max-Age={}", PERSISTENT_LIFETIME.as_secs()),
    };
    let mut value = HeaderValue::try_from(format!(
        "{}={}; Path=/{}; HttpOnly; SameSite=Lax{age}",
        session_name(https),
        token.expose(),
        secure(https)
    ))
    .ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// The `Set-Cookie` field that removes a session.
pub(crate) fn clear_session(https: bool) -> Option<HeaderValue> {
    let name = session_name(https);
    HeaderValue::try_from(format!("{name}=; Path=/{}; HttpOnly; SameSite=Lax; Max-Age=0", secure(https))).ok()
}

const fn setup_name(https: bool) -> &'static str {
    if https { SETUP } else { LOOPBACK_SETUP }
}

/// The code of the one-use link that was opened last.
pub(crate) fn setup_code(headers: &HeaderMap, https: bool) -> Option<String> {
    values(headers, setup_name(https)).next().map(str::to_owned)
}

/// The `Set-Cookie` field that keeps the code of a one-use link; `None` if the text cannot be a code.
pub(crate) fn set_setup(code: &str, https: bool) -> Option<HeaderValue> {
    let fits = code.len() <= SETUP_LENGTH && code.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let (name, secure) = (setup_name(https), secure(https));
    let text = format!("{name}={code}; Path=/{secure}; HttpOnly; SameSite=Lax; Max-Age={SETUP_AGE}");
    let mut value = HeaderValue::try_from(text).ok().filter(|_| fits)?;
    value.set_sensitive(true);
    Some(value)
}

/// The `Set-Cookie` field that removes the code.
pub(crate) fn clear_setup(https: bool) -> Option<HeaderValue> {
    let (name, secure) = (setup_name(https), secure(https));
    HeaderValue::try_from(format!("{name}=; Path=/{secure}; HttpOnly; SameSite=Lax; Max-Age=0")).ok()
}

const fn provider_name(https: bool) -> &'static str {
    if https { PROVIDER } else { LOOPBACK_PROVIDER }
}

/// What the sign-in at an identity provider is bound to that was begun last.
pub(crate) fn provider(headers: &HeaderMap, https: bool) -> Option<String> {
    let mut values = values(headers, provider_name(https));
    match (values.next(), values.next()) {
        (Some(value), None) => Some(value.to_owned()),
        _ => None,
    }
}

/// The `Set-Cookie` field that keeps it; `None` if the text cannot be the value of a cookie.
pub(crate) fn set_provider(text: &str, https: bool) -> Option<HeaderValue> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b".-_~%".contains(&byte);
    let fits = text.len() <= PROVIDER_LENGTH && text.bytes().all(allowed);
    let (name, secure) = (provider_name(https), secure(https));
    let text = format!("{name}={text}; Path=/{secure}; HttpOnly; SameSite=Lax; Max-Age={PROVIDER_AGE}");
    let mut value = HeaderValue::try_from(text).ok().filter(|_| fits)?;
    value.set_sensitive(true);
    Some(value)
}

/// The `Set-Cookie` field that removes it.
pub(crate) fn clear_provider(https: bool) -> Option<HeaderValue> {
    let (name, secure) = (provider_name(https), secure(https));
    HeaderValue::try_from(format!("{name}=; Path=/{secure}; HttpOnly; SameSite=Lax; Max-Age=0")).ok()
}

const fn secure(https: bool) -> &'static str {
    if https { "; Secure" } else { "" }
}

fn values<'a>(headers: &'a HeaderMap, name: &'a str) -> impl Iterator<Item = &'a str> {
    let fields = headers.get_all(COOKIE).iter().filter_map(|field| field.to_str().ok());
    fields.flat_map(|field| field.split(';')).filter_map(move |pair| {
        let (known, value) = pair.trim().split_once('=')?;
        (known == name).then_some(value)
    })
}

#[cfg(test)]
mod tests {
    use telepath_core::entropy::SystemEntropy;

    use super::*;

    fn cookies(text: &str) -> HeaderMap {
        HeaderMap::from_iter([(COOKIE, HeaderValue::from_str(text).unwrap())])
    }

    #[test]
    fn the_session_cookie_is_bound_to_this_host_and_hidden_from_scripts() {
        let token = UserToken::generate(&SystemEntropy::default()).unwrap();
        let set = set_session(&token, true, Keep::UntilClosed).unwrap();
        assert_eq!(
            set.to_str().unwrap(),
            format!("__Host-telepath={}; Path=/; Secure; HttpOnly; SameSite=Lax", token.expose())
        );
        assert!(set.is_sensitive());
        let kept = set_session(&token, true, Keep::Persistently).unwrap();
        assert!(kept.to_str().unwrap().ends_with("; SameSite=Lax; Max-Age=2592000"));
        let plain = set_session(&token, false, Keep::UntilClosed).unwrap();
        assert_eq!(
            plain.to_str().unwrap(),
            format!("telepath={}; Path=/; HttpOnly; SameSite=Lax", token.expose())
        );
        assert_eq!(
            clear_session(true).unwrap(),
            "__Host-telepath=; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=0"
        );
    }

    #[test]
    fn a_cookie_for_one_protocol_is_no_session_in_the_other() {
        let token = UserToken::generate(&SystemEntropy::default()).unwrap();
        let text = token.expose();
        let found = |cookie: &str, https| session_token(&cookies(cookie), https).is_some();
        assert!(found(&format!("a=b; __Host-telepath={text}"), true));
        assert!(found(&format!("telepath={text}"), false));
        assert!(
            !found(&format!("telepath={text}"), true) && !found(&format!("__Host-telepath={text}"), false)
        );
        assert!(!found(&format!("__Host-telepath={text}; __Host-telepath={text}"), true), "sent twice");
        assert!(!found("__Host-telepath=short", true) && !found("__Host-telepath", true));
    }

    #[test]
    fn the_code_of_a_link_is_kept_for_an_hour_and_cannot_inject_attributes() {
        let set = set_setup("abc123", true).unwrap();
        assert_eq!(
            set.to_str().unwrap(),
            "__Host-telepath_setup=abc123; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=3600"
        );
        assert_eq!(setup_code(&cookies("__Host-telepath_setup=abc123"), true).as_deref(), Some("abc123"));
        for wrong in ["a;b", "a b", "a=b", "\r\n", &"a".repeat(SETUP_LENGTH + 1)] {
            assert_eq!(set_setup(wrong, true), None, "{wrong:?}");
        }
    }

    #[test]
    fn a_zone_must_have_the_form_of_a_zone() {
        assert_eq!(zone(&cookies("telepath_zone=Europe/Berlin")).unwrap().as_str(), "Europe/Berlin");
        assert_eq!(zone(&cookies("telepath_zone=<script>")), None);
    }
}
