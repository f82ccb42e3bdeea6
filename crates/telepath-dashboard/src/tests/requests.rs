//! The request log.

use std::net::IpAddr;
use std::time::Duration;

use telepath_core::account::AccountDraft;
use telepath_core::error::ErrorCode;
use telepath_core::id::{AccountId, Id as _, KeyId, RequestId};
use telepath_core::key::{Authority, KeyDraft, Presets};
use telepath_core::request::{Answered, RequestCaller, RequestFacts, RequestMethod, RouteNumber, SecretMark};
use telepath_core::user::Role;
use telepath_store::CreatedKey;

use super::harness::{Browser, Site};

const HOSTILE: &str = "<img src=x onerror=alert(1)>";

/// What differs between requests.
pub(super) struct Sent {
    pub(super) status: u16,
    pub(super) path: &'static str,
    pub(super) agent: &'static str,
}

pub(super) const FINE: Sent = Sent { status: 200, path: "/v1/calls", agent: "curl/8.5.0" };

pub(super) async fn create_key(site: &Site, name: &str) -> CreatedKey {
    let draft =
        KeyDraft { name: Some(name.to_owned()), preset: Some("testing".to_owned()), ..KeyDraft::default() };
    let checked = draft.check(&site.account, &Presets::default(), &Authority::Unbounded, site.now());
    site.store.create_key(site.account.id, checked.unwrap(), site.origin()).await.unwrap()
}

pub(super) async fn key(site: &Site, name: &str) -> KeyId {
    create_key(site, name).await.record.id
}

/// Records a request a millisecond after the one before.
pub(super) async fn send(site: &Site, account: AccountId, key: KeyId, sent: &Sent) -> RequestId {
    site.clock.advance(Duration::from_millis(1));
    let id = RequestId::generate(site.now(), site.store.entropy().as_ref()).unwrap();
    site.store.requests().name_routes(vec!["GET /v1/calls".to_owned()]);
    let facts = RequestFacts {
        at: site.now(),
        caller: RequestCaller::Key { key, secret: SecretMark([1; 8]) },
        method: RequestMethod::Get,
        status: sent.status,
        address: IpAddr::from([203, 0, 113, 10]),
        duration_us: 3_940,
        admitted: true,
    };
    let answered = Answered {
        account,
        id,
        facts,
        route: Some(RouteNumber(0)),
        error: (sent.status == 404).then_some(ErrorCode::CallNotFound),
        user_agent: sent.agent.as_bytes(),
        path: (sent.path != "/v1/calls").then_some(sent.path),
    };
    site.store.requests().record(&answered);
    site.store.flush_usage().await.unwrap();
    id
}

async fn site() -> Site {
    let site = Site::new().await;
    site.user("ada@example.com", Role::Viewer).await;
    site
}

#[tokio::test]
async fn the_log_shows_requests_newest_first_with_the_name_of_their_key() {
    let site = site().await;
    let ci = key(&site, "ci-smoke-tests").await;
    send(&site, site.account.id, ci, &FINE).await;
    send(&site, site.account.id, ci, &Sent { status: 404, path: "/v1/calls/call_01kb7x4d2q", ..FINE }).await;
    let mut browser = Browser::of(&site, "ada@example.com").await;
    let page = browser.get("/requests").await.expect(200);
    assert!(page.text.contains("2 requests."), "{}", page.text);
    let (newer, older) = (page.text.find("call_01kb7x4d2q").unwrap(), page.text.find(">/v1/calls<").unwrap());
    assert!(newer < older);
    assert!(page.text.contains(&format!("href=\"/settings/api-keys/{ci}\">ci-smoke-tests")));
    assert!(page.text.contains("CALL_NOT_FOUND") && page.text.contains("3.9 ms"));
    assert!(page.text.contains("Time (UTC)"));
}

#[tokio::test]
async fn filters_narrow_the_log_and_wrong_ones_are_explained() {
    let site = site().await;
    let (one, two) = (key(&site, "ci smoke").await, key(&site, "production").await);
    send(&site, site.account.id, one, &FINE).await;
    send(&site, site.account.id, two, &Sent { status: 404, ..FINE }).await;
    let mut browser = Browser::of(&site, "ada@example.com").await;
    for (query, count) in [
        ("status=4xx", 1),
        ("status=5xx", 0),
        ("key_id=production", 1),
        ("q=key:prod+status:404", 1),
        ("q=key:%22ci+smoke%22", 1),
        ("q=CALL_NOT_FOUND", 1),
        ("address=203.0.113.0/24", 2),
        ("min_duration_ms=4", 0),
        ("route=/v1/calls&method=GET", 2),
        ("user_agent=curl", 2),
        ("start_date=2027-01-16", 0),
    ] {
        let page = browser.get(&format!("/requests?{query}")).await.expect(200);
        assert_eq!(page.text.matches("href=\"/requests/req_").count(), count, "{query}");
        assert!(page.text.contains("Clear filters"), "{query}");
    }
    for (query, problem) in [
        ("status=900", "Status must be a number such as 404"),
        ("key_id=nobody", "No key is called"),
        ("q=colour:blue", "There is no filter"),
        ("start_date=yesterday", "From must be a date"),
    ] {
        let page = browser.get(&format!("/requests?{query}")).await.expect(422);
        assert!(page.text.contains(problem), "{query}: {}", page.text);
    }
}

#[tokio::test]
async fn a_whole_key_in_the_search_is_neither_shown_nor_searched_for() {
    let site = site().await;
    let one = key(&site, "one").await;
    let created = create_key(&site, "two").await;
    let secret = created.secret.reveal().expose().to_owned();
    send(&site, site.account.id, one, &FINE).await;
    let mut browser = Browser::of(&site, "ada@example.com").await;
    let page = browser.get(&format!("/requests?q={secret}")).await.expect(200);
    assert!(page.text.contains("A whole API key does not belong in a search"));
    assert!(!page.text.contains(&secret));
}

#[tokio::test]
async fn pages_lead_to_older_and_back_to_newer_requests() {
    let site = site().await;
    let one = key(&site, "one").await;
    for _ in 0..120 {
        send(&site, site.account.id, one, &FINE).await;
    }
    let mut browser = Browser::of(&site, "ada@example.com").await;
    let count = |page: &super::harness::Page| page.text.matches("href=\"/requests/req_").count();
    let link = |page: &super::harness::Page, word: &str| {
        let (before, _) = page.text.split_once(&format!("\">{word}</a>")).unwrap();
        before.rsplit("href=\"").next().unwrap().replace("&#38;", "&")
    };
    let first = browser.get("/requests").await.expect(200);
    let second = browser.get(&link(&first, "Older")).await.expect(200);
    let third = browser.get(&link(&second, "Older")).await.expect(200);
    assert_eq!([count(&first), count(&second), count(&third)], [50, 50, 20]);
    let back = browser.get(&link(&third, "Newer")).await.expect(200);
    assert_eq!(link(&back, "Older"), link(&second, "Older"));
    assert_eq!(link(&back, "Newer"), "/requests");
    let grouped = browser.get("/requests?view=grouped").await.expect(200);
    assert!(grouped.text.contains("<b>120</b>"), "{}", grouped.text);
}

#[tokio::test]
async fn one_request_is_shown_with_its_error_its_key_and_its_neighbours() {
    let site = site().await;
    let one = key(&site, "one").await;
    send(&site, site.account.id, one, &FINE).await;
    let id = send(&site, site.account.id, one, &Sent { status: 404, path: "/v1/calls/call_1", ..FINE }).await;
    site.clock.advance(Duration::from_secs(1));
    site.store.revoke_key(site.account.id, one, None, site.origin()).await.unwrap();
    let mut browser = Browser::of(&site, "ada@example.com").await;
    let page = browser.get(&format!("/requests/{id}")).await.expect(200);
    for part in [
        "href=\"/docs/errors#CALL_NOT_FOUND\"",
        ErrorCode::CallNotFound.remedy(),
        "<dt>State then</dt><dd>Active</dd><dt>State now</dt><dd>Revoked</dd>",
        "href=\"/calls/call_1\"",
        "$TELEPATH_API_KEY",
        "Around it",
    ] {
        assert!(page.text.contains(part), "{part} in {}", page.text);
    }
    browser.get("/docs/errors").await.expect(200);
    browser.get("/docs/alerts").await.expect(200);
}

#[tokio::test]
async fn a_request_of_another_account_does_not_exist() {
    let site = site().await;
    let draft = AccountDraft { name: Some("Other".to_owned()), ..AccountDraft::default() };
    let other = site.store.create_account(draft.check().unwrap(), site.origin()).await.unwrap();
    let id = send(&site, other.id, KeyId::from_bytes([9; 16]), &FINE).await;
    let mut browser = Browser::of(&site, "ada@example.com").await;
    browser.get(&format!("/requests/{id}")).await.expect(404);
    browser.get("/requests/nonsense").await.expect(404);
    assert!(browser.get("/requests").await.text.contains("No requests in this range."));
}

#[tokio::test]
async fn hostile_paths_and_user_agents_are_text() {
    let site = site().await;
    let one = key(&site, HOSTILE).await;
    let sent =
        Sent { status: 200, path: "/v1/<img src=x onerror=alert(1)>", agent: "\"><script>alert(1)</script>" };
    let id = send(&site, site.account.id, one, &sent).await;
    let mut browser = Browser::of(&site, "ada@example.com").await;
    for path in [
        "/requests",
        "/requests?view=grouped",
        &format!("/requests/{id}"),
        "/requests?q=%3Cimg+src%3Dx+onerror%3Dalert(1)%3E",
        "/requests?path=%22%3E%3Cscript%3Ealert(1)%3C/script%3E",
    ] {
        let page = browser.get(path).await;
        assert!(!page.text.contains("<img") && !page.text.contains("<script>"), "{path}");
        assert!(page.text.len() < 120_000, "{path}: {}", page.text.len());
    }
}
