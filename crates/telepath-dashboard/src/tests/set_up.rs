//! The one-use links: the first user, and passwords.

use std::time::Duration;

use telepath_core::user::{Role, UserName};
use telepath_store::NewUser;

use super::harness::{Browser, PASSWORD, Site};

const FIELDS: [(&str, &str); 3] = [("name", "Ada"), ("email", "ada@example.com"), ("password", PASSWORD)];

#[tokio::test]
async fn the_link_of_the_server_creates_the_owner_once() {
    let site = Site::new().await;
    let code = site.store.setup_code().await.unwrap().unwrap();
    let path = format!("/setup?code={}", code.expose());
    let mut browser = Browser::new(&site);
    let opened = browser.get(&path).await;
    assert_eq!((opened.leads_to(), opened.header("referrer-policy")), ("/setup", "no-referrer"));
    let page = browser.get("/setup").await.expect(200);
    assert!(!page.text.contains(code.expose()), "the code is in the cookie only");
    let weak = [("name", ""), ("email", "ada"), ("password", PASSWORD)];
    let page = browser.post("/setup", &weak).await.expect(422);
    assert!(
        page.text.contains("href=\"#name\"") && page.text.contains("id=\"email-error\""),
        "{}",
        page.text
    );
    assert_eq!(browser.post("/setup", &FIELDS).await.leads_to(), "/me/second-factor");
    let page = browser.get("/me").await.expect(200);
    assert!(page.text.contains("ada@example.com") && page.text.contains("Owner"));
    let mut late = Browser::new(&site);
    late.get(&path).await;
    let page = late.get("/setup").await.expect(410);
    assert!(page.text.contains("This server was set up on 15 Jan 2027."), "{}", page.text);
    late.post("/setup", &FIELDS).await.expect(410);
}

#[tokio::test]
async fn a_link_that_is_too_old_or_wrong_creates_nobody() {
    let site = Site::new().await;
    let code = site.store.setup_code().await.unwrap().unwrap().expose().to_owned();
    site.clock.advance(Duration::from_hours(1));
    for code in [code.as_str(), "", "0", "../etc/passwd", "a;b"] {
        let mut browser = Browser::new(&site);
        browser.get(&format!("/setup?code={}", crate::form::encoded(code))).await;
        browser.get("/setup").await.expect(410);
        browser.post("/setup", &FIELDS).await.expect(410);
    }
    assert_eq!(site.store.set_up_at().await.unwrap(), None);
}

#[tokio::test]
async fn the_code_of_the_command_line_sets_a_password_and_signs_in() {
    let site = Site::new().await;
    let name = UserName::check("Grace").unwrap();
    let new = NewUser { email: "grace@example.com".parse().unwrap(), name, role: Role::Viewer };
    let made = site.store.create_user(site.account.id, new, site.origin()).await.unwrap();
    let mut browser = Browser::new(&site);
    browser.get(&format!("/setup?code={}", made.link.expose())).await;
    let page = browser.get("/setup").await.expect(200);
    assert!(page.text.contains("You sign in as grace@example.com.") && !page.text.contains("name=\"name\""));
    let page = browser.post("/setup", &[("password", "short")]).await.expect(422);
    assert!(page.text.contains("at least 12 characters"));
    assert_eq!(browser.post("/setup", &[("password", PASSWORD)]).await.leads_to(), "/me/second-factor");
    browser.get("/me").await.expect(200);
    assert!(!browser.cookies.contains_key("__Host-telepath_setup"));
    let mut again = Browser::new(&site);
    again.get(&format!("/setup?code={}", made.link.expose())).await;
    again.get("/setup").await.expect(410);
}
