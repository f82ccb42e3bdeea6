//! Invitations and forgotten passwords: links that work once, in time, and for whom they are meant.

use std::sync::Arc;
use std::time::Duration;

use telepath_core::user::{INVITATION_LIFETIME, PASSWORD_LINK_LIFETIME, Role};

use super::harness::{Browser, PASSWORD, Site};
use super::letters::{Postbox, link_in};

const SESSION: &str = "__Host-telepath";
const JOIN: [(&str, &str); 2] = [("name", "Grace"), ("password", PASSWORD)];

/// The path of a new invitation, which an owner was shown.
async fn invited(owner: &mut Browser<'_>, email: &str, role: &str) -> String {
    let page = owner.post("/settings/team/invite", &[("email", email), ("role", role)]).await.expect(200);
    assert_eq!(page.header("cache-control"), "no-store");
    link_in(&page.text)
}

async fn opened<'a>(site: &'a Site, path: &str) -> Browser<'a> {
    let mut browser = Browser::new(site);
    let to = path.split('?').next().unwrap().to_owned();
    let page = browser.get(path).await;
    assert_eq!((page.leads_to(), page.header("referrer-policy")), (to.as_str(), "no-referrer"));
    browser
}

#[tokio::test]
async fn an_invitation_makes_a_member_with_its_role_once() {
    let site = Site::new().await;
    site.user("ada@example.com", Role::Owner).await;
    let mut owner = Browser::of(&site, "ada@example.com").await;
    let path = invited(&mut owner, "grace@example.com", "developer").await;
    let code = path.split_once('=').unwrap().1.to_owned();
    let mut grace = opened(&site, &path).await;
    let planted = "a".repeat(43);
    grace.cookies.insert(SESSION.to_owned(), planted.clone());
    let page = grace.get("/invitation").await.expect(200);
    assert!(page.text.contains("Join Example Voice") && page.text.contains("Developer"), "{}", page.text);
    assert!(!page.text.contains(&code), "the code is in the cookie only");
    let page = grace.post("/invitation", &[("name", ""), ("password", PASSWORD)]).await.expect(422);
    assert!(page.text.contains("id=\"name-error\""));
    let page = grace.post("/invitation", &[("name", "Grace"), ("password", "short")]).await.expect(422);
    assert!(page.text.contains("at least 12 characters"));
    assert_eq!(grace.post("/invitation", &JOIN).await.leads_to(), "/me/second-factor");
    assert_ne!(grace.cookies[SESSION], planted, "a planted session is not continued");
    let page = grace.get("/settings/team").await.expect(200);
    assert!(page.text.contains("grace@example.com") && !page.text.contains("Invite a member"));
    let mut again = opened(&site, &path).await;
    again.get("/invitation").await.expect(410);
    again.post("/invitation", &JOIN).await.expect(410);
}

#[tokio::test]
async fn an_invitation_that_is_too_old_revoked_or_wrong_makes_nobody_a_member() {
    let site = Site::new().await;
    site.user("ada@example.com", Role::Owner).await;
    let mut owner = Browser::of(&site, "ada@example.com").await;
    let revoked = invited(&mut owner, "grace@example.com", "viewer").await;
    let list = owner.get("/settings/team").await.expect(200);
    let action = list.after("action=\"/settings/team/invitations/").to_owned();
    let action = format!("/settings/team/invitations/{action}");
    assert_eq!(owner.post(&action, &[]).await.leads_to(), "/settings/team?done=revoked");
    let late = invited(&mut owner, "late@example.com", "viewer").await;
    site.clock.advance(INVITATION_LIFETIME);
    for path in [&revoked, &late, "/invitation?code=x", "/invitation?code=a%3Bb", "/invitation?code="] {
        let mut browser = Browser::new(&site);
        browser.get(path).await;
        browser.get("/invitation").await.expect(410);
        browser.post("/invitation", &JOIN).await.expect(410);
    }
    assert!(site.store.find_user(&"late@example.com".parse().unwrap()).await.unwrap().is_none());
}

#[tokio::test]
async fn a_user_of_another_account_signs_in_and_joins() {
    let site = Site::new().await;
    site.user("ada@example.com", Role::Owner).await;
    let other = site.other_account("Second Voice").await;
    site.user_of(other, "grace@example.com", Role::Owner).await;
    let mut owner = Browser::of(&site, "ada@example.com").await;
    let path = invited(&mut owner, "Grace@example.com", "admin").await;
    let mut wrong = Browser::of(&site, "ada@example.com").await;
    wrong.get(&path).await;
    let page = wrong.get("/invitation").await.expect(200);
    assert!(page.text.contains("You are signed in as ada@example.com"));
    wrong.post("/invitation/join", &[]).await.expect(403);
    let mut grace = opened(&site, &path).await;
    let page = grace.get("/invitation").await.expect(200);
    assert!(
        page.text.contains("href=\"/login?next=%2Finvitation\"") && !page.text.contains("name=\"password\"")
    );
    grace.post("/invitation", &JOIN).await.expect(422);
    let fields = [("email", "grace@example.com"), ("password", PASSWORD), ("next", "/invitation")];
    assert_eq!(grace.post("/login", &fields).await.leads_to(), "/invitation");
    grace.get("/invitation").await.expect(200);
    assert_eq!(grace.post("/invitation/join", &[]).await.leads_to(), "/");
    let page = grace.get("/settings/team").await.expect(200);
    assert!(page.text.contains("ada@example.com") && page.text.contains("Example Voice"), "{}", page.text);
}

#[tokio::test]
async fn an_invitation_is_sent_if_there_is_a_mail_server_and_shown_if_it_fails() {
    let postbox = Arc::new(Postbox::default());
    let site = Site::with(postbox.services()).await;
    site.user("ada@example.com", Role::Owner).await;
    let mut owner = Browser::of(&site, "ada@example.com").await;
    let fields = [("email", "grace@example.com"), ("role", "viewer")];
    let sent = owner.post("/settings/team/invite", &fields).await;
    assert_eq!(sent.leads_to(), "/settings/team?done=invited");
    let (to, text) = postbox.next().await;
    assert_eq!(to, "grace@example.com");
    opened(&site, &link_in(&text)).await.get("/invitation").await.expect(200);
    let site = Site::with(Postbox::broken().services()).await;
    site.user("ada@example.com", Role::Owner).await;
    let mut owner = Browser::of(&site, "ada@example.com").await;
    let page = owner.post("/settings/team/invite", &fields).await.expect(200);
    assert!(page.text.contains("The email could not be sent: connection refused."));
    opened(&site, &link_in(&page.text)).await.get("/invitation").await.expect(200);
}

#[tokio::test]
async fn a_forgotten_password_is_replaced_with_a_link_and_the_answer_is_the_same_for_every_address() {
    let postbox = Arc::new(Postbox::default());
    let site = Site::with(postbox.services()).await;
    site.user("ada@example.com", Role::Owner).await;
    let mut old = Browser::of(&site, "ada@example.com").await;
    let mut pages = Vec::new();
    for email in ["nobody@example.com", "ada@example.com"] {
        let mut browser = Browser::new(&site);
        let page = browser.post("/login/forgot", &[("email", email)]).await.expect(200);
        let nonce = page.after("nonce=\"").to_owned();
        pages.push(page.text.replace(email, "EMAIL").replace(&nonce, "NONCE"));
    }
    assert_eq!(pages[0], pages[1]);
    let (to, text) = postbox.next().await;
    assert_eq!((to.as_str(), postbox.count()), ("ada@example.com", 0));
    let path = link_in(&text);
    let mut browser = opened(&site, &path).await;
    browser.get("/reset").await.expect(200);
    old.get("/me").await.expect(200);
    let new = "eight red herons dance";
    assert_eq!(browser.post("/reset", &[("password", new)]).await.leads_to(), "/me/second-factor");
    assert!(old.get("/me").await.leads_to().starts_with("/login"), "all sessions end");
    let mut again = opened(&site, &path).await;
    again.get("/reset").await.expect(410);
    let page = Browser::new(&site).post("/login/forgot", &[("email", "ada")]).await.expect(422);
    assert!(page.text.contains("id=\"email-error\""));
}

#[tokio::test]
async fn a_password_link_ends_after_an_hour() {
    let postbox = Arc::new(Postbox::default());
    let site = Site::with(postbox.services()).await;
    site.user("ada@example.com", Role::Owner).await;
    Browser::new(&site).post("/login/forgot", &[("email", "ada@example.com")]).await.expect(200);
    let path = link_in(&postbox.next().await.1);
    site.clock.advance(PASSWORD_LINK_LIFETIME.saturating_sub(Duration::from_millis(1)));
    opened(&site, &path).await.get("/reset").await.expect(200);
    site.clock.advance(Duration::from_millis(1));
    opened(&site, &path).await.get("/reset").await.expect(410);
}

#[tokio::test]
async fn requests_for_links_are_throttled_and_refused_without_a_mail_server() {
    let postbox = Arc::new(Postbox::default());
    let site = Site::with(postbox.services()).await;
    let mut browser = Browser::new(&site);
    let fields = [("email", "ada@example.com")];
    for _ in 0..5 {
        browser.post("/login/forgot", &fields).await.expect(200);
    }
    let page = browser.post("/login/forgot", &fields).await.expect(429);
    assert!(page.text.contains("Too many attempts. Try again in 1 s."));
    site.clock.advance(Duration::from_secs(1));
    browser.post("/login/forgot", &fields).await.expect(200);
    let site = Site::new().await;
    let mut browser = Browser::new(&site);
    let page = browser.get("/login/forgot").await.expect(200);
    assert!(page.text.contains("Ask an owner") && !page.text.contains("<form"), "{}", page.text);
    browser.post("/login/forgot", &fields).await.expect(409);
}
