//! What users change about themselves.

use std::time::Duration;

use telepath_core::account::AccountDraft;
use telepath_core::user::{Role, SESSION_IDLE, Theme};

use super::harness::{Browser, Page, Site};

#[tokio::test]
async fn name_zone_and_theme_are_saved_and_wrong_ones_are_kept_in_the_form() {
    let site = Site::new().await;
    let user = site.user("ada@example.com", Role::Viewer).await;
    let mut browser = Browser::of(&site, "ada@example.com").await;
    let fields = [("name", "Ada <b>Lovelace</b>"), ("time_zone", "Europe/Berlin"), ("theme", "dark")];
    assert_eq!(browser.post("/me/profile", &fields).await.leads_to(), "/me?done=profile");
    let page = browser.get("/me?done=profile").await.expect(200);
    assert!(page.text.contains("value=\"Ada &#60;b&#62;Lovelace&#60;/b&#62;\""), "{}", page.text);
    assert!(page.text.contains("data-theme=\"dark\"") && page.text.contains("Last seen (CET)"));
    let wrong = [("name", ""), ("time_zone", "Mars/Olympus"), ("theme", "dark")];
    let page = browser.post("/me/profile", &wrong).await.expect(422);
    assert!(page.text.contains("value=\"Mars/Olympus\"") && page.text.contains("id=\"time_zone-error\""));
    let saved = site.store.get_user(user.id).await.unwrap().unwrap();
    assert_eq!((saved.name.as_str(), saved.profile.theme), ("Ada <b>Lovelace</b>", Theme::Dark));
}

#[tokio::test]
async fn shortcuts_are_on_until_the_profile_turns_them_off() {
    let site = Site::new().await;
    site.user("ada@example.com", Role::Viewer).await;
    let mut browser = Browser::of(&site, "ada@example.com").await;
    let page = browser.get("/me").await.text;
    assert!(
        page.contains("<body data-shortcuts>") && page.contains("name=\"shortcuts\" value=\"1\" checked")
    );
    let fields = [("name", "Ada"), ("time_zone", ""), ("theme", "system")];
    browser.post("/me/profile", &fields).await.leads_to();
    let page = browser.get("/calls").await.text;
    assert!(page.contains("<body>"), "{page}");
    let page = browser.get("/me").await.text;
    assert!(page.contains("name=\"shortcuts\" value=\"1\" aria-describedby"), "{page}");
    let on = [fields[0], fields[1], fields[2], ("shortcuts", "1")];
    browser.post("/me/profile", &on).await.leads_to();
    // The switch of the theme changes nothing else.
    browser.post("/me/theme", &[("theme", "dark")]).await.leads_to();
    assert!(browser.get("/calls").await.text.contains("<body data-shortcuts>"));
}

#[tokio::test]
async fn a_zone_from_the_browser_is_used_until_one_is_chosen() {
    let site = Site::new().await;
    site.user("ada@example.com", Role::Viewer).await;
    let mut browser = Browser::of(&site, "ada@example.com").await;
    assert!(browser.get("/me").await.text.contains("Last seen (UTC)"));
    browser.cookies.insert("telepath_zone".to_owned(), "Asia/Tokyo".to_owned());
    assert!(browser.get("/me").await.text.contains("Last seen (JST)"));
}

#[tokio::test]
async fn sessions_are_listed_and_ended() {
    let site = Site::new().await;
    site.user("ada@example.com", Role::Viewer).await;
    site.user("eve@example.com", Role::Owner).await;
    let mut one = Browser::of(&site, "ada@example.com").await;
    let mut two = Browser::of(&site, "ada@example.com").await;
    let mut three = Browser::of(&site, "ada@example.com").await;
    let mut eve = Browser::of(&site, "eve@example.com").await;
    let page = one.get("/me").await;
    let path =
        format!("/me/sessions/{}", page.after("action=\"/me/sessions/ses_").split('"').next().unwrap());
    let path = path.replace("/me/sessions/", "/me/sessions/ses_");
    eve.post(&path, &[]).await.expect(404);
    assert_eq!(one.post(&path, &[]).await.leads_to(), "/me?done=session");
    let ended = [two.get("/me").await.status, three.get("/me").await.status];
    assert_eq!(ended.iter().filter(|status| status.as_u16() == 303).count(), 1);
    assert_eq!(one.post("/me/sessions/end-others", &[]).await.leads_to(), "/me?done=sessions");
    assert_eq!((two.get("/me").await.status.as_u16(), three.get("/me").await.status.as_u16()), (303, 303));
    one.get("/me").await.expect(200);
}

#[tokio::test]
async fn the_account_switcher_leads_to_accounts_of_the_user_only() {
    let site = Site::new().await;
    let user = site.user("ada@example.com", Role::Owner).await;
    let draft =
        |name: &str| AccountDraft { name: Some(name.to_owned()), ..AccountDraft::default() }.check().unwrap();
    let second = site.store.create_account(draft("Staging"), site.origin()).await.unwrap();
    let third = site.store.create_account(draft("Somebody else"), site.origin()).await.unwrap();
    site.store.add_member(second.id, user.id, Role::Viewer, site.origin()).await.unwrap();
    let mut browser = Browser::of(&site, "ada@example.com").await;
    let page = browser.get("/me").await;
    assert!(page.text.contains("Staging") && !page.text.contains("Somebody else"));
    browser.post("/account", &[("account", &third.id.to_string())]).await.expect(404);
    browser.post("/account", &[("account", "nonsense")]).await.expect(404);
    assert_eq!(browser.post("/account", &[("account", &second.id.to_string())]).await.leads_to(), "/");
    assert!(browser.get("/me").await.text.contains("Viewer of this account"));
}

#[tokio::test]
async fn the_second_factor_is_added_with_a_code_and_removed() {
    let site = Site::new().await;
    let user = site.user("ada@example.com", Role::Owner).await;
    let mut browser = Browser::of(&site, "ada@example.com").await;
    let page = browser.post("/me/second-factor", &[]).await.expect(200);
    assert!(page.text.contains("class=\"qr\""));
    let pending = site.store.pending_totp(user.id, "Telepath").await.unwrap().unwrap();
    let page = browser.post("/me/second-factor/confirm", &[("code", "000000x")]).await.expect(422);
    assert!(page.text.contains("The code is wrong.") && page.text.contains("class=\"qr\""));
    let secret = telepath_core::user::TotpSecret::parse(&pending.secret).unwrap();
    let code = secret.code_at(site.now());
    let page = browser.post("/me/second-factor/confirm", &[("code", &code)]).await.expect(200);
    assert_eq!(page.text.matches("<li><code>").count(), 10);
    assert_eq!(page.header("cache-control"), "no-store");
    assert!(browser.get("/me/second-factor").await.text.contains("10 unused codes."));
    assert_eq!(browser.post("/me/second-factor/remove", &[]).await.leads_to(), "/me?done=second-factor-off");
    assert!(!site.store.get_user(user.id).await.unwrap().unwrap().has_second_factor);
}

#[tokio::test]
async fn a_page_says_how_long_the_session_lasts_and_staying_signed_in_extends_it() {
    let site = Site::new().await;
    site.user("ada@example.com", Role::Owner).await;
    let mut browser = Browser::of(&site, "ada@example.com").await;
    let idle = SESSION_IDLE.as_secs();
    let nearly = Duration::from_secs(idle - 120);
    let left = |page: &Page| page.after("data-left=\"").parse::<u64>().unwrap();
    assert_eq!(left(&browser.get("/me").await), idle);
    site.clock.advance(nearly);
    assert_eq!(browser.post("/session", &[]).await.expect(200).text, idle.to_string());
    site.clock.advance(nearly);
    assert_eq!(left(&browser.get("/me").await), idle, "the use of this page counts");
    for _ in 0..20 {
        site.clock.advance(nearly);
        let answer = browser.post("/session", &[]).await;
        if answer.status.as_u16() != 200 {
            assert!(answer.leads_to().starts_with("/login"));
            return;
        }
        assert!(answer.text.parse::<u64>().unwrap() <= idle);
    }
    panic!("a session ends after a week however much it is used");
}
