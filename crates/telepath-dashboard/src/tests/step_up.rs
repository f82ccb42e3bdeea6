//! What needs a confirmed identity, and the form that waits for it.

use telepath_core::user::{Role, STEP_UP_LIFETIME};

use super::harness::{Browser, PASSWORD, Site};

#[tokio::test]
async fn a_form_waits_for_the_password_and_is_handled_then() {
    let site = Site::new().await;
    let user = site.user("ada@example.com", Role::Owner).await;
    let mut browser = Browser::of(&site, "ada@example.com").await;
    site.clock.advance(STEP_UP_LIFETIME);
    let asks = browser.post("/me/second-factor", &[]).await;
    let path = asks.leads_to().to_owned();
    let held = path.strip_prefix("/confirm?held=").unwrap();
    let page = browser.get(&path).await.expect(200);
    assert_eq!(page.after("name=\"held\" value=\""), held);
    let wrong = [("held", held), ("password", "not the password")];
    let page = browser.post("/confirm", &wrong).await.expect(422);
    assert_eq!(page.after("name=\"held\" value=\""), held, "the form still waits");
    assert!(site.store.pending_totp(user.id, "Telepath").await.unwrap().is_none());
    let before = browser.cookies["__Host-telepath"].clone();
    let done = browser.post("/confirm", &[("held", held), ("password", PASSWORD)]).await.expect(200);
    assert!(done.text.contains("Add an authenticator") && done.header("cache-control") == "no-store");
    assert!(site.store.pending_totp(user.id, "Telepath").await.unwrap().is_some());
    assert_ne!(browser.cookies["__Host-telepath"], before, "a confirmation renews the session");
    let again = browser.post("/confirm", &[("held", held), ("password", PASSWORD)]).await;
    assert_eq!(again.leads_to(), "/", "a form is handled once");
}

#[tokio::test]
async fn a_confirmed_identity_is_not_asked_for_again_for_ten_minutes() {
    let site = Site::new().await;
    site.user("ada@example.com", Role::Owner).await;
    let mut browser = Browser::of(&site, "ada@example.com").await;
    site.clock.advance(STEP_UP_LIFETIME);
    let fields = [("next", "/me/second-factor"), ("password", PASSWORD)];
    assert_eq!(browser.post("/confirm", &fields).await.leads_to(), "/me/second-factor");
    browser.post("/me/second-factor", &[]).await.expect(200);
    site.clock.advance(STEP_UP_LIFETIME);
    assert!(browser.post("/me/second-factor", &[]).await.leads_to().starts_with("/confirm?held="));
}

#[tokio::test]
async fn a_form_of_another_user_cannot_be_taken_over() {
    let site = Site::new().await;
    for email in ["ada@example.com", "eve@example.com"] {
        site.user(email, Role::Owner).await;
    }
    let mut ada = Browser::of(&site, "ada@example.com").await;
    let mut eve = Browser::of(&site, "eve@example.com").await;
    site.clock.advance(STEP_UP_LIFETIME);
    let asks = ada.post("/me/second-factor", &[]).await;
    let held = asks.leads_to().strip_prefix("/confirm?held=").unwrap().to_owned();
    let stolen = eve.post("/confirm", &[("held", &held), ("password", PASSWORD)]).await;
    assert_eq!(stolen.leads_to(), "/");
    ada.post("/confirm", &[("held", &held), ("password", PASSWORD)]).await.expect(200);
}
