//! Alerts and their rules.

use std::net::IpAddr;
use std::sync::Arc;

use telepath_core::alert::{AlertFilter, SecuritySignal};
use telepath_core::page::PageRequest;
use telepath_core::user::Role;

use super::harness::{Browser, Site};
use super::letters::Postbox;
use super::requests::{create_key, key};

/// An alert about a revoked key; returns its path.
async fn alert(site: &Site, name: &str) -> String {
    let key = key(site, name).await;
    site.store.revoke_key(site.account.id, key, None, site.origin()).await.unwrap();
    let signal = SecuritySignal::DeadKeyUsed { key, address: IpAddr::from([198, 51, 100, 7]) };
    site.store.record_security_signal(signal);
    site.store.raise_security_alerts().await.unwrap();
    let filter = AlertFilter::default();
    let alerts = site.store.list_alerts(site.account.id, filter, PageRequest::default()).await.unwrap();
    format!("/alerts/{}", alerts.items[0].id)
}

#[tokio::test]
async fn an_alert_is_shown_with_what_to_do_and_acknowledged_with_a_note() {
    let site = Site::new().await;
    site.user("ada@example.com", Role::Admin).await;
    let path = alert(&site, "old-key").await;
    let mut browser = Browser::of(&site, "ada@example.com").await;
    assert!(browser.get("/alerts").await.expect(200).text.contains("old-key"));
    let page = browser.get(&path).await.expect(200);
    for part in ["What to do", "Review its requests", "/docs/alerts#dead_key_used", "198.51.100.7", "revoked"]
    {
        assert!(page.text.contains(part), "{part} in {}", page.text);
    }
    assert!(browser.get(&format!("{path}?as=table")).await.expect(200).text.contains("View as chart"));
    let form = format!("{path}/acknowledge");
    let long = "n".repeat(1001);
    let page = browser.post(&form, &[("note", &long)]).await.expect(422);
    assert!(page.text.contains(&long), "what was typed is kept");
    let next = browser.post(&form, &[("note", "The <b>old</b> worker")]).await;
    assert_eq!(next.leads_to(), "/alerts?done=acknowledged");
    assert!(browser.get("/alerts").await.text.contains("Nothing needs attention."));
    let page = browser.get("/alerts?status=acknowledged").await.expect(200);
    assert!(page.text.contains("The &#60;b&#62;old&#60;/b&#62; worker"), "{}", page.text);
    assert!(browser.get(&path).await.text.contains("By ada@example.com"));
}

#[tokio::test]
async fn a_developer_acknowledges_alerts_about_own_keys_only_and_a_viewer_none() {
    let site = Site::new().await;
    site.user("dev@example.com", Role::Developer).await;
    site.user("view@example.com", Role::Viewer).await;
    let path = alert(&site, "old-key").await;
    let mut viewer = Browser::of(&site, "view@example.com").await;
    assert!(!viewer.get(&path).await.expect(200).text.contains("Acknowledge this alert"));
    viewer.post(&format!("{path}/acknowledge"), &[]).await.expect(403);
    let mut developer = Browser::of(&site, "dev@example.com").await;
    developer.get(&path).await.expect(200);
    developer.post(&format!("{path}/acknowledge"), &[]).await.expect(403);
}

#[tokio::test]
async fn rules_say_when_they_raise_alerts_and_when_they_did() {
    let site = Site::new().await;
    site.user("view@example.com", Role::Viewer).await;
    alert(&site, "old-key").await;
    let mut browser = Browser::of(&site, "view@example.com").await;
    let page = browser.get("/alerts/rules").await.expect(200);
    assert!(
        page.text.contains("At least 50 requests of a key fail in five minutes, and at least 30 % of all.")
    );
    assert!(
        page.text.contains("burst_percent")
            && page.text.contains("never")
            && page.text.contains("15 Jan 2027")
    );
    browser.get("/alerts/nonsense").await.expect(404);
}

#[tokio::test]
async fn the_audit_trail_is_told_in_sentences_filtered_and_checked() {
    let site = Site::new().await;
    site.user("view@example.com", Role::Viewer).await;
    let made = create_key(&site, "<b>ci</b>").await.record.id;
    site.store.revoke_key(site.account.id, made, Some("leaked".to_owned()), site.origin()).await.unwrap();
    let mut browser = Browser::of(&site, "view@example.com").await;
    let page = browser.get(&format!("/audit?target={made}")).await.expect(200);
    assert!(
        page.text.contains("2 entries.") && page.text.contains("revoked the key <b>&#60;b&#62;ci"),
        "{}",
        page.text
    );
    assert!(page.text.contains("Local administration") && page.text.contains("leaked"));
    for (query, count) in [
        ("action=key.revoked", 1),
        ("actor=system", 0),
        ("actor=view@example.com&action=session.created", 1),
        ("end_date=2027-01-14", 0),
    ] {
        let page = browser.get(&format!("/audit?{query}")).await.expect(200);
        assert_eq!(page.text.matches("<li><details>").count(), count, "{query}: {}", page.text);
    }
    for query in ["action=key.painted", "actor=nobody", "start_date=soon"] {
        browser.get(&format!("/audit?{query}")).await.expect(422);
    }
    assert!(browser.get("/audit").await.text.contains("The chain was not checked since the server started."));
    assert_eq!(browser.post("/audit/check", &[]).await.leads_to(), "/audit");
    assert!(browser.get("/audit").await.text.contains("Chain intact:"));
}

#[tokio::test]
async fn the_entries_of_another_account_are_not_shown() {
    let site = Site::new().await;
    site.user("view@example.com", Role::Viewer).await;
    let draft = telepath_core::account::AccountDraft { name: Some("Other".to_owned()), ..Default::default() };
    let other = site.store.create_account(draft.check().unwrap(), site.origin()).await.unwrap();
    let mut browser = Browser::of(&site, "view@example.com").await;
    let page = browser.get(&format!("/audit?target={}", other.id)).await.expect(200);
    assert!(page.text.contains("No matches."));
}

#[tokio::test]
async fn a_test_is_sent_by_button_and_what_the_mail_server_says_is_shown() {
    for (postbox, is_sent) in [(Arc::new(Postbox::default()), true), (Postbox::broken(), false)] {
        let site = Site::with(postbox.services()).await;
        site.user("ada@example.com", Role::Admin).await;
        key(&site, "<b>ci</b>").await;
        let mut browser = Browser::of(&site, "ada@example.com").await;
        let page = browser.get("/alerts/rules").await.expect(200);
        assert!(page.text.contains("Send a test mail") && page.text.contains("Send a test alert"));
        for kind in ["mail", "alert"] {
            let answer = browser.post("/alerts/rules/test", &[("kind", kind)]).await;
            if is_sent {
                assert_eq!(answer.leads_to(), format!("/alerts/rules?sent={kind}"));
                let (to, text) = postbox.next().await;
                assert_eq!(to, "alerts");
                let part = if kind == "mail" {
                    "ada@example.com sent this"
                } else {
                    "https://voice.example/alerts/rules"
                };
                assert!(text.contains(part), "{text}");
            } else {
                let page = answer.expect(200);
                assert!(page.text.contains("The test was not sent:"), "{}", page.text);
                assert!(page.text.contains("connection refused"), "{}", page.text);
            }
        }
        browser.post("/alerts/rules/test", &[("kind", "x")]).await.expect(400);
        let audit = browser.get("/audit?action=alerts.tested").await.expect(200);
        assert!(audit.text.contains("2 entries.") && audit.text.contains("sent a test of the emails"));
    }
}

#[tokio::test]
async fn without_a_mail_server_or_the_right_there_is_no_test() {
    let site = Site::new().await;
    site.user("ada@example.com", Role::Admin).await;
    let mut browser = Browser::of(&site, "ada@example.com").await;
    assert!(!browser.get("/alerts/rules").await.text.contains("Send a test"));
    let page = browser.post("/alerts/rules/test", &[("kind", "mail")]).await.expect(200);
    assert!(page.text.contains("no mail server is configured"), "{}", page.text);
    site.user("grace@example.com", Role::Viewer).await;
    let mut viewer = Browser::of(&site, "grace@example.com").await;
    assert!(!viewer.get("/alerts/rules").await.text.contains("Send a test"));
    viewer.post("/alerts/rules/test", &[("kind", "mail")]).await.expect(403);
}
