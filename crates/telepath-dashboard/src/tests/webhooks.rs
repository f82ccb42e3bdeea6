//! Webhook endpoints: what each role may do, what is shown once, and what is shown of responses from outside.

use std::time::Duration;

use telepath_core::user::{Role, STEP_UP_LIFETIME};

use super::harness::{Browser, Site};

const NEW: &str = "/settings/webhooks/new";
const FIELDS: [(&str, &str); 5] = [
    ("url", "https://hooks.example.com/telepath"),
    ("description", "<b>bold</b>\u{202e}"),
    ("events", "call.*"),
    ("headers", "Authorization: Bearer only-the-receiver-knows"),
    ("max_in_flight", "5"),
];

/// An owner with an endpoint, and its path.
async fn endpoint(site: &Site) -> (Browser<'_>, String, String) {
    site.user("ada@example.com", Role::Owner).await;
    let mut owner = Browser::of(site, "ada@example.com").await;
    let page = owner.post(NEW, &FIELDS).await.expect(200);
    assert_eq!((page.header("cache-control"), page.header("content-encoding")), ("no-store", ""));
    let (_, rest) = page.text.split_once("data-secret>").unwrap();
    let secret = rest.split('<').next().unwrap().to_owned();
    assert!(secret.starts_with("whsec_"), "{secret}");
    let path = format!("/settings/webhooks/{}", page.after("action=\"/settings/webhooks/"));
    (owner, path, secret)
}

#[tokio::test]
async fn an_endpoint_is_created_and_its_secrets_are_shown_once() {
    let site = Site::new().await;
    let (mut owner, path, secret) = endpoint(&site).await;
    for path in ["/settings/webhooks".to_owned(), path.clone(), format!("{path}/edit")] {
        let page = owner.get(&path).await.expect(200);
        assert!(!page.text.contains(&secret) && !page.text.contains("only-the-receiver-knows"), "{path}");
        assert!(page.text.contains("hooks.example.com") && !page.text.contains("<b>bold"), "{path}");
    }
    let page = owner.get(&path).await.expect(200);
    assert!(page.text.contains("Healthy") && page.text.contains("call.*") && page.text.contains("\\u{202e}"));
    let rotated = owner.post(&format!("{path}/rotate"), &[("grace", "86400")]).await.expect(200);
    assert!(rotated.text.contains("data-secret>whsec_") && !rotated.text.contains(&secret));
    owner.post(&format!("{path}/rotate"), &[("grace", "604801")]).await.expect(400);
}

#[tokio::test]
async fn a_form_says_what_is_wrong_and_keeps_what_was_typed() {
    let site = Site::new().await;
    site.user("ada@example.com", Role::Developer).await;
    let mut browser = Browser::of(&site, "ada@example.com").await;
    for (fields, field) in [
        (&[("url", "http://hooks.example.com"), ("events", "*")][..], "url"),
        (&[("url", "https://refused.example"), ("events", "*")], "url"),
        (&[("url", "https://hooks.example.com")], "events"),
        (&[("url", "https://hooks.example.com"), ("events", "*"), ("headers", "none")], "headers"),
        (&[("url", "https://hooks.example.com"), ("events", "*"), ("max_in_flight", "x")], "max_in_flight"),
        (&[("url", "https://hooks.example.com"), ("events", "*"), ("max_in_flight", "101")], "max_in_flight"),
    ] {
        let page = browser.post(NEW, fields).await.expect(422);
        assert!(page.text.contains(&format!("id=\"{field}-error\"")), "{fields:?}: {}", page.text);
        assert!(page.text.contains(&format!("value=\"{}\"", fields[0].1)), "{fields:?}");
    }
    assert!(browser.get("/settings/webhooks").await.text.contains("No endpoints yet."));
}

#[tokio::test]
async fn an_endpoint_is_changed_disabled_enabled_and_deleted() {
    let site = Site::new().await;
    let (mut owner, path, _) = endpoint(&site).await;
    let edit = format!("{path}/edit");
    let fields =
        [("url", FIELDS[0].1), ("events", "key.*"), ("events", "call.ended"), ("max_in_flight", "7")];
    assert_eq!(owner.post(&edit, &fields).await.leads_to(), format!("{path}?done=saved"));
    let page = owner.get(&path).await.expect(200);
    assert!(
        page.text.contains("key.*") && page.text.contains("call.ended") && page.text.contains("<dd>7</dd>")
    );
    assert!(page.text.contains("<dt>Headers</dt><dd>Set "), "headers stay");
    let moved = [("url", "https://other.example/"), ("events", "*")];
    let page = owner.post(&edit, &moved).await.expect(422);
    assert!(
        page.text.contains("id=\"headers-error\""),
        "secrets do not follow to another host: {}",
        page.text
    );
    owner.post(&edit, &[("url", "https://refused.example/"), ("events", "*")]).await.expect(422);
    for (status, shown) in [("disabled", "Disabled"), ("active", "Healthy")] {
        owner.post(&format!("{path}/status"), &[("status", status)]).await.leads_to();
        assert!(owner.get(&path).await.text.contains(shown));
    }
    owner.post(&format!("{path}/status"), &[("status", "asleep")]).await.expect(400);
    assert_eq!(
        owner.post(&format!("{path}/delete"), &[]).await.leads_to(),
        "/settings/webhooks?done=deleted"
    );
    owner.get(&path).await.expect(404);
}

#[tokio::test]
async fn a_test_event_is_listed_shown_and_sent_again() {
    let site = Site::new().await;
    let (mut owner, path, _) = endpoint(&site).await;
    let sent = owner.post(&format!("{path}/test"), &[]).await;
    let delivery = sent.leads_to().to_owned();
    let page = owner.get(&delivery).await.expect(200);
    assert!(
        page.text.contains("webhook.test")
            && page.text.contains("Waiting")
            && page.text.contains("webhook-id")
    );
    let list = owner.get(&format!("{path}?status=pending")).await.expect(200);
    assert!(list.text.contains(&delivery), "{}", list.text);
    assert!(
        owner.get(&format!("{path}?status=delivered")).await.text.contains("No deliveries with this status.")
    );
    owner.post(&format!("{delivery}/resend"), &[]).await.leads_to();
    let page = owner.get(&format!("{path}?recover=24")).await.expect(200);
    assert!(page.text.contains("No failed or held deliveries of the last day."));
    owner.post(&format!("{path}/status"), &[("status", "disabled")]).await.leads_to();
    let page = owner.get(&format!("{path}?recover=24")).await.expect(200);
    assert!(page.text.contains("1 failed or held deliveries"), "{}", page.text);
    owner.post(&format!("{path}/test"), &[]).await.expect(409);
    owner.post(&format!("{path}/status"), &[("status", "active")]).await.leads_to();
    let recovered = owner.post(&format!("{path}/recover"), &[("hours", "24")]).await;
    assert_eq!(recovered.leads_to(), format!("{path}?done=recovered&count=1"));
    owner.post(&format!("{path}/recover"), &[("hours", "25")]).await.expect(400);
}

#[tokio::test]
async fn viewers_change_nothing_and_other_accounts_see_nothing() {
    let site = Site::new().await;
    let (mut owner, path, _) = endpoint(&site).await;
    let delivery = owner.post(&format!("{path}/test"), &[]).await.leads_to().to_owned();
    site.user("viewer@example.com", Role::Viewer).await;
    let mut viewer = Browser::of(&site, "viewer@example.com").await;
    let page = viewer.get(&path).await.expect(200);
    assert!(!page.text.contains("Rotate secret") && !page.text.contains("Send test event"));
    assert!(!viewer.get(&delivery).await.expect(200).text.contains("Resend"));
    let other = site.other_account("Second Voice").await;
    site.user_of(other, "eve@example.com", Role::Owner).await;
    let mut eve = Browser::of(&site, "eve@example.com").await;
    eve.get(&path).await.expect(404);
    eve.get(&delivery).await.expect(404);
    for form in ["rotate", "status", "delete", "test", "recover", "edit"] {
        let fields = [("status", "active"), ("grace", "0"), ("hours", "24")];
        viewer.post(&format!("{path}/{form}"), &fields).await.expect(403);
        eve.post(&format!("{path}/{form}"), &fields).await.expect(404);
    }
    viewer.post(&format!("{delivery}/resend"), &[]).await.expect(403);
    eve.post(&format!("{delivery}/resend"), &[]).await.expect(404);
}

#[tokio::test]
async fn showing_a_secret_asks_for_the_password_and_stopping_does_not() {
    let site = Site::new().await;
    let (mut owner, path, _) = endpoint(&site).await;
    site.clock.advance(STEP_UP_LIFETIME);
    for (path, asks) in
        [(NEW.to_owned(), true), (format!("{path}/rotate"), true), (format!("{path}/delete"), false)]
    {
        let page = owner.post(&path, &[("grace", "0")]).await;
        assert_eq!(page.leads_to().starts_with("/confirm"), asks, "{path}");
    }
}

#[tokio::test]
async fn an_endpoint_shows_how_its_deliveries_went_and_what_waits() {
    let site = Site::new().await;
    let (mut owner, path, _) = endpoint(&site).await;
    let page = owner.get("/settings/webhooks").await.expect(200);
    assert!(page.text.contains("<b class=\"num\">–</b>"), "{}", page.text);
    for seconds in [2, 4] {
        owner.post(&format!("{path}/test"), &[]).await;
        site.clock.advance(Duration::from_secs(seconds));
        site.deliver(seconds == 2).await;
    }
    owner.post(&format!("{path}/test"), &[]).await;
    site.clock.advance(Duration::from_mins(6));
    for path in [path.as_str(), "/settings/webhooks"] {
        let page = owner.get(path).await.expect(200);
        for text in ["50%", "1 of 2", "6 min"] {
            assert!(page.text.contains(text), "{text} in {path}: {}", page.text);
        }
    }
    let page = owner.get(&path).await.expect(200);
    assert!(page.text.contains("2,000 ms") && page.text.contains("p95 2,000 ms"), "{}", page.text);
}
