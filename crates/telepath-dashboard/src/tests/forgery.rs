//! Forms that other sites send, hosts that are not this server's, and methods that change nothing.

use bytes::Bytes;
use http::Request;
use http::header::{CONTENT_TYPE, HOST};
use http_body_util::Full;
use telepath_core::user::{Role, Theme};

use super::harness::{Browser, Page, Site};

#[tokio::test]
async fn forms_of_other_sites_are_refused() {
    let site = Site::new().await;
    let user = site.user("ada@example.com", Role::Owner).await;
    let mut browser = Browser::of(&site, "ada@example.com").await;
    for (header, value) in [
        ("sec-fetch-site", "none"),
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
        ("origin", "https://evil.example"),
        ("origin", "http://voice.example"),
        ("origin", "null"),
        ("referer", "https://voice.example/me"),
    ] {
        let page = browser.post_with("/me/theme", &[("theme", "dark")], header, value).await.expect(403);
        assert!(page.text.contains("Nothing was changed."), "{header}: {value}");
    }
    let theme = async || site.store.get_user(user.id).await.unwrap().unwrap().profile.theme;
    assert_eq!(theme().await, Theme::System);
    browser.post_with("/me/theme", &[("theme", "dark")], "origin", "https://voice.example").await.expect(303);
    assert_eq!(theme().await, Theme::Dark);
}

#[tokio::test]
async fn a_form_needs_the_token_of_its_session() {
    let site = Site::new().await;
    for email in ["ada@example.com", "eve@example.com"] {
        site.user(email, Role::Owner).await;
    }
    let ada = Browser::of(&site, "ada@example.com").await;
    let mut eve = Browser::of(&site, "eve@example.com").await;
    // Eve's page, with the cookie of Ada.
    eve.cookies.clone_from(&ada.cookies);
    eve.post("/me/theme", &[("theme", "dark")]).await.expect(403);
    let mut bare = Browser::new(&site);
    bare.cookies.clone_from(&ada.cookies);
    bare.post("/me/theme", &[("theme", "dark")]).await.expect(403);
}

#[tokio::test]
async fn the_sign_in_form_of_another_site_is_refused() {
    let site = Site::new().await;
    site.user("ada@example.com", Role::Owner).await;
    let mut browser = Browser::new(&site);
    let fields = [("email", "ada@example.com"), ("password", super::harness::PASSWORD)];
    browser.post_with("/login", &fields, "sec-fetch-site", "cross-site").await.expect(403);
    assert!(browser.cookies.is_empty());
}

#[tokio::test]
async fn hosts_that_are_not_this_servers_are_refused() {
    let site = Site::new().await;
    let get = async |host: &str| {
        let request = Request::get("/login").header(HOST, host).body(Full::<Bytes>::default()).unwrap();
        Page::of(site.send(request).await).await
    };
    for host in
        ["voice.example", "voice.example:8443", "localhost:8443", "127.0.0.1", "[::1]:8443", "192.0.2.1"]
    {
        get(host).await.expect(200);
    }
    for host in ["evil.example", "voice.example.evil.example", "192.0.2.2", "127.0.0.1.evil.example", ""] {
        let page = get(host).await.expect(421);
        assert!(page.text.contains("dashboard.public_url"), "{}", page.text);
        assert!(!page.text.contains("name=\"password\""));
    }
}

#[tokio::test]
async fn other_methods_and_other_bodies_are_refused() {
    let site = Site::new().await;
    site.user("ada@example.com", Role::Owner).await;
    let mut browser = Browser::of(&site, "ada@example.com").await;
    browser.get("/me/theme").await.expect(405);
    for method in ["PUT", "DELETE", "PATCH", "OPTIONS"] {
        let request = browser.request(method, "/me/theme").body(Full::<Bytes>::default()).unwrap();
        Page::of(site.send(request).await).await.expect(405);
    }
    for (kind, body, status) in [
        ("application/json", "{\"theme\":\"dark\"}".to_owned(), 400),
        ("multipart/form-data; boundary=x", "--x--".to_owned(), 400),
        ("application/x-www-form-urlencoded", "a".repeat(64 * 1024 + 1), 413),
    ] {
        let request = browser.request("POST", "/me/theme").header("sec-fetch-site", "same-origin");
        let request = request.header(CONTENT_TYPE, kind).body(Full::<Bytes>::from(body)).unwrap();
        Page::of(site.send(request).await).await.expect(status);
    }
}
