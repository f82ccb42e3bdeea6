//! The guide through the response to a leaked key.

use std::net::IpAddr;
use std::time::Duration;

use telepath_core::id::{Id as _, KeyId, RequestId};
use telepath_core::key::{GraceSeconds, KeyPatch};
use telepath_core::request::{Answered, RequestCaller, RequestFacts, RequestMethod, SecretMark};
use telepath_core::secret::SecretText;
use telepath_core::trunk::TrunkDraft;
use telepath_core::user::Role;

use super::harness::{Browser, Page, Site};

const HOSTILE: &str = "<img src=x onerror=alert(1)>\u{202e}";

async fn browser(site: &Site, role: Role) -> Browser<'_> {
    let email = format!("{}@example.com", role.name());
    site.user(&email, role).await;
    Browser::of(site, &email).await
}

fn guide(key: KeyId) -> String {
    format!("/settings/api-keys/leaked?key={key}")
}

async fn start(browser: &mut Browser<'_>, key: KeyId) -> Page {
    let page = browser.get(&guide(key)).await.expect(200);
    assert!(page.text.contains("Start the guide for"), "{}", page.text);
    let started = browser.post("/settings/api-keys/leaked/start", &[("key", &key.to_string())]).await;
    assert_eq!(started.leads_to(), guide(key));
    browser.get(&guide(key)).await.expect(200)
}

/// A request that was rejected, or let in, from an address with a program.
async fn send(site: &Site, key: KeyId, status: u16, address: [u8; 4], agent: &str) {
    let id = RequestId::generate(site.now(), site.store.entropy().as_ref()).unwrap();
    let facts = RequestFacts {
        at: site.now(),
        caller: RequestCaller::Key { key, secret: SecretMark([1; 8]) },
        method: RequestMethod::Get,
        status,
        address: IpAddr::from(address),
        duration_us: 3_940,
        admitted: status != 401,
    };
    let (account, user_agent) = (site.account.id, agent.as_bytes());
    let answered =
        Answered { account, id, facts, route: None, error: None, user_agent, path: Some("/v1/calls") };
    site.store.requests().record(&answered);
    site.store.flush_usage().await.unwrap();
}

async fn openai(site: &Site, name: &str) {
    let draft = TrunkDraft {
        name: Some(name.to_owned()),
        ai_provider: Some("openai".to_owned()),
        sip_username: Some("support".to_owned()),
        openai_api_key: Some(SecretText::new("sk-provider-secret-x9Kd".to_owned())),
        ..TrunkDraft::default()
    };
    site.store.create_trunk(site.account.id, draft.check().unwrap(), site.origin()).await.unwrap();
}

fn progress(page: &Page) -> &str {
    page.after("class=\"gprog\" role=\"img\" aria-label=\"")
}

#[tokio::test]
async fn a_guide_is_followed_from_its_start_to_its_end() {
    let site = Site::new().await;
    let (leaked, other) = (site.key("production-gateway", None).await, site.key("nightly", None).await);
    openai(&site, "Support line").await;
    site.clock.advance(Duration::from_hours(24 * 30));
    send(&site, leaked, 200, [192, 0, 2, 146], "curl/8.5.0").await;
    site.clock.advance(Duration::from_mins(1));
    let mut browser = browser(&site, Role::Admin).await;
    let page = start(&mut browser, leaked).await;
    assert_eq!(progress(&page), "0 of 5 steps done");
    assert!(page.text.contains("The key still works.") && page.text.contains("0 of 1"), "{}", page.text);
    assert!(page.text.contains("by admin@example.com"));
    assert!(page.text.contains("192.0.2.146") && page.text.contains("a new address, sent 1 request"));
    assert!(page.text.contains("Support line") && page.text.contains("OpenAI key …x9Kd"));

    // 1. Revoking with the reason of the guide leads back to it.
    let path = format!("/settings/api-keys/{leaked}/revoke");
    let form = browser.get(&format!("{path}?reason=Leaked")).await.expect(200);
    assert!(form.text.contains("value=\"Leaked\" checked"), "{}", form.text);
    let fields = [("reason", "Leaked"), ("name", "production-gateway")];
    assert_eq!(browser.post(&path, &fields).await.leads_to(), guide(leaked));
    site.clock.advance(Duration::from_secs(1));
    for _ in 0..3 {
        send(&site, leaked, 401, [203, 0, 113, 10], "gateway/4.1").await;
    }
    // The counters of keys are at most a second old.
    site.clock.advance(Duration::from_secs(1));
    let page = browser.get(&guide(leaked)).await.expect(200);
    assert!(page.text.contains("0 requests have been accepted"), "{}", page.text);
    assert!(page.text.contains("<b>3 rejected</b>, from 1 address."));
    assert!(page.text.contains("<b>203.0.113.10</b> gateway/4.1"));
    assert_eq!(progress(&page), "1 of 5 steps done");

    // 2. Only the other key, whose secret is older, is rotated.
    let intent = page.after("name=\"intent\" value=\"").to_owned();
    let key = leaked.to_string();
    let fields = [("intent", intent.as_str()), ("leaked", &key), ("grace_seconds", "3600")];
    let secrets = browser.post("/settings/api-keys/rotate-all", &fields).await.expect(200);
    assert_eq!(secrets.text.matches("data-secret>sk_live_").count(), 1, "{}", secrets.text);
    assert_eq!((secrets.header("cache-control"), secrets.header("content-encoding")), ("no-store", ""));
    assert!(secrets.text.contains(&other.to_string()));
    let again = browser.post("/settings/api-keys/rotate-all", &fields).await;
    assert_eq!(again.leads_to(), guide(leaked), "the secrets are not shown twice");
    let page = browser.get(&guide(leaked)).await.expect(200);
    assert!(page.text.contains("1 older secret still works until"), "{}", page.text);
    assert_eq!(progress(&page), "2 of 5 steps done");

    // 3 and 5 are said by people, and are in the trail.
    let fields = [("key", key.as_str()), ("since", page.after("name=\"since\" type=\"date\" value=\""))];
    assert_eq!(browser.post("/settings/api-keys/leaked/review", &fields).await.leads_to(), guide(leaked));
    let keep = "/settings/api-keys/leaked/keep";
    let refused = browser.post(keep, &[("key", &key), ("reason", " ")]).await.expect(422);
    assert!(refused.text.contains("Enter a reason"));
    let reason = [("key", key.as_str()), ("reason", "It could reach no agent")];
    assert_eq!(browser.post(keep, &reason).await.leads_to(), guide(leaked));
    let page = browser.get(&guide(leaked)).await.expect(200);
    assert_eq!(progress(&page), "4 of 5 steps done");
    assert!(page.text.contains("Kept by admin@example.com"), "{}", page.text);
    let trail = browser.get("/audit").await.expect(200).text;
    assert!(trail.contains("reviewed the requests of") && trail.contains("kept the provider credentials"));

    // 4 ends by itself.
    site.clock.advance(Duration::from_mins(61));
    let mut browser = Browser::of(&site, "admin@example.com").await;
    let page = browser.get(&guide(leaked)).await.expect(200);
    assert_eq!(progress(&page), "5 of 5 steps done");
    assert!(page.text.contains("No request has used the revoked key for an hour."));
    let start = browser.get("/settings/api-keys/leaked").await.expect(200);
    assert!(start.text.contains("Earlier guides") && start.text.contains(&guide(leaked)));
}

#[tokio::test]
async fn names_and_programs_from_outside_are_shown_as_text_in_the_guide_and_its_report() {
    let site = Site::new().await;
    let leaked = site.key("production", None).await;
    openai(&site, "Support <b>line</b>").await;
    site.clock.advance(Duration::from_hours(1));
    let mut browser = browser(&site, Role::Owner).await;
    start(&mut browser, leaked).await;
    let name = KeyPatch { name: Some("a <b> *c*".to_owned()), ..KeyPatch::default() };
    site.store.update_key(site.account.id, leaked, name, site.origin()).await.unwrap();
    site.store.revoke_key(site.account.id, leaked, None, site.origin()).await.unwrap();
    send(&site, leaked, 401, [203, 0, 113, 10], HOSTILE).await;
    let page = browser.get(&guide(leaked)).await.expect(200);
    assert!(page.text.contains("&#60;img src=x") && page.text.contains("Support &#60;b&#62;line"));
    assert!(!page.text.contains("<img src=x") && !page.text.contains('\u{202e}'));
    let report = browser.get(&format!("/settings/api-keys/leaked/report?key={leaked}")).await.expect(200);
    assert_eq!(report.header("content-type"), "text/markdown; charset=utf-8");
    assert!(report.header("content-disposition").starts_with("attachment; filename=\"leak-key-"));
    assert!(report.text.starts_with("# Leaked key: a \\<b\\> \\*c\\*\n"), "{}", report.text);
    assert!(report.text.contains("## 1. Revoke the key immediately (done)"));
    assert!(report.text.contains("- **203.0.113.10** \\<img src\\=x") && !report.text.contains('\u{202e}'));
}

#[tokio::test]
async fn a_guide_is_read_by_every_member_and_continued_by_who_manages_the_key() {
    let site = Site::new().await;
    let leaked = site.key("production", None).await;
    let mut viewer = browser(&site, Role::Viewer).await;
    let page = viewer.get(&guide(leaked)).await.expect(200);
    assert!(!page.text.contains("leaked/start") && page.text.contains("can start it"), "{}", page.text);
    let mut developer = browser(&site, Role::Developer).await;
    developer.get(&guide(leaked)).await.expect(200);
    let key = leaked.to_string();
    for step in ["start", "review", "keep"] {
        let fields = [("key", key.as_str()), ("reason", "r")];
        developer.post(&format!("/settings/api-keys/leaked/{step}"), &fields).await.expect(403);
    }
    let mut owner = browser(&site, Role::Owner).await;
    start(&mut owner, leaked).await;
    for member in [&mut viewer, &mut developer] {
        let page = member.get(&guide(leaked)).await.expect(200);
        assert_eq!(progress(&page), "2 of 5 steps done", "there is nothing to rotate or to replace");
        for form in ["Mark as reviewed", "Rotate the rest", "Skip with a reason", "Revoke the key</a>"] {
            assert!(!page.text.contains(form), "{form}");
        }
    }
    let nothing = "/settings/api-keys/leaked?key=key_00000000000000000000000000";
    owner.get(nothing).await.expect(404);
    owner.get("/settings/api-keys/leaked?key=%3Cb%3E").await.expect(404);
    let other = site.other_account("Other").await;
    let foreign = site.user_of(other, "eve@example.com", Role::Owner).await;
    assert_eq!(foreign.email.to_string(), "eve@example.com");
    Browser::of(&site, "eve@example.com").await.get(&guide(leaked)).await.expect(404);
}

#[tokio::test]
async fn rotating_all_keys_needs_a_confirmed_identity_and_explains_what_prevents_it() {
    let site = Site::new().await;
    let full = site.key("full", None).await;
    let mut owner = browser(&site, Role::Owner).await;
    let path = "/settings/api-keys/rotate-all";
    let page = owner.get(path).await.expect(200);
    assert!(page.text.contains("Each of the 1 key"), "{}", page.text);
    let intent = page.after("name=\"intent\" value=\"").to_owned();
    owner.post(path, &[("intent", &intent)]).await.expect(422);
    for _ in 0..4 {
        let hour = GraceSeconds::new(3600).unwrap();
        site.store.rotate_key(site.account.id, full, hour, site.origin()).await.unwrap();
    }
    let page = owner.post(path, &[("intent", &intent), ("grace_seconds", "3600")]).await.expect(422);
    assert!(page.text.contains("1 key has already five secrets that work"), "{}", page.text);
    let intent = page.after("name=\"intent\" value=\"").to_owned();
    let page = owner.post(path, &[("intent", &intent), ("grace_seconds", "0")]).await.expect(200);
    assert!(page.text.contains("1 key was rotated. The previous secrets no longer work."));
    let mut developer = browser(&site, Role::Developer).await;
    let page = developer.get(path).await.expect(200);
    let intent = page.after("name=\"intent\" value=\"").to_owned();
    let page = developer.post(path, &[("intent", &intent), ("grace_seconds", "0")]).await.expect(422);
    assert!(page.text.contains("your role does not manage 1 key of them"), "{}", page.text);
    site.clock.advance(Duration::from_mins(11));
    let held = owner.post(path, &[("intent", "later"), ("grace_seconds", "0")]).await;
    assert!(held.leads_to().starts_with("/confirm?held="));
}
