//! Streams of pages end with what allowed them.

use http_body_util::BodyExt as _;
use telepath_core::user::{Role, UserToken};

use super::harness::{Browser, Site};
use crate::live::{Event, Feed, Live, Viewer};
use crate::problem::Problem;

struct Ticking;

impl Feed for Ticking {
    const INTERVAL: std::time::Duration = std::time::Duration::from_millis(20);

    async fn read(&mut self) -> Result<Vec<Event>, Problem> {
        Ok(vec![Event::html("tick".to_owned())])
    }
}

async fn viewer(site: &Site, browser: &Browser<'_>) -> Viewer {
    let token = UserToken::parse(&browser.cookies["__Host-telepath"]).unwrap();
    let found = site.store.find_session(&token).await.unwrap().unwrap();
    Viewer {
        store: site.store.clone(),
        token,
        session: found.session.id,
        account: found.session.account,
        scope: Some(telepath_core::scope::Scope::AccountWrite),
    }
}

/// Everything that a stream sends until it ends.
async fn rest_of(mut batches: tokio::sync::mpsc::Receiver<bytes::Bytes>) -> String {
    let mut text = Vec::new();
    while let Some(batch) = batches.recv().await {
        text.extend_from_slice(&batch);
    }
    String::from_utf8(text).unwrap()
}

#[tokio::test]
async fn a_stream_ends_when_its_session_does_and_says_so() {
    let site = Site::new().await;
    site.user("ada@example.com", Role::Owner).await;
    let browser = Browser::of(&site, "ada@example.com").await;
    let viewer = viewer(&site, &browser).await;
    let session = viewer.session;
    let stream = site.streams().open(Live::new(Ticking), viewer).unwrap();
    site.store.revoke_session(site.account.id, session, site.origin()).await.unwrap();
    let text = rest_of(stream).await;
    assert!(text.starts_with("retry: 2000\n\n") && text.contains("data: tick"), "{text}");
}

#[tokio::test]
async fn a_stream_ends_when_the_role_loses_the_right_to_it() {
    let site = Site::new().await;
    site.user("grace@example.com", Role::Owner).await;
    let owner = site.user("ada@example.com", Role::Owner).await;
    let browser = Browser::of(&site, "ada@example.com").await;
    let stream = site.streams().open(Live::new(Ticking), viewer(&site, &browser).await).unwrap();
    site.store.set_role(site.account.id, owner.id, Role::Viewer, site.origin()).await.unwrap();
    rest_of(stream).await;
}

#[tokio::test]
async fn streams_end_when_the_server_stops() {
    let site = Site::new().await;
    site.user("ada@example.com", Role::Owner).await;
    let browser = Browser::of(&site, "ada@example.com").await;
    let stream = site.streams().open(Live::new(Ticking), viewer(&site, &browser).await).unwrap();
    site.dashboard.end_streams();
    rest_of(stream).await;
    let refused = site.streams().open(Live::new(Ticking), viewer(&site, &browser).await);
    assert!(matches!(refused, Err(Problem::Wait(_))));
}

#[tokio::test]
async fn a_script_without_a_session_leaves_the_page_for_the_sign_in() {
    let site = Site::new().await;
    let browser = Browser::new(&site);
    for (shown, next) in [
        ("https://voice.example/me?x=1", "/login?next=%2Fme%3Fx%3D1"),
        ("https://voice.example//evil.example", "/login"),
        ("nonsense", "/login"),
    ] {
        let request =
            browser.request("GET", "/me").header("hx-request", "true").header("hx-current-url", shown);
        let response = site.send(request.body(http_body_util::Full::default()).unwrap()).await;
        assert_eq!(response.status(), 401);
        assert_eq!(response.headers()["hx-redirect"], next, "{shown}");
        assert!(response.into_body().collect().await.unwrap().to_bytes().is_empty());
    }
}
