//! The headers of every kind of response.

use http::HeaderMap;
use http::header::SET_COOKIE;
use telepath_core::user::Role;

use super::harness::{Browser, PASSWORD, Site};

fn security(headers: &HeaderMap) -> Vec<String> {
    let policy = headers["content-security-policy"].to_str().unwrap();
    let nonce = policy.split("'nonce-").nth(1).and_then(|rest| rest.split('\'').next()).unwrap_or_default();
    [
        "content-security-policy",
        "x-content-type-options",
        "referrer-policy",
        "cross-origin-opener-policy",
        "cross-origin-resource-policy",
        "cache-control",
        "vary",
    ]
    .into_iter()
    .map(|name| {
        let value = headers.get(name).map_or("-", |value| value.to_str().unwrap());
        format!("{name}: {}", if nonce.is_empty() { value.to_owned() } else { value.replace(nonce, "NONCE") })
    })
    .collect()
}

const PAGE_POLICY: &str = "content-security-policy: default-src 'none'; script-src 'nonce-NONCE' 'strict-dynamic'; \
    style-src 'self'; font-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; \
    frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types htmx";

fn expected(policy: &str, referrer: &str, cache: &str, vary: &str) -> Vec<String> {
    let lines = [
        policy,
        "x-content-type-options: nosniff",
        &format!("referrer-policy: {referrer}"),
        "cross-origin-opener-policy: same-origin",
        "cross-origin-resource-policy: same-origin",
        &format!("cache-control: {cache}"),
        &format!("vary: {vary}"),
    ];
    lines.iter().map(ToString::to_string).collect()
}

#[tokio::test]
async fn every_response_restricts_what_a_browser_does_with_it() {
    let site = Site::new().await;
    site.user("ada@example.com", Role::Owner).await;
    let mut browser = Browser::of(&site, "ada@example.com").await;
    let (page, secret) = (
        expected(PAGE_POLICY, "same-origin", "private, no-cache", "cookie, accept-encoding, hx-request"),
        expected(PAGE_POLICY, "no-referrer", "no-store", "cookie, accept-encoding, hx-request"),
    );
    for path in ["/me", "/me/password", "/me/second-factor", "/nothing"] {
        assert_eq!(security(&browser.get(path).await.headers), page, "{path}");
    }
    assert_eq!(security(&Browser::new(&site).get("/login").await.headers), page);
    let enrolment = browser.post("/me/second-factor", &[]).await.expect(200);
    assert_eq!(security(&enrolment.headers), secret, "a page with a secret");
    let redirect = browser.post("/me/theme", &[("theme", "light")]).await.expect(303);
    let gone = expected(PAGE_POLICY, "same-origin", "no-store", "cookie, accept-encoding, hx-request");
    assert_eq!(security(&redirect.headers), gone);
    let style = browser.get("/me").await.after("rel=\"stylesheet\" href=\"").to_owned();
    let file = expected(
        "content-security-policy: default-src 'none'; frame-ancestors 'none'",
        "same-origin",
        "public, max-age=31536000, immutable",
        "accept-encoding",
    );
    assert_eq!(security(&browser.get(&style).await.expect(200).headers), file);
}

#[tokio::test]
async fn each_page_has_a_nonce_of_its_own_and_a_request_id() {
    let site = Site::new().await;
    let mut browser = Browser::new(&site);
    let (one, other) = (browser.get("/login").await, browser.get("/login").await);
    assert_ne!(one.after("nonce=\""), other.after("nonce=\""));
    assert!(one.header("content-security-policy").contains(&format!("'nonce-{}'", one.after("nonce=\""))));
    assert!(one.header("x-request-id").starts_with("req_"));
    assert_ne!(one.header("x-request-id"), other.header("x-request-id"));
}

#[tokio::test]
async fn head_gets_the_headers_of_get_and_no_body() {
    let site = Site::new().await;
    let mut browser = Browser::new(&site);
    let style = browser.get("/login").await.after("rel=\"stylesheet\" href=\"").to_owned();
    for path in ["/login", style.as_str()] {
        let length = browser.get(path).await.text.len().to_string();
        let request = browser.request("HEAD", path).body(http_body_util::Full::default()).unwrap();
        let head = super::harness::Page::of(site.send(request).await).await.expect(200);
        assert_eq!((head.text.as_str(), head.header("content-length")), ("", length.as_str()), "{path}");
    }
}

#[tokio::test]
async fn a_page_is_compressed_unless_it_shows_a_secret() {
    let site = Site::new().await;
    site.user("ada@example.com", Role::Owner).await;
    let mut browser = Browser::of(&site, "ada@example.com").await;
    let page = browser.get("/me").await;
    let token = page.after("name=\"form_token\" value=\"").to_owned();
    let coding = async |method: &str, path: &str| {
        let request = browser
            .request(method, path)
            .header("accept-encoding", "gzip")
            .header("sec-fetch-site", "same-origin")
            .header("content-type", "application/x-www-form-urlencoded");
        let body = http_body_util::Full::from(format!("form_token={token}"));
        let response = site.send(request.body(body).unwrap()).await;
        response.headers().get("content-encoding").map(|coding| coding.to_str().unwrap().to_owned())
    };
    assert_eq!(coding("GET", "/me").await.as_deref(), Some("gzip"));
    assert_eq!(coding("POST", "/me/second-factor").await, None);
}

#[tokio::test]
async fn the_session_cookie_has_the_host_prefix_over_https() {
    let site = Site::new().await;
    site.user("ada@example.com", Role::Owner).await;
    let mut browser = Browser::new(&site);
    let page = browser.post("/login", &[("email", "ada@example.com"), ("password", PASSWORD)]).await;
    let cookies: Vec<&str> =
        page.headers.get_all(SET_COOKIE).iter().map(|value| value.to_str().unwrap()).collect();
    let [cookie] = cookies.as_slice() else { panic!("{cookies:?}") };
    let (name, rest) = cookie.split_once('=').unwrap();
    assert_eq!(name, "__Host-telepath");
    assert_eq!(&rest[43..], "; Path=/; Secure; HttpOnly; SameSite=Lax");
}
