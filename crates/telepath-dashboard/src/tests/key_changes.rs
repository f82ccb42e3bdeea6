//! Key safety, edits of keys, and presets.

use std::time::Duration;

use telepath_core::key::{Preset, PresetTerms};
use telepath_core::user::Role;

use super::harness::{Browser, Site};

async fn browser(site: &Site, role: Role) -> Browser<'_> {
    let email = format!("{}@example.com", role.name());
    site.user(&email, role).await;
    Browser::of(site, &email).await
}

#[tokio::test]
async fn keys_are_grouped_by_what_is_found_with_their_owner_and_next_step() {
    let site = Site::new().await;
    let mut viewer = browser(&site, Role::Viewer).await;
    let path = "/settings/api-keys/safety";
    assert!(viewer.get(path).await.expect(200).text.contains("Nothing to do"));
    let old = site.key("<b>old</b>", None).await;
    site.clock.advance(Duration::from_hours(24 * 91));
    site.key("new", Some(site.now().plus(Duration::from_hours(24)))).await;
    let mut owner = browser(&site, Role::Owner).await;
    let page = owner.get(path).await.expect(200);
    assert!(page.text.contains("Safe to remove") && page.text.contains("local administration"));
    assert!(page.text.contains("&#60;b&#62;old") && !page.text.contains(">new<"), "{}", page.text);
    for link in [format!("/settings/api-keys/{old}/revoke"), format!("/settings/api-keys/{old}/edit")] {
        assert!(page.text.contains(&format!("href=\"{link}\"")), "{link}");
    }
    let page = Browser::of(&site, "viewer@example.com").await.get(path).await.expect(200);
    assert!(page.text.contains("Set an expiry") && !page.text.contains("/edit\""));
}

#[tokio::test]
async fn an_edit_shows_what_changes_before_it_is_saved() {
    let site = Site::new().await;
    let key = site.key("production", None).await;
    let path = format!("/settings/api-keys/{key}");
    let mut owner = browser(&site, Role::Owner).await;
    let page = owner.get(&format!("{path}/edit")).await.expect(200);
    assert!(page.text.contains("value=\"production\"") && page.text.contains("value=\"6000\""));
    let keep =
        [("name", "production"), ("rate_limit_per_minute", "6000"), ("expires", "keep"), ("step", "check")];
    let page = owner.post(&format!("{path}/edit"), &keep).await.expect(200);
    assert!(page.text.contains("Nothing: every value is as it was."), "{}", page.text);
    let fields = |step| {
        [
            ("name", "gateway <1>"),
            ("description", "EU"),
            ("rate_limit_per_minute", "60"),
            ("allowed_ips", "203.0.113.0/24"),
            ("expires", "30"),
            ("scope-calls", "read"),
            ("step", step),
        ]
    };
    let page = owner.post(&format!("{path}/edit"), &fields("check")).await.expect(200);
    for text in
        ["6,000 requests/min", "60 requests/min", "Any address", "203.0.113.0/24", "gateway &#60;1&#62;"]
    {
        assert!(page.text.contains(text), "{text}: {}", page.text);
    }
    assert!(!page.text.contains("The key gets more than it has"));
    let held = site.store.get_key(site.account.id, key).await.unwrap().unwrap();
    assert_eq!(held.name, "production", "a check changes nothing");
    let done = owner.post(&format!("{path}/edit"), &fields("save")).await;
    assert_eq!(done.leads_to(), format!("{path}?done=edited"));
    let held = site.store.get_key(site.account.id, key).await.unwrap().unwrap();
    assert_eq!((held.name.as_str(), held.description.as_deref()), ("gateway <1>", Some("EU")));
    assert_eq!((held.rate_limit.get(), held.allowed_ips.to_string().as_str()), (60, "203.0.113.0/24"));
    assert_eq!(held.expires_at, Some(site.now().plus(Duration::from_hours(24 * 30))));
    assert!(!held.scopes.allows(telepath_core::scope::Scope::CallsWrite));
    assert!(owner.get(&path).await.expect(200).text.contains(&format!("{path}/edit")));
}

#[tokio::test]
async fn only_an_edit_that_gives_a_key_more_needs_a_confirmed_identity() {
    let site = Site::new().await;
    let key = site.key("production", None).await;
    let path = format!("/settings/api-keys/{key}/edit");
    let mut owner = browser(&site, Role::Owner).await;
    site.clock.advance(Duration::from_mins(11));
    let narrow =
        [("name", "production"), ("rate_limit_per_minute", "60"), ("expires", "90"), ("step", "save")];
    owner.get(&path).await.expect(200);
    assert!(owner.post(&path, &narrow).await.leads_to().ends_with("done=edited"));
    let limit = async || site.store.get_key(site.account.id, key).await.unwrap().unwrap().rate_limit.get();
    assert_eq!(limit().await, 60);
    for wider in [("rate_limit_per_minute", "61"), ("expires", "never"), ("scope-keys", "write")] {
        let mut fields: Vec<_> = narrow.iter().copied().filter(|(name, _)| *name != wider.0).collect();
        fields.push(wider);
        owner.get(&path).await.expect(200);
        let held = owner.post(&path, &fields).await;
        assert!(held.leads_to().starts_with("/confirm?held="), "{wider:?}");
    }
    assert_eq!(limit().await, 60);
}

#[tokio::test]
async fn mistakes_in_an_edit_keep_what_was_typed_and_foreign_keys_are_refused() {
    let site = Site::new().await;
    let key = site.key("production", None).await;
    let path = format!("/settings/api-keys/{key}/edit");
    let mut owner = browser(&site, Role::Owner).await;
    owner.get(&path).await.expect(200);
    let fields = [
        ("name", ""),
        ("description", "<i>\u{202e}"),
        ("rate_limit_per_minute", "many"),
        ("allowed_ips", "203.0.113.7\n203.0.113.300"),
        ("expires", "date"),
        ("expires_on", "2027-01-01"),
    ];
    let page = owner.post(&path, &fields).await.expect(422);
    for text in ["href=\"#name\"", "href=\"#expires_at\"", "Line 2:", "&#60;i&#62;", "value=\"many\""] {
        assert!(page.text.contains(text), "{text}: {}", page.text);
    }
    let mut developer = browser(&site, Role::Developer).await;
    developer.get(&path).await.expect(403);
    developer.post(&path, &[("name", "x")]).await.expect(403);
    let held = site.store.get_key(site.account.id, key).await.unwrap().unwrap();
    assert_eq!(held.name, "production");
}

#[tokio::test]
async fn presets_are_edited_and_reset_by_those_who_manage_all_keys() {
    let site = Site::new().await;
    let path = "/settings/api-keys/presets";
    let mut admin = browser(&site, Role::Admin).await;
    let page = admin.get(path).await.expect(200);
    assert!(!page.text.contains("Edited") && page.text.contains("presets/monitoring\""));
    let one = format!("{path}/monitoring");
    admin.get(&one).await.expect(200);
    let wrong = admin.post(&one, &[("rate_limit_per_minute", "many")]).await.expect(422);
    assert!(wrong.text.contains("value=\"many\""));
    let fields = [("rate_limit_per_minute", "300"), ("scope-usage", "none")];
    assert_eq!(admin.post(&one, &fields).await.leads_to(), format!("{path}?done=edited"));
    let terms = site.store.presets(site.account.id).await.unwrap().get(Preset::Monitoring);
    assert_eq!(
        (terms.rate_limit.get(), terms.scopes.to_string().as_str()),
        (300, "trunks:read calls:read analytics:read")
    );
    assert!(admin.get(path).await.expect(200).text.contains("Edited"));
    let mut developer = browser(&site, Role::Developer).await;
    assert!(!developer.get(path).await.expect(200).text.contains("presets/monitoring"));
    developer.get(&one).await.expect(403);
    developer.post(&one, &fields).await.expect(403);
    developer.post(&format!("{one}/reset"), &[]).await.expect(403);
    admin.get(path).await.expect(200);
    assert_eq!(admin.post(&format!("{one}/reset"), &[]).await.leads_to(), format!("{path}?done=reset"));
    let terms = site.store.presets(site.account.id).await.unwrap().get(Preset::Monitoring);
    assert_eq!(terms, PresetTerms::built_in(Preset::Monitoring));
    for none in ["custom", "nothing"] {
        admin.get(&format!("{path}/{none}")).await.expect(404);
    }
}

#[tokio::test]
async fn the_creator_of_a_key_is_named_also_after_they_left() {
    let site = Site::new().await;
    let mut developer = browser(&site, Role::Developer).await;
    let form = developer.get("/settings/api-keys/new").await.expect(200);
    let intent = form.after("name=\"intent\" value=\"").to_owned();
    let fields = [("intent", intent.as_str()), ("step", "create"), ("name", "Own"), ("preset", "testing")];
    developer.post("/settings/api-keys/new", &fields).await.expect(200);
    let mut owner = browser(&site, Role::Owner).await;
    let list = owner.get("/settings/api-keys").await.expect(200);
    let path = format!("/settings/api-keys/key_{}", list.after("href=\"/settings/api-keys/key_"));
    assert!(owner.get(&path).await.expect(200).text.contains("developer@example.com</dd>"));
    let user = site.store.find_user(&"developer@example.com".parse().unwrap()).await.unwrap().unwrap();
    site.store.remove_member(site.account.id, user.id, site.origin()).await.unwrap();
    let page = owner.get(&path).await.expect(200);
    assert!(page.text.contains("developer@example.com (left)"), "{}", page.text);
}
