//! The first page.

use std::time::Duration;

use telepath_core::call::DisconnectReason;
use telepath_core::user::Role;

use super::harness::{Browser, Page, Site};

async fn page(site: &Site, path: &str) -> Page {
    site.user("ada@example.com", Role::Owner).await;
    Browser::of(site, "ada@example.com").await.get(path).await.expect(200)
}

#[tokio::test]
async fn a_new_account_shows_four_steps_that_complete_themselves() {
    let site = Site::new().await;
    let page = page(&site, "/").await;
    assert!(page.text.contains("0 of 4 done") && page.text.contains("Nothing needs attention."));
    for path in ["/settings/api-keys/new", "/connections/new", "/settings/webhooks"] {
        assert!(page.text.contains(&format!("class=\"btn btn-sm\" href=\"{path}\"")), "{path}");
    }
    site.key("production", None).await;
    let trunk = site.trunk("Support line").await;
    let mut browser = Browser::of(&site, "ada@example.com").await;
    assert!(browser.get("/").await.text.contains("2 of 4 done"));
    site.webhook().await;
    site.call(trunk, 5, DisconnectReason::NormalDisconnect, 600).await;
    assert!(!browser.get("/").await.text.contains("Get started"), "all are done");
}

#[tokio::test]
async fn a_viewer_is_shown_no_button_for_what_they_may_not_do() {
    let site = Site::new().await;
    site.user("grace@example.com", Role::Viewer).await;
    let page = Browser::of(&site, "grace@example.com").await.get("/").await.expect(200);
    assert!(page.text.contains("Create an API key") && !page.text.contains("/settings/api-keys/new"));
}

#[tokio::test]
async fn what_needs_attention_is_listed_with_the_way_to_it() {
    let site = Site::new().await;
    let key =
        site.key("agent-<b>orchestrator</b>", Some(site.now().plus(Duration::from_hours(13 * 24)))).await;
    let page = page(&site, "/").await;
    assert!(page.text.contains("One thing needs attention."));
    assert!(
        page.text.contains("agent-&#60;b&#62;orchestrator&#60;/b&#62;</b> expires in 13 days."),
        "{}",
        page.text
    );
    assert!(page.text.contains(&format!("href=\"/settings/api-keys/{key}\">View key")));
}

#[tokio::test]
async fn figures_charts_and_failures_are_those_of_the_range() {
    let site = Site::new().await;
    let trunk = site.trunk("Support line").await;
    for (minutes_ago, reason) in [
        (5, DisconnectReason::NormalDisconnect),
        (6, DisconnectReason::AgentHangup),
        (7, DisconnectReason::NetworkError),
        (200, DisconnectReason::ConnectionFailed),
    ] {
        site.call(trunk, minutes_ago, reason, 600).await;
    }
    site.live_call(trunk).await;
    let page = page(&site, "/").await;
    for text in [
        "<dt class=\"k\">Live calls</dt><dd class=\"v\">1</dd>",
        "<dt class=\"k\">Calls in 24 h</dt><dd class=\"v\">4</dd>",
        "<dd class=\"v\">75%</dd><dd class=\"n\">3 of 4 calls</dd>",
        "4 calls: 2 Completed, 1 Dropped and 1 Failed.",
        "Agent p50",
        "The agent could not be reached",
        "The caller’s audio stopped",
    ] {
        assert!(page.text.contains(text), "{text}\n{}", page.text);
    }
    let mut browser = Browser::of(&site, "ada@example.com").await;
    let hour = browser.get("/?range=1h").await.expect(200);
    assert!(hour.text.contains("Calls in 1 h</dt><dd class=\"v\">3</dd>"), "{}", hour.text);
    assert!(!hour.text.contains("The agent could not be reached"));
    assert!(hour.text.contains("href=\"/?range=1h\" aria-current=\"true\""));
    let table = browser.get("/?range=7d&as=table").await.expect(200);
    assert!(table.text.contains("<caption") && !table.text.contains("<svg class=\"chart"));
    assert!(table.text.contains("href=\"/?range=7d\">View as chart"));
}

#[tokio::test]
async fn figures_follow_what_happens_while_the_page_is_open() {
    let site = Site::new().await;
    site.user("ada@example.com", Role::Owner).await;
    let mut browser = Browser::of(&site, "ada@example.com").await;
    let page = browser.get("/?range=1h").await.expect(200);
    assert!(page.text.contains("hx-sse:connect=\"/overview/live?range=1h\""));
    let request = browser.request("GET", "/overview/live?range=1h").header("sec-fetch-site", "same-origin");
    let response = site.send(request.body(http_body_util::Full::default()).unwrap()).await;
    assert_eq!(response.status(), 200);
    let mut body = std::pin::pin!(response.into_body());
    let first = futures_util::future::poll_fn(|cx| http_body::Body::poll_frame(body.as_mut(), cx)).await;
    let first = first.unwrap().unwrap().into_data().unwrap();
    let text = String::from_utf8_lossy(&first);
    assert!(text.contains("data: <dl class=\"figures\">") && text.contains("Calls in 1 h"), "{text}");
    assert!(!text.contains("hx-"), "what is swapped in carries no nonce");
}
