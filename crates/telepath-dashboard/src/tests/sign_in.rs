//! Signing in and out: the session cookie, its id, the second factor, and where the user is led.

use std::time::Duration;

use telepath_core::user::{Role, SESSION_IDLE};

use super::harness::{Browser, PASSWORD, Site};

const SESSION: &str = "__Host-telepath";

#[tokio::test]
async fn a_page_leads_to_the_sign_in_and_from_there_back() {
    let site = Site::new().await;
    site.user("ada@example.com", Role::Owner).await;
    let mut browser = Browser::new(&site);
    assert_eq!(browser.get("/me/password?x=1").await.leads_to(), "/login?next=%2Fme%2Fpassword%3Fx%3D1");
    let page = browser.get("/login?next=%2Fme%2Fpassword").await.expect(200);
    assert_eq!(page.after("name=\"next\" value=\""), "/me/password");
    let fields = [("email", "ada@example.com"), ("password", PASSWORD), ("next", "/me/password")];
    assert_eq!(browser.post("/login", &fields).await.leads_to(), "/me/password");
    assert_eq!(browser.get("/login").await.leads_to(), "/");
}

#[tokio::test]
async fn only_paths_of_this_origin_are_followed_after_the_sign_in() {
    let site = Site::new().await;
    site.user("ada@example.com", Role::Owner).await;
    for next in ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)"] {
        let mut browser = Browser::new(&site);
        let fields = [("email", "ada@example.com"), ("password", PASSWORD), ("next", next)];
        assert_eq!(browser.post("/login", &fields).await.leads_to(), "/", "{next}");
    }
}

#[tokio::test]
async fn a_wrong_address_and_a_wrong_password_get_the_same_response() {
    let site = Site::new().await;
    site.user("ada@example.com", Role::Owner).await;
    let mut pages = Vec::new();
    for (email, password) in [("ada@example.com", "wrong password here"), ("eve@example.com", PASSWORD)] {
        let mut browser = Browser::new(&site);
        let page = browser.post("/login", &[("email", email), ("password", password)]).await.expect(422);
        assert!(browser.cookies.is_empty());
        assert!(!page.text.contains(password), "a password is never sent back");
        let nonce = page.after("nonce=\"").to_owned();
        pages.push(page.text.replace(email, "EMAIL").replace(&nonce, "NONCE"));
    }
    assert_eq!(pages[0], pages[1]);
}

#[tokio::test]
async fn too_many_failures_delay_the_next_attempt_and_the_page_says_for_how_long() {
    let site = Site::new().await;
    site.user("ada@example.com", Role::Owner).await;
    let mut browser = Browser::new(&site);
    let wrong = [("email", "ada@example.com"), ("password", "wrong password here")];
    for _ in 0..7 {
        site.clock.advance(Duration::from_secs(10));
        browser.post("/login", &wrong).await.expect(422);
    }
    let page = browser.sign_in("ada@example.com").await.expect(429);
    assert!(page.text.contains("Too many attempts. Try again in 4 s."), "{}", page.text);
    site.clock.advance(Duration::from_secs(4));
    assert_eq!(browser.sign_in("ada@example.com").await.leads_to(), "/");
}

#[tokio::test]
async fn the_session_gets_a_new_id_at_the_second_factor_and_the_old_one_is_worth_nothing() {
    let site = Site::new().await;
    let user = site.user("ada@example.com", Role::Owner).await;
    let secret = site.second_factor(&user).await;
    let mut browser = Browser::new(&site);
    // A session that somebody planted is not continued.
    browser.cookies.insert(SESSION.to_owned(), "a".repeat(43));
    assert_eq!(browser.sign_in("ada@example.com").await.leads_to(), "/login/code");
    let before = browser.cookies[SESSION].clone();
    assert_ne!(before, "a".repeat(43));
    assert_eq!(browser.get("/me").await.leads_to(), "/login/code", "half a session opens nothing");
    let code = secret.code_at(site.now());
    assert_eq!(browser.post("/login/code", &[("code", &code)]).await.leads_to(), "/");
    let after = browser.cookies[SESSION].clone();
    assert_ne!(before, after);
    browser.get("/me").await.expect(200);
    browser.cookies.insert(SESSION.to_owned(), before);
    assert_eq!(browser.get("/me").await.leads_to(), "/login?next=%2Fme");
}

#[tokio::test]
async fn a_used_code_and_a_used_recovery_code_are_refused() {
    let site = Site::new().await;
    let user = site.user("ada@example.com", Role::Owner).await;
    let secret = site.second_factor(&user).await;
    let by_user =
        telepath_core::audit::Origin { actor: telepath_core::account::Actor::User(user.id), ..site.origin() };
    let codes = site.store.replace_recovery_codes(user.id, by_user).await.unwrap();
    let code = secret.code_at(site.now());
    for code in [code.as_str(), codes.0[0].expose()] {
        let mut browser = Browser::new(&site);
        browser.sign_in("ada@example.com").await;
        assert_eq!(browser.post("/login/code", &[("code", code)]).await.leads_to(), "/");
        let mut again = Browser::new(&site);
        again.sign_in("ada@example.com").await;
        again.post("/login/code", &[("code", code)]).await.expect(422);
        assert_eq!(again.get("/me").await.leads_to(), "/login/code");
    }
}

#[tokio::test]
async fn signing_out_ends_the_session_and_removes_the_cookie() {
    let site = Site::new().await;
    site.user("ada@example.com", Role::Owner).await;
    let mut browser = Browser::of(&site, "ada@example.com").await;
    let kept = browser.cookies[SESSION].clone();
    assert_eq!(browser.post("/logout", &[]).await.leads_to(), "/login?done=signed-out");
    assert!(!browser.cookies.contains_key(SESSION));
    browser.cookies.insert(SESSION.to_owned(), kept);
    assert_eq!(browser.get("/me").await.leads_to(), "/login?next=%2Fme");
}

#[tokio::test]
async fn an_idle_session_ends_and_one_that_stays_signed_in_does_not() {
    let site = Site::new().await;
    site.user("ada@example.com", Role::Owner).await;
    let mut short = Browser::of(&site, "ada@example.com").await;
    let mut long = Browser::new(&site);
    let fields = [("email", "ada@example.com"), ("password", PASSWORD), ("persistent", "1")];
    let page = long.post("/login", &fields).await;
    assert!(page.header("set-cookie").contains("Max-Age=2592000"), "{}", page.header("set-cookie"));
    site.clock.advance(SESSION_IDLE);
    assert_eq!(short.get("/me").await.leads_to(), "/login?next=%2Fme");
    long.get("/me").await.expect(200);
}

#[tokio::test]
async fn changing_the_password_renews_the_session_and_signs_out_all_others() {
    let site = Site::new().await;
    site.user("ada@example.com", Role::Owner).await;
    let mut one = Browser::of(&site, "ada@example.com").await;
    let mut other = Browser::of(&site, "ada@example.com").await;
    let before = one.cookies[SESSION].clone();
    let wrong = [("current", "not the password"), ("password", "four new words here")];
    let page = one.post("/me/password", &wrong).await.expect(422);
    assert!(page.text.contains("The password is wrong."));
    for (weak, why) in
        [("short", "at least 12 characters"), ("password1234", "most common"), ("aaaaaaaaaaaa", "repeats")]
    {
        let page = one.post("/me/password", &[("current", PASSWORD), ("password", weak)]).await.expect(422);
        assert!(page.text.contains(why), "{weak}: {}", page.text);
    }
    let right = [("current", PASSWORD), ("password", "four new words here")];
    assert_eq!(one.post("/me/password", &right).await.leads_to(), "/me?done=password");
    assert_ne!(one.cookies[SESSION], before);
    one.get("/me").await.expect(200);
    assert_eq!(other.get("/me").await.leads_to(), "/login?next=%2Fme");
}
