//! Exports: the filter of their page, hostile cells, and their end with the session.

use http_body_util::{BodyExt as _, Full};
use telepath_core::call::DisconnectReason;
use telepath_core::user::Role;

use super::harness::{Browser, Page, Site};
use super::requests::{FINE, Sent, key, send};
use crate::page_body::PageBody;

const FORMULA: Sent = Sent { status: 404, path: "/v1/calls/call_1", agent: "=cmd|' /C calc'!A0" };

/// Where the menu of a page leads.
fn link(page: &Page, label: &str) -> String {
    let (before, _) = page.text.split_once(&format!("\">{label}</a>")).unwrap();
    before.rsplit("href=\"").next().unwrap().replace("&#38;", "&")
}

#[tokio::test]
async fn requests_are_exported_with_the_filter_of_the_page_and_without_formulas() {
    let site = Site::new().await;
    site.user("ada@example.com", Role::Viewer).await;
    let ci = key(&site, "ci").await;
    for sent in [FINE, FORMULA] {
        send(&site, site.account.id, ci, &sent).await;
    }
    let mut browser = Browser::of(&site, "ada@example.com").await;
    let page = browser.get("/requests?q=status:4xx+key:ci").await.expect(200);
    let csv = browser.get(&link(&page, "CSV")).await.expect(200);
    assert_eq!(csv.header("content-type"), "text/csv; charset=utf-8");
    assert_eq!(csv.header("content-disposition"), "attachment; filename=\"requests.csv\"");
    assert_eq!(csv.header("cache-control"), "no-store");
    assert!(csv.text.starts_with("id,time,key_id,") && csv.text.lines().count() == 2, "{}", csv.text);
    assert!(csv.text.contains("\"'=cmd|' /C calc'!A0\""), "{}", csv.text);
    let json = browser.get(&link(&page, "NDJSON")).await.expect(200);
    let line: serde_json::Value = serde_json::from_str(json.text.trim_end()).unwrap();
    assert_eq!(
        (line["status"].as_u64(), line["key_id"].as_str()),
        (Some(404), Some(ci.to_string().as_str()))
    );
    let all = browser.get("/requests/export?format=csv").await.expect(200);
    assert_eq!(all.text.lines().count(), 3);
}

#[tokio::test]
async fn the_audit_trail_is_exported_over_many_parts() {
    let site = Site::new().await;
    let ada = site.user("ada@example.com", Role::Viewer).await;
    for number in 0..210 {
        key(&site, &format!("=key {number}")).await;
    }
    let mut browser = Browser::of(&site, "ada@example.com").await;
    let page = browser.get("/audit?action=key.created").await.expect(200);
    let csv = browser.get(&link(&page, "CSV")).await.expect(200);
    assert_eq!(csv.text.lines().count(), 211, "a head and every entry once");
    assert!(csv.text.starts_with("id,position,time,actor"));
    let json = browser.get(&format!("/audit/export?format=ndjson&actor={}", ada.id)).await.expect(200);
    let actors: Vec<serde_json::Value> = json
        .text
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["actor"].clone())
        .collect();
    assert!(!actors.is_empty() && actors.iter().all(|actor| *actor == ada.id.to_string()), "{actors:?}");
}

#[tokio::test]
async fn calls_are_exported_with_the_filter_of_the_page() {
    let site = Site::new().await;
    site.user("ada@example.com", Role::Viewer).await;
    let (one, two) = (site.trunk("one").await, site.trunk("two").await);
    site.call(one, 5, DisconnectReason::NormalDisconnect, 300).await;
    site.call(two, 3, DisconnectReason::NetworkError, 400).await;
    let mut browser = Browser::of(&site, "ada@example.com").await;
    let page = browser.get(&format!("/calls?connection={one}")).await.expect(200);
    let csv = browser.get(&link(&page, "CSV")).await.expect(200);
    assert_eq!(csv.text.lines().count(), 2, "{}", csv.text);
    assert!(csv.text.contains(&one.to_string()) && csv.text.starts_with("id,trunk_id,from,to"));
    let json = browser.get("/calls/export?format=ndjson").await.expect(200);
    assert_eq!(json.text.lines().count(), 2);
}

#[tokio::test]
async fn an_export_needs_a_form_a_filter_and_a_page_of_this_origin() {
    let site = Site::new().await;
    site.user("ada@example.com", Role::Viewer).await;
    let mut browser = Browser::of(&site, "ada@example.com").await;
    for path in [
        "/requests/export",
        "/audit/export?format=xlsx",
        "/requests/export?format=csv&status=never",
        "/audit/export?format=csv&action=x",
    ] {
        browser.get(path).await.expect(400);
    }
    let foreign = browser.request("GET", "/calls/export?format=csv").header("sec-fetch-site", "cross-site");
    Page::of(site.send(foreign.body(Full::default()).unwrap()).await).await.expect(403);
}

#[tokio::test]
async fn an_export_breaks_off_when_its_session_is_revoked_and_the_browser_notices() {
    let site = Site::new().await;
    let ada = site.user("ada@example.com", Role::Viewer).await;
    for number in 0..900 {
        key(&site, &format!("key {number}")).await;
    }
    let browser = Browser::of(&site, "ada@example.com").await;
    let request = browser.request("GET", "/audit/export?format=csv").header("sec-fetch-site", "same-origin");
    let response = site.send(request.body(Full::default()).unwrap()).await;
    assert_eq!(response.status(), 200);
    let mut body: PageBody = response.into_body();
    assert!(body.frame().await.unwrap().is_ok());
    let session = site.store.list_sessions(ada.id).await.unwrap()[0].id;
    site.store.revoke_session(site.account.id, session, site.origin()).await.unwrap();
    while site.streams().count() > 0 {
        tokio::task::yield_now().await;
    }
    let mut last = None;
    while let Some(frame) = body.frame().await {
        let is_broken = frame.is_err();
        last = Some(frame.map(|_| ()));
        if is_broken {
            break;
        }
    }
    assert!(last.unwrap().is_err(), "a file that is not whole must not look whole");
}
