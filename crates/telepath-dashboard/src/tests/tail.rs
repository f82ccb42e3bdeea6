//! The live tail of the request log, and the chart above it.

use std::time::Duration;

use http_body_util::{BodyExt as _, Full};
use telepath_core::id::KeyId;
use telepath_core::user::Role;

use super::harness::{Browser, Page, Site};
use super::requests::{FINE, Sent, key, send};
use crate::page_body::PageBody;

async fn site() -> (Site, KeyId) {
    let site = Site::new().await;
    site.user("ada@example.com", Role::Viewer).await;
    let key = key(&site, "ci").await;
    (site, key)
}

fn rows(text: &str) -> usize {
    text.matches("href=\"/requests/req_").count()
}

/// The address in an attribute.
fn address(page: &Page, before: &str) -> String {
    page.after(before).replace("&#38;", "&")
}

/// Lets so much time pass that a reader of the log sees everything: on `PostgreSQL`, what several servers have just written
/// becomes visible in its final order only after a while.
fn settle(site: &Site) {
    site.clock.advance(Duration::from_mins(1));
}

/// The first events of a stream, up to the first with rows.
async fn stream(site: &Site, browser: &Browser<'_>, path: &str, last: &str) -> String {
    settle(site);
    let request = browser.request("GET", path).header("sec-fetch-site", "same-origin");
    let response = site.send(request.header("last-event-id", last).body(Full::default()).unwrap()).await;
    assert_eq!(response.status(), 200);
    let mut body: PageBody = response.into_body();
    let mut text = String::new();
    while rows(&text) == 0 {
        let frame = body.frame().await.unwrap().unwrap().into_data().unwrap();
        text.push_str(std::str::from_utf8(&frame).unwrap());
    }
    text
}

#[tokio::test]
async fn the_live_tail_sends_what_comes_after_the_page_with_the_filter_of_the_list() {
    let (site, ci) = site().await;
    send(&site, site.account.id, ci, &FINE).await;
    let mut browser = Browser::of(&site, "ada@example.com").await;
    let plain = browser.get("/requests?status=4xx").await.expect(200);
    assert!(!plain.text.contains("hx-sse"), "it starts only on request");
    let page = browser.get(&address(&plain, "btn btn-primary\" href=\"")).await.expect(200);
    assert_eq!(rows(&page.text), 0);
    let path = address(&page, "hx-sse:connect=\"");
    send(&site, site.account.id, ci, &FINE).await;
    for path in ["/v1/calls/call_1", "/v1/calls/<img src=x onerror=alert(1)>"] {
        send(&site, site.account.id, ci, &Sent { status: 404, path, ..FINE }).await;
    }
    let text = stream(&site, &browser, &path, "").await;
    assert_eq!(rows(&text), 2, "{text}");
    assert!(text.find("onerror").unwrap() < text.find("call_1").unwrap(), "the newest is the first: {text}");
    assert!(!text.contains("<img") && !text.contains("hx-") && text.contains("\nid: "), "{text}");
    // A page that lost its connection continues where it was.
    let (_, rest) = text.split_once("\nid: ").unwrap();
    send(&site, site.account.id, ci, &Sent { status: 404, path: "/v1/calls/call_2", ..FINE }).await;
    let next = stream(&site, &browser, &path, rest.lines().next().unwrap()).await;
    assert!(rows(&next) == 1 && next.contains("call_2"), "{next}");
}

#[tokio::test]
async fn of_more_requests_than_can_be_read_the_live_tail_shows_some_and_says_so() {
    let (site, ci) = site().await;
    let mut browser = Browser::of(&site, "ada@example.com").await;
    let page = browser.get("/requests?live=on").await.expect(200);
    for _ in 0..50 {
        send(&site, site.account.id, ci, &FINE).await;
    }
    let text = stream(&site, &browser, &address(&page, "hx-sse:connect=\""), "").await;
    assert!(rows(&text) == 17 && text.contains("event: sampled\ndata: 3\n"), "{text}");
}

#[tokio::test]
async fn without_java_script_a_link_shows_what_is_new() {
    let (site, ci) = site().await;
    send(&site, site.account.id, ci, &FINE).await;
    let mut browser = Browser::of(&site, "ada@example.com").await;
    let refresh = |page: &Page| address(page, "id=\"tail-refresh\" href=\"");
    settle(&site);
    let page = browser.get("/requests?live=on").await.expect(200);
    assert_eq!(rows(&page.text), 1);
    let page = browser.get(&refresh(&page)).await.expect(200);
    assert_eq!(rows(&page.text), 0);
    assert!(page.text.contains("No new requests since then."));
    send(&site, site.account.id, ci, &Sent { path: "/v1/calls/call_1", ..FINE }).await;
    settle(&site);
    let page = browser.get(&refresh(&page)).await.expect(200);
    assert!(rows(&page.text) == 1 && page.text.contains("call_1"), "{}", page.text);
    let page = browser.get(&refresh(&page)).await.expect(200);
    assert_eq!(rows(&page.text), 0);
}

#[tokio::test]
async fn a_filter_that_cannot_be_read_opens_no_stream() {
    let (site, _) = site().await;
    let browser = Browser::of(&site, "ada@example.com").await;
    let request =
        browser.request("GET", "/requests/live?status=never").header("sec-fetch-site", "same-origin");
    Page::of(site.send(request.body(Full::default()).unwrap()).await).await.expect(400);
    let foreign = browser.request("GET", "/requests/live").header("sec-fetch-site", "cross-site");
    Page::of(site.send(foreign.body(Full::default()).unwrap()).await).await.expect(403);
}

#[tokio::test]
async fn the_chart_counts_what_the_list_shows_and_each_column_leads_to_its_requests() {
    let (site, ci) = site().await;
    for status in [200, 200, 404] {
        send(&site, site.account.id, ci, &Sent { status, ..FINE }).await;
    }
    let mut browser = Browser::of(&site, "ada@example.com").await;
    for range in ["1h", "24h", "7d", "30d"] {
        let page = browser.get(&format!("/requests?range={range}")).await.expect(200);
        assert!(page.text.contains("3 requests: 2 2xx and 1 4xx."), "{range}: {}", page.text);
        let (_, chart) = page.text.split_once("<svg class=\"chart wide strip\"").unwrap();
        let (_, link) = chart.split_once("<a href=\"").unwrap();
        let link = link.split('"').next().unwrap().replace("&amp;", "&");
        let there = browser.get(&link).await.expect(200);
        assert_eq!(rows(&there.text), 3, "{link}");
    }
    let page = browser.get("/requests?path=/v1/calls&status=4xx").await.expect(200);
    assert!(page.text.contains("1 request: 1 4xx."), "{}", page.text);
    let table = browser.get("/requests?as=table").await.expect(200);
    assert!(!table.text.contains("<svg class=\"chart") && table.text.contains("View as chart"));
    let bytes = crate::compression::gzip(page.text.as_bytes()).unwrap().len();
    assert!(bytes <= 12 * 1024, "{bytes}");
}
