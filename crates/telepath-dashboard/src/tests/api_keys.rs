//! Keys: created, shown once, rotated and revoked, by those who may.

use std::time::Duration;

use telepath_core::key::{KeyFilter, KeyStatus};
use telepath_core::page::PageRequest;
use telepath_core::user::Role;

use super::harness::{Browser, Page, Site};

const NEW: &str = "/settings/api-keys/new";

/// A browser of a user with a role.
async fn browser(site: &Site, role: Role) -> Browser<'_> {
    let email = format!("{}@example.com", role.name());
    site.user(&email, role).await;
    Browser::of(site, &email).await
}

/// Creates a key with some fields, and returns the page that shows its secret.
async fn create(browser: &mut Browser<'_>, fields: &[(&str, &str)]) -> Page {
    let form = browser.get(NEW).await.expect(200);
    let intent = form.after("name=\"intent\" value=\"").to_owned();
    let all: Vec<(&str, &str)> =
        [("intent", intent.as_str()), ("step", "create")].into_iter().chain(fields.iter().copied()).collect();
    browser.post(NEW, &all).await
}

/// The first key of the account.
async fn only_key(site: &Site) -> telepath_core::key::KeyRecord {
    let keys =
        site.store.list_keys(site.account.id, KeyFilter::default(), PageRequest::default()).await.unwrap();
    keys.items.into_iter().next().unwrap()
}

fn secrets_in(text: &str) -> usize {
    text.match_indices("sk_live_")
        .filter(|(at, _)| {
            let rest = &text.as_bytes()[at + 8..];
            rest.iter().take_while(|byte| byte.is_ascii_alphanumeric()).count() >= 40
        })
        .count()
}

#[tokio::test]
async fn a_key_is_created_and_its_secret_shown_once() {
    let site = Site::new().await;
    let mut browser = browser(&site, Role::Owner).await;
    let page = create(&mut browser, &[("name", "Production"), ("preset", "production")]).await.expect(200);
    assert_eq!(secrets_in(&page.text), 1, "{}", page.text);
    assert_eq!((page.header("cache-control"), page.header("referrer-policy")), ("no-store", "no-referrer"));
    assert!(!page.headers.contains_key("content-encoding"));
    let key = only_key(&site).await;
    assert_eq!(
        (key.name.as_str(), key.expires_at.is_some()),
        ("Production", true),
        "90 days unless chosen otherwise"
    );
    for path in
        ["/settings/api-keys".to_owned(), format!("/settings/api-keys/{}", key.id), "/audit".to_owned()]
    {
        let page = browser.get(&path).await.expect(200);
        assert_eq!(secrets_in(&page.text), 0, "{path}");
        assert!(page.text.contains("Production"), "{path}");
    }
}

#[tokio::test]
async fn a_form_that_is_sent_twice_creates_one_key_and_shows_no_secret_again() {
    let site = Site::new().await;
    let mut browser = browser(&site, Role::Owner).await;
    let form = browser.get(NEW).await.expect(200);
    let intent = form.after("name=\"intent\" value=\"").to_owned();
    let fields = [("intent", intent.as_str()), ("step", "create"), ("name", "Once"), ("preset", "testing")];
    browser.post(NEW, &fields).await.expect(200);
    let key = only_key(&site).await;
    let again = browser.post(NEW, &fields).await;
    assert_eq!(again.leads_to(), format!("/settings/api-keys/{}?done=shown", key.id));
    let page = browser.get(&format!("/settings/api-keys/{}?done=shown", key.id)).await.expect(200);
    assert!(page.text.contains("cannot be shown again") && secrets_in(&page.text) == 0);
}

#[tokio::test]
async fn a_check_creates_nothing_and_says_in_a_sentence_what_the_key_could_do() {
    let site = Site::new().await;
    let mut browser = browser(&site, Role::Owner).await;
    browser.get(NEW).await.expect(200);
    let fields = [
        ("step", "check"),
        ("name", "Check"),
        ("preset", "custom"),
        ("scope-calls", "read"),
        ("rate_limit_per_minute", "60"),
        ("allowed_ips", "203.0.113.7\n198.51.100.0/24"),
        ("expires", "never"),
    ];
    let page = browser.post(NEW, &fields).await.expect(200);
    assert!(
        page.text.contains("Can read calls, up to 60 requests per minute, from 2 networks, with no expiry."),
        "{}",
        page.text
    );
    assert!(page.text.contains("Never expires") && page.text.contains("telepath keys create"));
    let keys =
        site.store.list_keys(site.account.id, KeyFilter::default(), PageRequest::default()).await.unwrap();
    assert!(keys.items.is_empty());
}

#[tokio::test]
async fn mistakes_are_shown_beside_their_fields_and_what_was_typed_is_kept() {
    let site = Site::new().await;
    let mut browser = browser(&site, Role::Owner).await;
    let fields = [
        ("name", ""),
        ("preset", "custom"),
        ("rate_limit_per_minute", "many"),
        ("allowed_ips", "203.0.113.7\n203.0.113.300"),
        ("description", "<script>alert(1)</script>"),
    ];
    let page = create(&mut browser, &fields).await.expect(422);
    for text in [
        "href=\"#name\"",
        "href=\"#scopes\"",
        "href=\"#rate_limit_per_minute\"",
        "Line 2:",
        "203.0.113.300",
        "&#60;script&#62;",
    ] {
        assert!(page.text.contains(text), "{text}: {}", page.text);
    }
    let keys_write = [("name", "Admin"), ("preset", "custom"), ("scope-keys", "write")];
    let page = create(&mut browser, &keys_write).await.expect(422);
    assert!(page.text.contains("This key can create other keys"));
}

#[tokio::test]
async fn developers_manage_only_the_keys_that_they_created_and_viewers_none() {
    let site = Site::new().await;
    let mut owner = browser(&site, Role::Owner).await;
    create(&mut owner, &[("name", "Owners"), ("preset", "testing")]).await.expect(200);
    let owners = only_key(&site).await;
    let mut developer = browser(&site, Role::Developer).await;
    let page = developer.get(&format!("/settings/api-keys/{}", owners.id)).await.expect(200);
    assert!(!page.text.contains(">Revoke<") && !page.text.contains("/rotate"), "{}", page.text);
    for path in ["rotate", "revoke"] {
        developer.get(&format!("/settings/api-keys/{}/{path}", owners.id)).await.expect(403);
    }
    for path in ["rotate", "revoke", "pause", "resume"] {
        let path = format!("/settings/api-keys/{}/{path}", owners.id);
        developer
            .post(&path, &[("reason", "Leaked"), ("grace_seconds", "0"), ("intent", "x")])
            .await
            .expect(403);
    }
    assert_eq!(only_key(&site).await.status(site.now()), KeyStatus::Active);
    let page = create(
        &mut developer,
        &[("name", "Too much"), ("preset", "custom"), ("scope-keys", "write"), ("confirm_keys", "1")],
    )
    .await;
    page.expect(422);
    create(&mut developer, &[("name", "Own"), ("preset", "testing")]).await.expect(200);
    let mut viewer = browser(&site, Role::Viewer).await;
    let page = viewer.get("/settings/api-keys").await.expect(200);
    assert!(page.text.contains("Own") && !page.text.contains("Create New Key"));
    viewer.get(NEW).await.expect(403);
}

#[tokio::test]
async fn a_rotation_keeps_the_previous_secret_for_its_grace_period_until_it_is_expired() {
    let site = Site::new().await;
    let mut browser = browser(&site, Role::Owner).await;
    create(&mut browser, &[("name", "Production"), ("preset", "production")]).await.expect(200);
    let key = only_key(&site).await;
    let path = format!("/settings/api-keys/{}", key.id);
    let form = browser.get(&format!("{path}/rotate")).await.expect(200);
    let intent = form.after("name=\"intent\" value=\"").to_owned();
    let fields = [("intent", intent.as_str()), ("grace_seconds", "86400")];
    let page = browser.post(&format!("{path}/rotate"), &fields).await.expect(200);
    assert_eq!(secrets_in(&page.text), 1);
    let page = browser.get(&path).await.expect(200);
    assert!(
        page.text.contains("Rotating") && page.text.contains("Nothing has used the previous secret"),
        "{}",
        page.text
    );
    let end =
        page.text.split(&format!("{path}/secrets/")).nth(1).unwrap().split('/').next().unwrap().to_owned();
    let ended = browser.post(&format!("{path}/secrets/{end}/end"), &[]).await;
    assert_eq!(ended.leads_to(), format!("{path}?done=ended"));
    assert!(browser.get(&path).await.expect(200).text.contains("Healthy."));
}

#[tokio::test]
async fn revoking_needs_a_reason_but_no_confirmed_identity() {
    let site = Site::new().await;
    let mut browser = browser(&site, Role::Owner).await;
    create(&mut browser, &[("name", "Production"), ("preset", "production")]).await.expect(200);
    let key = only_key(&site).await;
    let path = format!("/settings/api-keys/{}", key.id);
    site.clock.advance(Duration::from_mins(11));
    let held = browser.post(NEW, &[("name", "Late"), ("step", "create")]).await;
    assert!(held.leads_to().starts_with("/confirm?held="), "creating asks for the password again");
    browser.get(&format!("{path}/revoke")).await.expect(200);
    browser.post(&format!("{path}/revoke"), &[]).await.expect(422);
    let done = browser.post(&format!("{path}/revoke"), &[("reason", "No longer needed")]).await;
    assert!(done.leads_to().starts_with(&path), "{}", done.leads_to());
    let page = browser.get(&path).await.expect(200);
    assert!(page.text.contains("Reason: No longer needed.") && !page.text.contains("/rotate"));
    browser.get(&format!("{path}/rotate")).await.expect(200);
}

#[tokio::test]
async fn a_paused_key_is_resumed_and_the_pages_say_so() {
    let site = Site::new().await;
    let mut browser = browser(&site, Role::Admin).await;
    create(&mut browser, &[("name", "Nightly"), ("preset", "testing")]).await.expect(200);
    let path = format!("/settings/api-keys/{}", only_key(&site).await.id);
    browser.get(&path).await.expect(200);
    assert_eq!(browser.post(&format!("{path}/pause"), &[]).await.leads_to(), format!("{path}?done=paused"));
    assert!(browser.get(&path).await.expect(200).text.contains("Paused: its requests are refused."));
    assert_eq!(browser.post(&format!("{path}/resume"), &[]).await.leads_to(), format!("{path}?done=resumed"));
    assert!(browser.get("/settings/api-keys").await.expect(200).text.contains("Active"));
}

#[tokio::test]
async fn a_whole_key_in_the_search_is_neither_searched_for_nor_shown() {
    let site = Site::new().await;
    let mut browser = browser(&site, Role::Owner).await;
    let page = create(&mut browser, &[("name", "Production"), ("preset", "production")]).await.expect(200);
    let at = page.text.find("data-secret>sk_live_").unwrap() + 12;
    let secret: String =
        page.text[at..].chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
    let page = browser.get(&format!("/settings/api-keys?q={secret}")).await.expect(200);
    assert!(!page.text.contains(&secret) && page.text.contains("A whole key does not belong in a search"));
    let last: String = secret.chars().rev().take(4).collect::<Vec<_>>().into_iter().rev().collect();
    let page = browser.get(&format!("/settings/api-keys?q={last}")).await.expect(200);
    assert!(page.text.contains("Production"));
    assert!(browser.get("/settings/api-keys?q=zzzz").await.expect(200).text.contains("No matches."));
}

#[tokio::test]
async fn keys_of_another_account_do_not_exist_here() {
    let site = Site::new().await;
    let mut browser = browser(&site, Role::Owner).await;
    create(&mut browser, &[("name", "Production"), ("preset", "production")]).await.expect(200);
    let key = only_key(&site).await;
    let other = site.other_account("Other").await;
    let user = site.store.find_user(&"owner@example.com".parse().unwrap()).await.unwrap().unwrap();
    site.store.add_member(other, user.id, Role::Owner, site.origin()).await.unwrap();
    browser.get("/me").await.expect(200);
    browser.post("/account", &[("account", &other.to_string())]).await.leads_to();
    for path in ["", "/rotate", "/revoke"] {
        browser.get(&format!("/settings/api-keys/{}{path}", key.id)).await.expect(404);
    }
}
