//! Connections: the list, one connection, and what is done to it.

use std::collections::BTreeMap;
use std::time::Duration;

use telepath_core::audit::{AuditAction, AuditFilter};
use telepath_core::id::TrunkId;
use telepath_core::page::PageRequest;
use telepath_core::patch::Patch;
use telepath_core::secret::SecretText;
use telepath_core::trunk::{CredentialField, TrunkDraft, TrunkPatchDraft, TrunkStatus};
use telepath_core::user::Role;

use super::calls::{call, live, trunk};
use super::harness::{Browser, Site};

/// A connection to `ElevenLabs`.
async fn eleven(site: &Site) -> TrunkId {
    let draft = TrunkDraft {
        name: Some("Support".to_owned()),
        ai_provider: Some("elevenlabs".to_owned()),
        sip_username: Some("support-01".to_owned()),
        elevenlabs_api_key: Some(SecretText::new("xi-0123456789abcd".to_owned())),
        elevenlabs_agent_id: Some("agent_1".to_owned()),
        ..TrunkDraft::default()
    };
    site.store.create_trunk(site.account.id, draft.check().unwrap(), site.origin()).await.unwrap().trunk.id
}

/// The actions of the audit trail, the latest first.
async fn audited(site: &Site) -> Vec<AuditAction> {
    let page = PageRequest::new(5, 0).unwrap();
    let found = site.store.list_audit(site.account.id, AuditFilter::default(), page).await.unwrap();
    found.items.iter().map(|event| event.action).collect()
}

#[tokio::test]
async fn the_list_shows_each_connection_with_its_figures_and_has_two_empty_states() {
    let site = Site::new().await;
    site.user("ada@example.com", Role::Developer).await;
    let mut browser = Browser::of(&site, "ada@example.com").await;
    let empty = browser.get("/connections").await.expect(200).text;
    assert!(empty.contains("No connections yet. A connection links your carrier to an agent."), "{empty}");
    let support = trunk(&site, site.account.id, "Support").await;
    call(&site, site.account.id, support, "+15550100001").await;
    live(&site, support, "+15550100009").await;
    site.clock.advance(Duration::from_mins(5));
    let page = browser.get("/connections").await.expect(200).text;
    for part in [
        "sip:Support@sip.voice.example",
        "Custom, telepath.v1",
        "Active",
        "100.0% reached the agent",
        "1 live",
        "602 ms",
        "5 min ago",
        "1 connection.",
    ] {
        assert!(page.contains(part), "{part}: {page}");
    }
    let none = browser.get("/connections?status=inactive").await.expect(200).text;
    assert!(none.contains("No connections are in this state.") && none.contains("Clear filters"));
}

#[tokio::test]
async fn pages_of_the_list_lead_to_older_connections_and_back() {
    let site = Site::new().await;
    for number in 0..27 {
        trunk(&site, site.account.id, &format!("Line{number:02}")).await;
        site.clock.advance(Duration::from_secs(1));
    }
    site.user("ada@example.com", Role::Viewer).await;
    let mut browser = Browser::of(&site, "ada@example.com").await;
    let first = browser.get("/connections").await.expect(200);
    assert!(first.text.contains("Line26") && !first.text.contains("Line01"));
    let older = first.text.split("href=\"").find(|link| link.starts_with("/connections?cursor=")).unwrap();
    let second = browser.get(older.split('"').next().unwrap()).await.expect(200).text;
    assert!(second.contains("Line01") && !second.contains("Line02"), "{second}");
    assert!(second.contains("href=\"/connections\">Newer</a>"));
}

#[tokio::test]
async fn the_page_of_a_connection_says_how_it_is() {
    let site = Site::new().await;
    let id = trunk(&site, site.account.id, "Support").await;
    site.user("ada@example.com", Role::Viewer).await;
    let mut browser = Browser::of(&site, "ada@example.com").await;
    let path = format!("/connections/{id}");
    let page = browser.get(&path).await.expect(200).text;
    assert!(
        page.contains("<b>Ready.</b> Nothing has called it yet.") && page.contains("No calls yet."),
        "{page}"
    );
    assert!(!page.contains("Delete connection") && !page.contains("Edit"), "a viewer changes nothing");
    call(&site, site.account.id, id, "+15550100001").await;
    let page = browser.get(&path).await.expect(200).text;
    let healthy =
        "<b>Healthy.</b> 1 call today; 100.0% reached the agent. The agent responds in 602 ms (median).";
    for part in [healthy, "Latency by layer", "+15550100001", "wss://agent.example/voice", "set just now"] {
        assert!(page.contains(part), "{part}: {page}");
    }
    let table = browser.get(&format!("{path}?range=24h&as=table")).await.expect(200).text;
    assert!(table.contains("View as chart") && table.contains("Agent p50"), "{table}");
}

#[tokio::test]
async fn a_connection_is_switched_off_and_on_and_says_so() {
    let site = Site::new().await;
    let id = trunk(&site, site.account.id, "Support").await;
    live(&site, id, "+15550100009").await;
    site.user("ada@example.com", Role::Developer).await;
    let mut browser = Browser::of(&site, "ada@example.com").await;
    let path = format!("/connections/{id}");
    let reply = browser.post(&format!("{path}/status"), &[("status", "inactive")]).await;
    assert_eq!(reply.leads_to(), format!("{path}?done=deactivated"));
    let page = browser.get(&path).await.expect(200).text;
    assert!(page.contains("<b>Switched off.</b> New calls are refused. 1 live call continues."), "{page}");
    let back = [("status", "active"), ("next", "/connections")];
    let reply = browser.post(&format!("{path}/status"), &back).await;
    assert_eq!(reply.leads_to(), "/connections?done=activated");
    browser.post(&format!("{path}/status"), &[("status", "error")]).await.expect(400);
    let (trunk, _) = site.store.get_trunk(site.account.id, id).await.unwrap().unwrap();
    assert_eq!(trunk.status, TrunkStatus::Active);
}

#[tokio::test]
async fn a_rotated_password_is_shown_once_and_live_calls_continue() {
    let site = Site::new().await;
    let id = trunk(&site, site.account.id, "Support").await;
    live(&site, id, "+15550100009").await;
    site.user("ada@example.com", Role::Developer).await;
    let mut browser = Browser::of(&site, "ada@example.com").await;
    let path = format!("/connections/{id}/password");
    let form = browser.get(&path).await.expect(200);
    assert!(form.text.contains("The old password stops working immediately. 1 live call continues."));
    let intent = form.after("name=\"intent\" value=\"").to_owned();
    let page = browser.post(&path, &[("intent", &intent)]).await.expect(200);
    let secret = page.text.split("data-secret>").nth(1).unwrap().split('<').next().unwrap().to_owned();
    assert_eq!(secret.len(), 24, "{}", page.text);
    assert_eq!(page.header("cache-control"), "no-store");
    assert_eq!(audited(&site).await[0], AuditAction::TrunkPasswordRotated);
    let again = browser.post(&path, &[("intent", &intent)]).await;
    assert_eq!(again.leads_to(), format!("/connections/{id}?done=shown"), "the form is handled once");
    let shown = browser.get(&format!("/connections/{id}?done=shown")).await.expect(200).text;
    assert!(!shown.contains(&secret) && site.live.0.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_rotation_asks_who_it_is_after_a_while() {
    let site = Site::new().await;
    let id = trunk(&site, site.account.id, "Support").await;
    site.user("ada@example.com", Role::Developer).await;
    let mut browser = Browser::of(&site, "ada@example.com").await;
    let path = format!("/connections/{id}/password");
    let intent = browser.get(&path).await.expect(200).after("name=\"intent\" value=\"").to_owned();
    site.clock.advance(Duration::from_mins(11));
    let page = browser.post(&path, &[("intent", &intent)]).await;
    assert!(!page.text.contains("data-secret"), "{}", page.text);
    assert_ne!(audited(&site).await[0], AuditAction::TrunkPasswordRotated);
}

#[tokio::test]
async fn credentials_are_replaced_and_never_shown() {
    let site = Site::new().await;
    let id = eleven(&site).await;
    site.user("ada@example.com", Role::Developer).await;
    let mut browser = Browser::of(&site, "ada@example.com").await;
    let (one, path) = (format!("/connections/{id}"), format!("/connections/{id}/credentials"));
    let page = browser.get(&one).await.expect(200).text;
    assert!(page.contains("…abcd") && page.contains("ElevenLabs Agents"), "{page}");
    let wrong = browser.post(&path, &[("elevenlabs_api_key", "short")]).await.expect(422).text;
    assert!(wrong.contains("Must have 8 to 512 printable characters.") && !wrong.contains("value=\"short\""));
    let reply = browser.post(&path, &[("elevenlabs_api_key", "xi-new-secret-wxyz")]).await;
    assert_eq!(reply.leads_to(), format!("{one}?done=credentials"));
    let page = browser.get(&one).await.expect(200).text;
    assert!(page.contains("…wxyz") && !page.contains("xi-new-secret"), "{page}");
}

#[tokio::test]
async fn an_edit_reports_each_field_and_keeps_what_was_typed() {
    let site = Site::new().await;
    let id = trunk(&site, site.account.id, "Support").await;
    site.user("ada@example.com", Role::Developer).await;
    let mut browser = Browser::of(&site, "ada@example.com").await;
    let path = format!("/connections/{id}/edit");
    assert!(browser.get(&path).await.expect(200).text.contains("value=\"wss://agent.example/voice\""));
    let typed = [
        ("name", "Sales"),
        ("custom_endpoint", "wss://agent.example/v2"),
        ("allowed_ips", "203.0.113.0/24\r\n203.0.113.300"),
        ("inbound_numbers", "12"),
        ("max_call_seconds", "many"),
    ];
    let page = browser.post(&path, &typed).await.expect(422).text;
    assert!(page.contains("Must be a whole number.") && page.contains("value=\"Sales\""), "{page}");
    let typed = [typed[0], typed[1], typed[2], typed[3], ("max_call_seconds", "600")];
    let page = browser.post(&path, &typed).await.expect(422).text;
    assert!(
        page.contains("“203.0.113.300”") && page.contains("“12” must be a number in E.164 form"),
        "{page}"
    );
    let refused = [("name", "Sales"), ("custom_endpoint", "wss://refused.example/")];
    let page = browser.post(&path, &refused).await.expect(422).text;
    assert!(page.contains("Cannot be used: it is not allowed."), "{page}");
    let good = [
        ("name", "Sales"),
        ("custom_endpoint", "wss://other.example/v2?token=x"),
        ("custom_headers", "Authorization: Bearer abc"),
        ("system_prompt", "Be kind.\r\nBe brief."),
        ("allowed_ips", "203.0.113.0/24"),
        ("codecs", "PCMA,PCMU"),
        ("max_call_seconds", "600"),
    ];
    assert_eq!(browser.post(&path, &good).await.leads_to(), format!("/connections/{id}?done=saved"));
    let (trunk, _) = site.store.get_trunk(site.account.id, id).await.unwrap().unwrap();
    assert_eq!((trunk.name.as_str(), trunk.settings.max_call_seconds), ("Sales", Some(600)));
    assert_eq!(trunk.settings.system_prompt.as_deref(), Some("Be kind.\nBe brief."));
    assert!(trunk.credentials.contains_key(&CredentialField::CustomHeaders));
    let page = browser.get(&format!("/connections/{id}")).await.expect(200).text;
    assert!(page.contains("PCMA, PCMU") && page.contains("wss://other.example/v2"), "{page}");
    assert!(!page.contains("token=x"), "the query of a URL may hold a secret");
}

#[tokio::test]
async fn a_connection_is_deleted_when_its_name_is_typed_and_its_calls_end() {
    let site = Site::new().await;
    let id = trunk(&site, site.account.id, "Support").await;
    live(&site, id, "+15550100009").await;
    site.user("ada@example.com", Role::Developer).await;
    let mut browser = Browser::of(&site, "ada@example.com").await;
    let path = format!("/connections/{id}/delete");
    assert!(browser.get(&path).await.expect(200).text.contains("1 live call ends at once."));
    let page = browser.post(&path, &[("name", "support")]).await.expect(422).text;
    assert!(page.contains("Type the name of the connection: Support."), "{page}");
    assert!(site.live.1.lock().unwrap().is_empty());
    let reply = browser.post(&path, &[("name", " Support ")]).await;
    assert_eq!(reply.leads_to(), "/connections?done=deleted");
    assert_eq!(*site.live.1.lock().unwrap(), [id]);
    browser.get(&format!("/connections/{id}")).await.expect(404);
    assert_eq!(audited(&site).await[0], AuditAction::TrunkDeleted);
}

#[tokio::test]
async fn connections_of_another_account_do_not_exist() {
    let site = Site::new().await;
    let other = site.other_account("Other").await;
    let id = trunk(&site, other, "Theirs").await;
    site.user("ada@example.com", Role::Owner).await;
    let mut browser = Browser::of(&site, "ada@example.com").await;
    assert!(!browser.get("/connections").await.expect(200).text.contains("Theirs"));
    for page in ["", "/edit", "/credentials", "/password", "/delete"] {
        let page = browser.get(&format!("/connections/{id}{page}")).await.expect(404).text;
        assert!(page.contains("This connection does not exist"));
    }
    for action in ["status", "edit", "credentials", "password", "delete"] {
        browser.post(&format!("/connections/{id}/{action}"), &[("name", "Theirs")]).await.expect(404);
    }
    assert!(site.store.get_trunk(other, id).await.unwrap().is_some());
}

#[tokio::test]
async fn texts_of_a_connection_stay_texts() {
    let site = Site::new().await;
    let id = trunk(&site, site.account.id, "<img src=x onerror=alert(1)>").await;
    call(&site, site.account.id, id, "\u{202e}<script>alert(1)</script>").await;
    site.user("ada@example.com", Role::Owner).await;
    let mut browser = Browser::of(&site, "ada@example.com").await;
    for path in ["", "/edit", "/credentials", "/password", "/delete"] {
        let page = browser.get(&format!("/connections/{id}{path}")).await.expect(200).text;
        assert!(page.contains("&#60;img src=x"), "{path}: {page}");
        assert!(!page.contains("<img") && !page.contains("<script>") && !page.contains('\u{202e}'), "{path}");
    }
    assert!(browser.get("/connections").await.expect(200).text.contains("&#60;img src=x"));
}

#[tokio::test]
async fn the_agent_of_a_connection_is_tested_with_the_stored_credentials() {
    let site = Site::new().await;
    site.user("ada@example.com", Role::Developer).await;
    let support = trunk(&site, site.account.id, "Support").await;
    let headers = BTreeMap::from([("Authorization".to_owned(), SecretText::new("very-secret".to_owned()))]);
    let patch = TrunkPatchDraft { custom_headers: Patch::Set(headers), ..TrunkPatchDraft::default() };
    site.store.update_trunk(site.account.id, support, patch, site.origin()).await.unwrap();
    let mut browser = Browser::of(&site, "ada@example.com").await;
    let path = format!("/connections/{support}/test");
    let connection = browser.get(&format!("/connections/{support}")).await.expect(200).text;
    assert!(connection.contains(&format!("href=\"{path}\"")), "{connection}");
    let before = browser.get(&path).await.expect(200).text;
    assert!(before.contains("wss://agent.example/voice") && !before.contains("Test again"), "{before}");
    let after = browser.post(&path, &[]).await.expect(200).text;
    assert!(after.contains("The socket was open after 84 ms.") && after.contains("1 headers"), "{after}");
    assert!(after.contains("Test again") && !after.contains("very-secret"), "{after}");
    // What cannot be reached, and what a provider accepts and refuses with the settings of the connection.
    let silent = TrunkPatchDraft {
        custom_endpoint: Some("wss://silent.example/".to_owned()),
        custom_headers: Patch::Clear,
        ..TrunkPatchDraft::default()
    };
    site.store.update_trunk(site.account.id, support, silent, site.origin()).await.unwrap();
    let after = browser.post(&path, &[]).await.expect(200).text;
    assert!(after.contains("The agent could not be reached: &#60;b&#62;refused"), "{after}");
    let eleven = eleven(&site).await;
    let path = format!("/connections/{eleven}/test");
    let after = browser.post(&path, &[]).await.expect(200).text;
    assert!(after.contains("It accepted the session and was ready after 312 ms."), "{after}");
    let model = TrunkPatchDraft { model: Patch::Set("none".to_owned()), ..TrunkPatchDraft::default() };
    site.store.update_trunk(site.account.id, eleven, model, site.origin()).await.unwrap();
    let after = browser.post(&path, &[]).await.expect(200).text;
    assert!(after.contains("odel_not_found: &#60;b&#62;none"), "{after}");
    // Connections of other accounts do not exist, and viewers test nothing.
    let other = site.other_account("Other").await;
    let foreign = format!("/connections/{}/test", trunk(&site, other, "Foreign").await);
    browser.post(&foreign, &[]).await.expect(404);
    site.user("vera@example.com", Role::Viewer).await;
    let mut viewer = Browser::of(&site, "vera@example.com").await;
    viewer.get(&path).await.expect(403);
    viewer.post(&path, &[]).await.expect(403);
}
