//! Who reaches what, for every route.

use telepath_core::user::Role;
use telepath_http::App as _;

use super::harness::{Browser, Site};
use crate::pages;
use crate::route::Handler;

#[tokio::test]
async fn every_page_of_a_user_needs_a_session_and_the_scope_of_its_route() {
    let site = Site::new().await;
    let mut browsers = Vec::new();
    for role in Role::ALL {
        let email = format!("{}@example.com", role.name());
        site.user(&email, *role).await;
        // One session for all routes: a user has a bounded number of them.
        browsers.push((*role, Browser::of(&site, &email).await));
    }
    for route in pages::routes() {
        let Handler::User(scope, _) = &route.handler else { continue };
        let path = route.path.replace("{id}", "nothing");
        let mut nobody = Browser::new(&site);
        let page = match route.method.as_str() {
            "GET" => nobody.get(&path).await,
            _ => nobody.post(&path, &[]).await,
        };
        assert!(page.leads_to().starts_with("/login"), "{} {path}", route.method);
        for (role, browser) in &mut browsers {
            let Some(scope) = scope else { continue };
            let page = match route.method.as_str() {
                "GET" => browser.get(&path).await,
                _ => browser.post(&path, &[]).await,
            };
            // A stream that no page opens is refused as well, but not because of the role.
            let refused = page.status.as_u16() == 403 && page.text.contains("Your role does not allow this");
            assert_eq!(refused, !role.scopes().allows(*scope), "{} {path} as {}", route.method, role.name());
        }
    }
}

#[tokio::test]
async fn browsers_get_error_pages_and_api_clients_are_left_to_the_api() {
    let site = Site::new().await;
    let serves = |path: &str, accept: &'static str| {
        let headers = http::HeaderMap::from_iter([(http::header::ACCEPT, accept.parse().unwrap())]);
        site.dashboard.serves(path, &headers)
    };
    assert!(serves("/login", "*/*") && serves("/assets/app.css", "*/*"));
    assert!(serves("/nothing", "text/html,application/xhtml+xml"));
    assert!(!serves("/nothing", "*/*") && !serves("/v1/keys", "application/json"));
    let with_key = http::HeaderMap::from_iter([(http::header::AUTHORIZATION, "Bearer sk".parse().unwrap())]);
    assert!(!site.dashboard.serves("/", &with_key), "an API key means nothing to pages");
}

#[tokio::test]
async fn an_unknown_page_is_shown_in_the_shell_and_says_which_request_it_was() {
    let site = Site::new().await;
    site.user("ada@example.com", Role::Owner).await;
    let mut browser = Browser::of(&site, "ada@example.com").await;
    let page = browser.get("/nothing").await.expect(404);
    assert!(page.text.contains("This page does not exist") && page.text.contains("class=\"shell\""));
    assert!(page.text.contains(page.header("x-request-id")));
    let page = Browser::new(&site).get("/nothing").await.expect(404);
    assert!(!page.text.contains("class=\"shell\""));
}
