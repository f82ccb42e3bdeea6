//! What a page costs: statements and bytes.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use http::Method;
use telepath_core::call::DisconnectReason;
use telepath_core::user::Role;
use telepath_store::counting_statements;

use super::harness::{Browser, Site};
use crate::pages;
use crate::route::Handler;

/// The most statements that a page may send to the database, beside the one that finds its session.
const STATEMENTS: u32 = 6;
/// The same for the guide after a leak, which is opened once in a while and gathers facts from everywhere.
const STATEMENTS_OF_GUIDE: u32 = 8;
/// The most bytes that the HTML of a page may weigh, compressed.
const BYTES: usize = 12 * 1024;

/// The last parts of paths that answer with a stream or a file instead of a page.
const ANSWERS: [&str; 7] =
    ["/live", "/tail", "/first-request", "/export", "/bundle", "/authority", "/report"];

fn compressed(text: &str) -> usize {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap().len()
}

#[tokio::test]
async fn every_page_sends_few_statements_and_few_bytes() {
    let site = Site::new().await;
    site.user("ada@example.com", Role::Owner).await;
    let mut keys = Vec::new();
    for number in 0..60 {
        keys.push(site.key(&format!("worker-{number}"), None).await);
    }
    let trunk = site.trunk("Support line").await;
    for number in 0..60 {
        site.call(trunk, number + 1, DisconnectReason::NormalDisconnect, 400).await;
    }
    site.live_call(trunk).await;
    let webhook = site.webhook().await;
    let mut browser = Browser::of(&site, "ada@example.com").await;
    let calls = browser.get("/calls").await.text;
    let call =
        calls.split("/calls/call_").nth(1).and_then(|rest| rest.split(['"', '?', '/']).next()).unwrap();
    let call = format!("call_{call}");
    let (_, of_session) = Box::pin(counting_statements(browser.get("/me/password"))).await;
    assert_eq!(of_session, 1, "the session, its user and the accounts are found with one statement");
    let mut faults = Vec::new();
    for route in pages::routes() {
        let Handler::User(..) = &route.handler else { continue };
        if route.method != Method::GET || ANSWERS.iter().any(|end| route.path.ends_with(end)) {
            continue;
        }
        let id = match route.path {
            path if path.starts_with("/settings/api-keys") => keys[0].to_string(),
            path if path.starts_with("/connections") => trunk.to_string(),
            path if path.starts_with("/calls") => call.clone(),
            path if path.starts_with("/settings/webhooks") => webhook.to_string(),
            _ => "nothing".to_owned(),
        };
        let path = route.path.replace("{id}", &id);
        let (page, sent) = Box::pin(counting_statements(browser.get(&path))).await;
        assert!(!page.status.is_server_error(), "{path}: {}", page.status);
        let bytes = compressed(&page.text);
        if sent - of_session > STATEMENTS || bytes > BYTES {
            faults.push(format!("{path}: {sent} statements, {bytes} bytes"));
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
    site.store.revoke_key(site.account.id, keys[1], None, site.origin()).await.unwrap();
    site.store.start_leak_guide(site.account.id, keys[1], site.origin()).await.unwrap();
    let path = format!("/settings/api-keys/leaked?key={}", keys[1]);
    let (page, sent) = Box::pin(counting_statements(browser.get(&path))).await;
    assert!(page.text.contains("of 5 steps done"), "{}", page.text);
    assert!(sent - of_session <= STATEMENTS_OF_GUIDE && compressed(&page.text) <= BYTES, "{sent} statements");
}
