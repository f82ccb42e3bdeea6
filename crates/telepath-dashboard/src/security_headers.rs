//! The headers that restrict what a browser does with a response.

use http::header::{CONTENT_SECURITY_POLICY, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderMap, HeaderName, HeaderValue};

const COOP: HeaderName = HeaderName::from_static("cross-origin-opener-policy");
const CORP: HeaderName = HeaderName::from_static("cross-origin-resource-policy");
const PERMISSIONS: HeaderName = HeaderName::from_static("permissions-policy");

/// Every feature is off, except writing to the clipboard and passkeys.
const PERMISSIONS_POLICY: &str = "accelerometer=(), autoplay=(), browsing-topics=(), camera=(), clipboard-read=(), clipboard-write=(self), \
    display-capture=(), encrypted-media=(), fullscreen=(), gamepad=(), geolocation=(), gyroscope=(), hid=(), \
    idle-detection=(), local-fonts=(), magnetometer=(), microphone=(), midi=(), otp-credentials=(), payment=(), \
    picture-in-picture=(), publickey-credentials-create=(self), publickey-credentials-get=(self), \
    screen-wake-lock=(), serial=(), storage-access=(), usb=(), window-management=(), xr-spatial-tracking=()";

/// Whether the address of a page may be sent to others in `Referer`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Referrer {
    /// To pages of this origin only.
    SameOrigin,
    /// To nobody, because the page shows a secret.
    Nobody,
}

/// Restricts a page, whose scripts carry the nonce. Scripts are limited to those, HTML from text is never created, and no
/// other origin is contacted.
pub(crate) fn restrict_page(headers: &mut HeaderMap, nonce: &str, referrer: Referrer) {
    let policy = format!(
        "default-src 'none'; script-src 'nonce-{nonce}' 'strict-dynamic'; style-src 'self'; font-src 'self'; \
         img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; \
         require-trusted-types-for 'script'; trusted-types htmx"
    );
    // A nonce is base64, so this never fails; without the header, the page would not be restricted.
    let policy = HeaderValue::try_from(policy).unwrap_or(HeaderValue::from_static("default-src 'none'"));
    headers.insert(CONTENT_SECURITY_POLICY, policy);
    common(headers, referrer);
}

/// Restricts everything that is not a page.
pub(crate) fn restrict_file(headers: &mut HeaderMap) {
    let policy = "default-src 'none'; frame-ancestors 'none'";
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    common(headers, Referrer::SameOrigin);
}

fn common(headers: &mut HeaderMap, referrer: Referrer) {
    let referrer = match referrer {
        Referrer::SameOrigin => "same-origin",
        Referrer::Nobody => "no-referrer",
    };
    for (name, value) in [
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, referrer),
        (COOP, "same-origin"),
        (CORP, "same-origin"),
        (PERMISSIONS, PERMISSIONS_POLICY),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_runs_only_the_scripts_with_its_nonce() {
        let mut headers = HeaderMap::new();
        restrict_page(&mut headers, "bm9uY2U", Referrer::Nobody);
        let policy = headers[CONTENT_SECURITY_POLICY].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'; script-src 'nonce-bm9uY2U' 'strict-dynamic'; "));
        assert!(
            policy.contains("require-trusted-types-for 'script'") && !policy.contains("unsafe"),
            "{policy}"
        );
        assert_eq!(headers[REFERRER_POLICY], "no-referrer");
        assert_eq!(headers[X_CONTENT_TYPE_OPTIONS], "nosniff");
        assert_eq!(
            (&headers[COOP], &headers[CORP]),
            (&HeaderValue::from_static("same-origin"), &HeaderValue::from_static("same-origin"))
        );
    }
}
