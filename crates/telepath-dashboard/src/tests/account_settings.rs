//! The settings of an account and its policies for keys.

use telepath_core::account::Actor;
use telepath_core::audit::{AuditAction, AuditFilter};
use telepath_core::page::PageRequest;
use telepath_core::user::{Role, STEP_UP_LIFETIME};

use super::harness::{Browser, PASSWORD, Site};

const PATH: &str = "/settings/account";

fn form<'a>(name: &'a str, days: &'a str) -> Vec<(&'a str, &'a str)> {
    vec![("name", name), ("max_key_lifetime_days", days), ("keys_must_expire", "on")]
}

#[tokio::test]
async fn an_owner_changes_the_policies_and_the_audit_trail_names_the_user() {
    let site = Site::new().await;
    let user = site.user("ada@example.com", Role::Owner).await;
    let mut browser = Browser::of(&site, "ada@example.com").await;
    let page = browser.get(PATH).await.expect(200);
    assert!(page.text.contains("Example Voice") && page.text.contains(&site.account.id.to_string()));
    assert_eq!(browser.post(PATH, &form("Voice", "90")).await.leads_to(), "/settings/account?done=saved");
    let account = site.store.account(site.account.id).await.unwrap().unwrap();
    assert_eq!((account.name.as_str(), account.max_key_lifetime_days), ("Voice", Some(90)));
    assert!(account.keys_must_expire && !account.revoke_keys_seen_in_clear);
    let page = browser.get("/settings/account?done=saved").await.expect(200);
    assert!(page.text.contains("The account is changed") && page.text.contains("--max-key-lifetime 90"));
    let changes = AuditFilter { action: Some(AuditAction::AccountUpdated), ..AuditFilter::default() };
    let events = site.store.list_audit(site.account.id, changes, PageRequest::default()).await.unwrap().items;
    assert_eq!(events[0].origin.actor, Actor::User(user.id));
    browser.post(PATH, &[("name", "Voice"), ("max_key_lifetime_days", "")]).await.leads_to();
    let account = site.store.account(site.account.id).await.unwrap().unwrap();
    assert_eq!((account.max_key_lifetime_days, account.keys_must_expire), (None, false));
}

#[tokio::test]
async fn what_is_wrong_stands_beside_its_field_and_what_was_typed_stays() {
    let site = Site::new().await;
    site.user("ada@example.com", Role::Owner).await;
    let mut browser = Browser::of(&site, "ada@example.com").await;
    for (name, days, field) in [
        ("", "", "name-error"),
        ("Voice", "0", "max_key_lifetime_days-error"),
        ("Voice", "4000", "max_key_lifetime_days-error"),
        ("Voice", "soon", "max_key_lifetime_days-error"),
    ] {
        let page = browser.post(PATH, &form(name, days)).await.expect(422);
        assert!(page.text.contains(&format!("id=\"{field}\"")), "{name} {days}: {}", page.text);
        assert!(page.text.contains(&format!("value=\"{days}\"")), "{}", page.text);
    }
    let account = site.store.account(site.account.id).await.unwrap().unwrap();
    assert_eq!(account.name, "Example Voice");
}

#[tokio::test]
async fn members_see_the_policies_and_only_owners_change_them_with_their_password() {
    let site = Site::new().await;
    for role in Role::ALL {
        site.user(&format!("{}@example.com", role.name()), *role).await;
    }
    for role in [Role::Viewer, Role::Developer, Role::Admin] {
        let mut browser = Browser::of(&site, &format!("{}@example.com", role.name())).await;
        let page = browser.get(PATH).await.expect(200);
        assert!(page.text.contains("Keys must expire") && !page.text.contains("Save account"));
        browser.post(PATH, &form("Voice", "90")).await.expect(403);
    }
    let mut owner = Browser::of(&site, "owner@example.com").await;
    site.clock.advance(STEP_UP_LIFETIME);
    let asks = owner.post(PATH, &form("Voice", "90")).await.leads_to().to_owned();
    let held = asks.strip_prefix("/confirm?held=").unwrap();
    let done = owner.post("/confirm", &[("held", held), ("password", PASSWORD)]).await;
    assert_eq!(done.leads_to(), "/settings/account?done=saved");
}

#[tokio::test]
async fn the_name_of_an_account_is_text_only() {
    let site = Site::new().await;
    site.user("ada@example.com", Role::Owner).await;
    let mut browser = Browser::of(&site, "ada@example.com").await;
    let hostile = "<img src=x onerror=alert(1)>";
    browser.post(PATH, &form(hostile, "")).await.leads_to();
    let page = browser.get(PATH).await.expect(200);
    assert!(!page.text.contains("<img") && page.text.contains("&#60;img"), "{}", page.text);
}
