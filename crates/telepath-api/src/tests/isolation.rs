//! Nothing is visible across accounts: every route with an id answers the key of another account as if the object did not
//! exist, and no list contains another account's rows. Local administration chooses the account.

use serde_json::{Value, json};
use telepath_api_types::keys::CreateKey;
use telepath_core::account::{ACCOUNT_HEADER, Account, NewAccount};
use telepath_core::alert::SecuritySignal;
use telepath_core::id::KeyId;
use telepath_core::key::{Authority, KeyDraft, Presets};
use telepath_core::limit::RateLimit;
use telepath_core::secret::KeyMode;

use super::harness::{Answer, CALLER, EVERY_SCOPE, Harness, address, local, request};
use crate::router::routes;
use crate::routes::Access;
use telepath_http::ConnectionMode;

/// A second account in test mode, and a key of it with every scope.
async fn second_account(harness: &Harness) -> (Account, String) {
    let new = NewAccount {
        name: "Other".to_owned(),
        mode: KeyMode::Test,
        max_rate_limit: RateLimit::per_minute(6000).unwrap(),
    };
    let account = harness.store.create_account(new, local(harness.now())).await.unwrap();
    let draft =
        json!({"name": "Other", "preset": "custom", "scopes": EVERY_SCOPE, "rate_limit_per_minute": 6000});
    let draft: CreateKey = serde_json::from_value(draft).unwrap();
    let new = KeyDraft::from(draft)
        .check(&account, &Presets::default(), &Authority::Unbounded, harness.now())
        .unwrap();
    let created = harness.store.create_key(account.id, new, local(harness.now())).await.unwrap();
    (account, created.secret.reveal().expose().to_owned())
}

/// The ids of one object of each kind in the first account, by the start of the paths that name them.
async fn objects(harness: &Harness, master: &str) -> Vec<(&'static str, String)> {
    let text = |value: &Value| value["id"].as_str().unwrap().to_owned();
    let trunk = harness.trunk(master, "support-01").await;
    let call = harness.call(trunk, "+15550100123").await;
    let hook = json!({"url": "https://93.184.215.14/a"});
    let hook = text(&harness.post("/v1/webhooks", master, hook).await.expect(201).json());
    let delivery =
        harness.ask("POST", &format!("/v1/webhooks/{hook}/test"), master, None).await.expect(202).json();
    let draft = json!({"name": "Billing", "preset": "testing"});
    let key = text(&harness.post("/v1/keys", master, draft).await.expect(201).json());
    let id: KeyId = key.parse().unwrap();
    harness.store.record_security_signal(SecuritySignal::SeenInClear { key: id, address: address(CALLER) });
    harness.store.raise_security_alerts().await.unwrap();
    let alerts = harness.get("/v1/alerts", master).await.expect(200).json();
    vec![
        ("/v1/trunks", trunk.to_string()),
        ("/v1/calls", call.to_string()),
        ("/v1/webhooks", hook),
        ("/v1/deliveries", text(&delivery)),
        ("/v1/keys", key),
        ("/v1/alerts", text(&alerts["alerts"][0])),
    ]
}

#[tokio::test]
async fn every_object_of_another_account_is_answered_as_not_found() {
    let harness = Harness::new().await;
    let master = harness.master().await;
    let objects = objects(&harness, &master).await;
    let (_, other) = second_account(&harness).await;
    assert!(other.starts_with("sk_test_"));
    let table = routes().unwrap().table;
    let rows = table.rows().iter().filter(|row| row.path.contains("{id}") && row.access != Access::Local);
    for row in rows {
        let case = format!("{} {}", row.method, row.path);
        let (_, id) = objects.iter().find(|(start, _)| row.path.starts_with(start)).expect(&case);
        let path =
            row.path.as_str().replace("{id}", id).replace("{secret_id}", "sec_00000000000000000000000000");
        let body = row.path.ends_with("/recover").then(|| json!({"since": "2027-01-01T00:00:00Z"}));
        let body = body.or_else(|| (row.verb() == "PATCH").then(|| json!({})));
        let answer = harness.ask(row.method.as_str(), &path, &other, body).await.expect(404);
        assert!(answer.code().ends_with("_NOT_FOUND"), "{case}: {}", answer.code());
    }
}

#[tokio::test]
async fn no_list_shows_rows_of_another_account() {
    let harness = Harness::new().await;
    let master = harness.master().await;
    let objects = objects(&harness, &master).await;
    let (account, other) = second_account(&harness).await;
    harness.store.flush_usage().await.unwrap();
    let own = harness.account.id.to_string();
    let table = routes().unwrap().table;
    let lists =
        table.rows().iter().filter(|row| row.verb() == "GET" && matches!(row.access, Access::Scope(_)));
    // The metrics are about all accounts.
    assert_eq!(harness.get("/metrics", &other).await.expect(404).code(), "NOT_FOUND");
    let (_, key) = objects.iter().find(|(start, _)| *start == "/v1/keys").unwrap();
    let named = harness.get(&format!("/v1/usage?key_id={key}"), &other).await.expect(404);
    assert_eq!(named.code(), "KEY_NOT_FOUND");
    let need_ids = ["/metrics", "/v1/usage", "/v1/analytics/comparison"];
    for row in lists.filter(|row| !row.path.contains('{') && !need_ids.contains(&row.path.as_str())) {
        let answer = harness.get(&row.path, &other).await.expect(200);
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        for id in objects.iter().map(|(_, id)| id).chain([&own]) {
            assert!(!text.contains(id.as_str()), "{}: {id} in {text}", row.path);
        }
    }
    let shown = harness.get("/v1/account", &other).await.expect(200).json();
    assert_eq!((&shown["id"], &shown["mode"]), (&json!(account.id), &json!("test")));
}

pub(super) async fn administer(
    harness: &Harness,
    method: &str,
    path: &str,
    account: &str,
    body: Option<Value>,
) -> Answer {
    let mut request = request(method, path, "");
    if !account.is_empty() {
        request.headers_mut().insert(ACCOUNT_HEADER, account.parse().unwrap());
    }
    if let Some(body) = body {
        request.headers_mut().insert("content-type", "application/json".parse().unwrap());
        *request.body_mut() = body.to_string().into();
    }
    harness.send_from(request, ConnectionMode::Unix { uid: Some(1000) }).await
}

#[tokio::test]
async fn local_administration_manages_accounts_and_chooses_one() {
    let harness = Harness::new().await;
    let create = json!({"name": "Acme", "mode": "test", "max_rate_limit_per_minute": 900});
    let created = administer(&harness, "POST", "/local/accounts", "", Some(create)).await.expect(201).json();
    let id = created["id"].as_str().unwrap();
    let strangers = administer(&harness, "GET", "/local/sip/strangers", "", None).await.expect(200).json();
    assert_eq!(strangers["strangers"][0]["rule"], "unknown_user");
    assert_eq!(strangers["strangers"][0]["source"], "203.0.113.7");
    let listed = administer(&harness, "GET", "/local/accounts", "", None).await.expect(200).json();
    let accounts = listed["accounts"].as_array().unwrap();
    assert!(accounts.len() == 2 && accounts.contains(&created), "{listed}");
    let path = format!("/local/accounts/{id}");
    assert_eq!(administer(&harness, "GET", &path, "", None).await.expect(200).json(), created);
    let patch = json!({"name": "Acme test", "max_rate_limit_per_minute": 800});
    let changed = administer(&harness, "PATCH", &path, "", Some(patch)).await.expect(200).json();
    assert_eq!((&changed["name"], &changed["max_rate_limit_per_minute"]), (&json!("Acme test"), &json!(800)));
    let own_policies = json!({"keys_must_expire": true});
    administer(&harness, "PATCH", &path, "", Some(own_policies.clone())).await.expect(400);
    administer(&harness, "PATCH", "/v1/account", id, Some(own_policies)).await.expect(200);

    let draft = json!({"name": "n", "preset": "testing", "expires_at": "2027-02-01T00:00:00Z"});
    let key = administer(&harness, "POST", "/v1/keys", id, Some(draft)).await.expect(201).json();
    assert!(key["secret"].as_str().unwrap().starts_with("sk_test_"));
    let first = administer(&harness, "GET", "/v1/keys", "", None).await.expect(200).json();
    assert_eq!(first["keys"], json!([]), "the default is the first account");
    assert_eq!(key["created_by"], "local:1000", "the user id of the calling process is recorded");
    for (actor, entries) in [("local", 3), ("local:1000", 3), ("local:1001", 0)] {
        let path = format!("/v1/audit-events?actor={actor}&limit=100");
        let trail = administer(&harness, "GET", &path, id, None).await.expect(200).json();
        let of_actor = trail["audit_events"].as_array().unwrap();
        assert!(of_actor.len() >= entries && of_actor.is_empty() == (entries == 0), "{actor}: {trail}");
        assert!(of_actor.iter().all(|entry| entry["actor"] == "local:1000"), "{actor}");
    }
    for unknown in ["acct_00000000000000000000000000", "nothing"] {
        let refused = administer(&harness, "GET", "/v1/keys", unknown, None).await.expect(404);
        assert_eq!(refused.code(), "ACCOUNT_NOT_FOUND");
    }
    let mut chosen = request("GET", "/v1/account", &harness.master().await);
    chosen.headers_mut().insert(ACCOUNT_HEADER, id.parse().unwrap());
    let shown = harness.send(chosen).await.expect(200).json();
    assert_eq!(shown["id"], harness.account.id.to_string(), "a key cannot choose");
}

#[tokio::test]
async fn routes_for_local_administration_are_not_found_with_any_key() {
    let harness = Harness::new().await;
    let key = harness.key(json!({"preset": "custom", "scopes": EVERY_SCOPE})).await;
    for row in routes().unwrap().table.rows().iter().filter(|row| row.access == Access::Local) {
        let path = row.path.replace("{id}", &harness.account.id.to_string());
        for key in [key.as_str(), ""] {
            let answer = harness.ask(row.method.as_str(), &path, key, Some(json!({}))).await.expect(404);
            assert_eq!(answer.code(), "NOT_FOUND", "{} {path}", row.method);
        }
    }
}

#[tokio::test]
async fn users_belong_to_the_account_that_local_administration_chooses() {
    let harness = Harness::new().await;
    let (other, _) = second_account(&harness).await;
    let draft = json!({"email": "ada@example.com", "role": "owner"});
    let other = other.id.to_string();
    let created = administer(&harness, "POST", "/local/users", &other, Some(draft)).await.expect(201).json();
    assert!(created["password_code"].as_str().is_some_and(|code| !code.is_empty()), "{created}");
    let listed = administer(&harness, "GET", "/local/users", &other, None).await.expect(200).json();
    assert_eq!(listed["users"], json!([created["user"]]));
    let first = administer(&harness, "GET", "/local/users", "", None).await.expect(200).json();
    assert_eq!(first["users"], json!([]), "the default is the first account");
    let disable = json!({"user": "ada@example.com"});
    administer(&harness, "POST", "/local/users/disable", "", Some(disable)).await.expect(404);
}
