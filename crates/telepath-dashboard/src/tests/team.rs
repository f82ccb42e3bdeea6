//! Who may do what to whom in a team.

use telepath_core::user::{Role, STEP_UP_LIFETIME};

use super::harness::{Browser, PASSWORD, Site};
use super::letters::link_in;

/// Every form about a member that changes something.
const FORMS: [(&str, &[(&str, &str)]); 4] =
    [("role", &[("role", "viewer")]), ("sign-out", &[]), ("password-link", &[]), ("remove", &[])];

fn email(role: Role) -> String {
    format!("{}@example.com", role.name())
}

#[tokio::test]
async fn each_role_manages_only_the_roles_it_may() {
    for caller in Role::ALL {
        for target in Role::ALL {
            let site = Site::new().await;
            site.user("first@example.com", Role::Owner).await;
            site.user("caller@example.com", *caller).await;
            let user = site.user("target@example.com", *target).await;
            let mut browser = Browser::of(&site, "caller@example.com").await;
            let page = browser.get(&format!("/settings/team/{}", user.id)).await.expect(200);
            assert_eq!(page.text.contains("Change role"), caller.manages(*target));
            for (form, fields) in FORMS {
                let page = browser.post(&format!("/settings/team/{}/{form}", user.id), fields).await;
                // The role was changed by the first form.
                let now = if caller.manages(*target) { Role::Viewer } else { *target };
                let allowed = caller.manages(*target) && caller.manages(now);
                assert_eq!(page.status.as_u16() != 403, allowed, "{caller} {form} {target}: {}", page.text);
            }
            let member = site.store.get_member(site.account.id, user.id).await.unwrap();
            assert_eq!(member.is_none(), caller.manages(*target), "{caller} removes {target}");
        }
    }
}

#[tokio::test]
async fn nobody_gives_a_role_above_their_own() {
    let site = Site::new().await;
    for role in Role::ALL {
        site.user(&email(*role), *role).await;
    }
    for caller in Role::ALL {
        for role in Role::ALL {
            let mut browser = Browser::of(&site, &email(*caller)).await;
            let fields = [("email", "new@example.com"), ("role", role.name())];
            let page = browser.post("/settings/team/invite", &fields).await;
            let expected = if caller.manages(*role) { 200 } else { 403 };
            assert_eq!(page.status.as_u16(), expected, "{caller} invites {role}");
        }
        let mut browser = Browser::of(&site, &email(*caller)).await;
        let shown = browser.get("/settings/team/invite").await.status.as_u16();
        assert_eq!(shown, if caller.manages(Role::Viewer) { 200 } else { 403 }, "{caller}");
    }
}

#[tokio::test]
async fn the_last_owner_stays_and_others_may_leave() {
    let site = Site::new().await;
    let owner = site.user("ada@example.com", Role::Owner).await;
    let viewer = site.user("grace@example.com", Role::Viewer).await;
    let mut browser = Browser::of(&site, "ada@example.com").await;
    for (form, fields) in [("role", &[("role", "admin")][..]), ("remove", &[])] {
        let page = browser.post(&format!("/settings/team/{}/{form}", owner.id), fields).await.expect(422);
        assert!(page.text.contains("Make another member an owner first."), "{}", page.text);
    }
    let mut browser = Browser::of(&site, "grace@example.com").await;
    let page = browser.get(&format!("/settings/team/{}", viewer.id)).await.expect(200);
    assert!(page.text.contains("Leave this account"));
    assert_eq!(browser.post(&format!("/settings/team/{}/remove", viewer.id), &[]).await.leads_to(), "/login");
    assert!(browser.get("/settings/team").await.leads_to().starts_with("/login"));
}

#[tokio::test]
async fn a_role_change_and_a_removal_count_at_the_next_request() {
    let site = Site::new().await;
    site.user("ada@example.com", Role::Owner).await;
    let user = site.user("grace@example.com", Role::Admin).await;
    let mut owner = Browser::of(&site, "ada@example.com").await;
    let mut grace = Browser::of(&site, "grace@example.com").await;
    grace.get("/settings/team/invite").await.expect(200);
    let path = format!("/settings/team/{}", user.id);
    let done = owner.post(&format!("{path}/role"), &[("role", "developer")]).await;
    assert_eq!(done.leads_to(), format!("{path}?done=role"));
    grace.get("/settings/team/invite").await.expect(403);
    owner.post(&format!("{path}/remove"), &[]).await;
    assert!(grace.get("/settings/team").await.leads_to().starts_with("/login"));
}

#[tokio::test]
async fn sessions_of_a_member_are_ended_one_by_one_or_all() {
    let site = Site::new().await;
    site.user("ada@example.com", Role::Owner).await;
    let user = site.user("grace@example.com", Role::Viewer).await;
    let mut owner = Browser::of(&site, "ada@example.com").await;
    let mut sessions = Vec::new();
    for _ in 0..3 {
        sessions.push(Browser::of(&site, "grace@example.com").await);
    }
    let path = format!("/settings/team/{}", user.id);
    let page = owner.get(&path).await.expect(200);
    let session = page.after("name=\"session\" value=\"").to_owned();
    owner.post(&format!("{path}/sign-out"), &[("session", &session)]).await.leads_to();
    assert_eq!(site.store.list_sessions(user.id).await.unwrap().len(), 2);
    owner.post(&format!("{path}/sign-out"), &[("session", "nothing")]).await.expect(404);
    owner.post(&format!("{path}/sign-out"), &[]).await.leads_to();
    for browser in &mut sessions {
        assert!(browser.get("/me").await.leads_to().starts_with("/login"));
    }
}

#[tokio::test]
async fn a_member_of_another_account_cannot_be_seen_or_changed() {
    let site = Site::new().await;
    site.user("ada@example.com", Role::Owner).await;
    let other = site.other_account("Second Voice").await;
    let foreign = site.user_of(other, "grace@example.com", Role::Viewer).await;
    let mut owner = Browser::of(&site, "ada@example.com").await;
    let path = format!("/settings/team/{}", foreign.id);
    owner.get(&path).await.expect(404);
    for (form, fields) in FORMS {
        owner.post(&format!("{path}/{form}"), fields).await.expect(404);
    }
    assert!(!owner.get("/settings/team").await.text.contains("grace@example.com"));
    let shared = site.user("mary@example.com", Role::Viewer).await;
    site.store.add_member(other, shared.id, Role::Owner, site.origin()).await.unwrap();
    let path = format!("/settings/team/{}/password-link", shared.id);
    let page = owner.post(&path, &[]).await.expect(409);
    assert!(page.text.contains("also a member of accounts in which you do not manage them"));
}

#[tokio::test]
async fn a_locked_out_member_gets_in_with_the_link_that_an_owner_was_shown() {
    let site = Site::new().await;
    site.user("ada@example.com", Role::Owner).await;
    let user = site.user("grace@example.com", Role::Viewer).await;
    let mut owner = Browser::of(&site, "ada@example.com").await;
    let page = owner.post(&format!("/settings/team/{}/password-link", user.id), &[]).await.expect(200);
    assert_eq!((page.header("cache-control"), page.header("content-encoding")), ("no-store", ""));
    let mut grace = Browser::new(&site);
    grace.get(&link_in(&page.text)).await;
    let new = "eight red herons dance";
    assert_eq!(grace.post("/reset", &[("password", new)]).await.leads_to(), "/me/second-factor");
    let fields = [("email", "grace@example.com"), ("password", PASSWORD)];
    Browser::new(&site).post("/login", &fields).await.expect(422);
}

#[tokio::test]
async fn changes_of_the_team_ask_for_the_password_and_ending_access_does_not() {
    let site = Site::new().await;
    site.user("ada@example.com", Role::Owner).await;
    let user = site.user("grace@example.com", Role::Viewer).await;
    let mut owner = Browser::of(&site, "ada@example.com").await;
    site.clock.advance(STEP_UP_LIFETIME);
    for (form, fields) in FORMS {
        let page = owner.post(&format!("/settings/team/{}/{form}", user.id), fields).await;
        let asks = page.leads_to().starts_with("/confirm");
        assert_eq!(asks, form != "sign-out", "{form}");
    }
    let fields = [("email", "new@example.com"), ("role", "viewer")];
    assert!(owner.post("/settings/team/invite", &fields).await.leads_to().starts_with("/confirm"));
}

#[tokio::test]
async fn an_owner_removes_a_lost_second_factor_with_their_password_and_the_member_is_signed_out() {
    let site = Site::new().await;
    for role in [Role::Owner, Role::Admin] {
        site.user(&email(role), role).await;
    }
    let user = site.user("target@example.com", Role::Developer).await;
    let path = format!("/settings/team/{}", user.id);
    let form = format!("{path}/second-factor");
    let mut owner = Browser::of(&site, &email(Role::Owner)).await;
    assert!(!owner.get(&path).await.text.contains("Lost second factor"), "there is none");
    site.second_factor(&user).await;
    let mut admin = Browser::of(&site, &email(Role::Admin)).await;
    assert!(!admin.get(&path).await.text.contains("Lost second factor"));
    admin.post(&form, &[]).await.expect(403);
    let mut owner = Browser::of(&site, &email(Role::Owner)).await;
    assert!(owner.get(&path).await.text.contains("Lost second factor"));
    site.clock.advance(STEP_UP_LIFETIME);
    let asks = owner.post(&form, &[]).await.leads_to().to_owned();
    let held = asks.strip_prefix("/confirm?held=").unwrap();
    let done = owner.post("/confirm", &[("held", held), ("password", PASSWORD)]).await;
    assert_eq!(done.leads_to(), format!("{path}?done=second-factor"));
    assert!(owner.get(done.leads_to()).await.text.contains("The second factor is removed"));
    let left = site.store.list_sessions(user.id).await.unwrap();
    assert!(left.is_empty(), "{left:?}");
    let again = owner.post(&form, &[]).await.expect(422);
    assert!(again.text.contains("There is no second factor any more."), "{}", again.text);
}
