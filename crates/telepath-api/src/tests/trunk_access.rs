//! A key with `trunk_ids` reaches only those trunks, their calls, their endpoints with deliveries, and keys that are limited
//! in the same way. Everything else answers as if it did not exist, and routes for the whole account answer 403.

use serde_json::{Value, json};
use telepath_core::id::{CallId, TrunkId};

use super::harness::{Answer, EVERY_SCOPE, Harness};
use crate::router::routes;
use crate::routes::Access;

const LIMITED: &str = "This key is limited to trunks";

/// An account with two trunks and one object of each kind for either, and a key that is limited to the first trunk.
struct World {
    harness: Harness,
    master: String,
    trunks: [TrunkId; 2],
    calls: [CallId; 2],
    hooks: [String; 2],
    deliveries: [String; 2],
    keys: [String; 2],
    limited: String,
}

fn id_of(answer: &Answer) -> String {
    answer.json()["id"].as_str().unwrap().to_owned()
}

impl World {
    async fn new() -> Self {
        let harness = Harness::new().await;
        let master = harness.master().await;
        let trunks = [harness.trunk(&master, "mine-01").await, harness.trunk(&master, "other-01").await];
        let mut hooks = Vec::new();
        let mut deliveries = Vec::new();
        let mut keys = Vec::new();
        for trunk in trunks {
            let hook = json!({"url": "https://93.184.215.14/a", "events": ["call.*"], "trunk_ids": [trunk]});
            let hook = id_of(&harness.post("/v1/webhooks", &master, hook).await.expect(201));
            let path = format!("/v1/webhooks/{hook}/test");
            deliveries.push(id_of(&harness.ask("POST", &path, &master, None).await.expect(202)));
            hooks.push(hook);
            let key =
                json!({"name": "k", "preset": "custom", "scopes": ["calls:read"], "trunk_ids": [trunk]});
            keys.push(id_of(&harness.post("/v1/keys", &master, key).await.expect(201)));
        }
        let calls =
            [harness.call(trunks[0], "+15550100123").await, harness.call(trunks[1], "+15550100124").await];
        let limited = harness
            .key(json!({"preset": "custom", "scopes": EVERY_SCOPE, "rate_limit_per_minute": 6000,
                "trunk_ids": [trunks[0]]}))
            .await;
        let [hooks, deliveries, keys] = [hooks, deliveries, keys].map(|list| list.try_into().unwrap());
        Self { harness, master, trunks, calls, hooks, deliveries, keys, limited }
    }

    /// The id in the paths of a resource, of the first or of the second trunk.
    fn id(&self, path: &str, place: usize) -> Option<String> {
        let start = path.split('/').nth(2)?;
        match start {
            "trunks" => Some(self.trunks[place].to_string()),
            "calls" => Some(self.calls[place].to_string()),
            "webhooks" => Some(self.hooks[place].clone()),
            "deliveries" => Some(self.deliveries[place].clone()),
            "keys" => Some(self.keys[place].clone()),
            _ => None,
        }
    }

    async fn ask(&self, method: &str, path: &str, body: Option<Value>) -> Answer {
        self.harness.ask(method, path, &self.limited, body).await
    }
}

/// The routes that serve a key that is limited to trunks; every other one is about the whole account.
fn is_about_trunks(method: &str, path: &str) -> bool {
    const STARTS: [&str; 9] = [
        "/v1/stream",
        "/v1/analytics",
        "/v1/trunks",
        "/v1/calls",
        "/v1/webhooks",
        "/v1/deliveries",
        "/v1/keys",
        "/v1/usage",
        "/v1/whoami",
    ];
    let whole = [("POST", "/v1/trunks"), ("POST", "/v1/keys/rotate-all")];
    !whole.contains(&(method, path)) && STARTS.iter().any(|start| path.starts_with(start))
}

fn body(method: &str, path: &str) -> Option<Value> {
    let recover = path.ends_with("/recover").then(|| json!({"since": "2027-01-01T00:00:00Z"}));
    recover.or_else(|| (method == "PATCH").then(|| json!({})))
}

#[tokio::test]
async fn routes_for_the_whole_account_answer_403_to_a_key_limited_to_trunks() {
    let world = World::new().await;
    let table = routes().unwrap().table;
    let rows = table.rows().iter().filter(|row| matches!(row.access, Access::Scope(_) | Access::AnyKey));
    let mut refused = 0;
    for row in rows {
        let path =
            row.path.replace("{id}", "nothing").replace("{secret_id}", "x").replace("{name}", "testing");
        let answer = world.ask(row.method.as_str(), &path, None).await;
        let case = format!("{} {}: {}", row.method, row.path, answer.status);
        if is_about_trunks(row.method.as_str(), &row.path) {
            assert_ne!(answer.status.as_u16(), 403, "{case}");
        } else {
            refused += 1;
            assert_eq!(
                (answer.status.as_u16(), answer.code().as_str()),
                (403, "INSUFFICIENT_SCOPE"),
                "{case}"
            );
            assert!(answer.message().starts_with(LIMITED), "{case}: {}", answer.message());
        }
    }
    assert!(refused >= 10, "{refused}");
}

#[tokio::test]
async fn objects_of_another_trunk_are_answered_as_not_found() {
    let world = World::new().await;
    let table = routes().unwrap().table;
    for row in table.rows().iter().filter(|row| row.path.contains("{id}")) {
        let Some(id) = world.id(&row.path, 1).filter(|_| is_about_trunks(row.method.as_str(), &row.path))
        else {
            continue;
        };
        let path = row.path.replace("{id}", &id).replace("{secret_id}", "sec_00000000000000000000000000");
        let answer = world.ask(row.method.as_str(), &path, body(row.method.as_str(), &path)).await;
        let case = format!("{} {}: {}", row.method, row.path, answer.status);
        assert_eq!(answer.status.as_u16(), 404, "{case}");
        assert!(answer.code().ends_with("_NOT_FOUND"), "{case}");
    }
    // Nothing of it happened.
    let [_, call] = world.calls;
    let call = world.harness.get(&format!("/v1/calls/{call}"), &world.master).await.expect(200).json();
    assert_eq!(call["status"], "connected");
    let key =
        world.harness.get(&format!("/v1/keys/{}", world.keys[1]), &world.master).await.expect(200).json();
    assert_eq!((&key["status"], key["secrets"].as_array().unwrap().len()), (&json!("active"), 1));
}

#[tokio::test]
async fn objects_of_its_own_trunk_are_served() {
    let world = World::new().await;
    let own = |path: &str| path.replace("{id}", &world.id(path, 0).unwrap());
    for path in
        ["/v1/trunks/{id}", "/v1/calls/{id}", "/v1/webhooks/{id}", "/v1/keys/{id}", "/v1/keys/{id}/usage"]
    {
        world.ask("GET", &own(path), None).await.expect(200);
    }
    let [mine, other] = &world.keys;
    world.ask("GET", &format!("/v1/usage?key_id={mine}"), None).await.expect(200);
    let beyond = world.ask("GET", &format!("/v1/usage?key_id={mine}&key_id={other}"), None).await;
    assert_eq!(beyond.expect(404).code(), "KEY_NOT_FOUND");
    world.ask("GET", &own("/v1/deliveries/{id}"), None).await.expect(200);
    world.ask("POST", &own("/v1/deliveries/{id}/redeliver"), None).await.expect(202);
    let since = json!({"since": "2026-01-01T00:00:00Z"});
    world.ask("POST", &own("/v1/webhooks/{id}/recover"), Some(since)).await.expect(200);
    world.ask("POST", &own("/v1/webhooks/{id}/rotate-secret"), None).await.expect(200);
    world.ask("PATCH", &own("/v1/trunks/{id}"), Some(json!({"name": "New"}))).await.expect(200);
    world.ask("POST", &own("/v1/trunks/{id}/rotate-sip-password"), None).await.expect(200);
    world.ask("POST", &own("/v1/calls/{id}/hangup"), None).await.expect(202);
    let me = world.ask("GET", "/v1/whoami", None).await.expect(200).json();
    assert_eq!(me["trunk_ids"], json!([world.trunks[0]]));
}

#[tokio::test]
async fn lists_show_only_what_is_within_the_trunks_of_the_key() {
    let world = World::new().await;
    let deliveries = format!("/v1/webhooks/{}/deliveries", world.hooks[0]);
    for (path, list, total) in [
        ("/v1/trunks", "trunks", 1),
        ("/v1/calls", "calls", 1),
        ("/v1/webhooks", "webhooks", 1),
        // The test that was requested, and the start of the call.
        (&deliveries, "deliveries", 2),
    ] {
        let shown = world.ask("GET", path, None).await.expect(200);
        let text = String::from_utf8_lossy(&shown.body).into_owned();
        assert_eq!(shown.json()["pagination"]["total"], json!(total), "{path}");
        assert_eq!(shown.json()[list].as_array().unwrap().len(), total, "{path}");
        let other = world.id(path, 1).unwrap();
        assert!(!text.contains(&other) && !text.contains(&world.trunks[1].to_string()), "{path}: {text}");
    }
    let keys = world.ask("GET", "/v1/keys", None).await.expect(200).json();
    let ids: Vec<_> = keys["keys"].as_array().unwrap().iter().map(|key| key["trunk_ids"].clone()).collect();
    assert_eq!(
        ids,
        [json!([world.trunks[0]]), json!([world.trunks[0]])],
        "its own and the other limited one"
    );
    let filtered = format!("/v1/calls?trunk_id={}", world.trunks[1]);
    assert_eq!(world.ask("GET", &filtered, None).await.expect(200).json()["pagination"]["total"], json!(0));
}

#[tokio::test]
async fn a_limited_key_grants_only_subsets_of_its_trunks() {
    let world = World::new().await;
    let draft = |trunks: Value| {
        let mut draft = json!({"name": "n", "preset": "custom", "scopes": ["calls:read"]});
        if !trunks.is_null() {
            draft["trunk_ids"] = trunks;
        }
        draft
    };
    let [mine, other] = world.trunks;
    let created = world.ask("POST", "/v1/keys", Some(draft(json!(null)))).await.expect(201);
    assert_eq!(created.json()["trunk_ids"], json!([mine]), "the default is what the caller reaches");
    let path = format!("/v1/keys/{}", id_of(&created));
    for beyond in [json!([]), json!([other]), json!([mine, other])] {
        let refused = world.ask("POST", "/v1/keys", Some(draft(beyond.clone()))).await.expect(400);
        assert_eq!(refused.json()["error"]["details"][0]["field"], "trunk_ids", "{beyond}");
        world.ask("PATCH", &path, Some(json!({"trunk_ids": beyond}))).await.expect(400);
    }
    // A change by somebody else takes effect with the next request.
    let secret = created.json()["secret"].as_str().unwrap().to_owned();
    let count = async || {
        world.harness.get("/v1/calls", &secret).await.expect(200).json()["pagination"]["total"].clone()
    };
    assert_eq!(count().await, json!(1));
    let both = json!({"trunk_ids": [mine, other]});
    world.harness.ask("PATCH", &path, &world.master, Some(both)).await.expect(200);
    assert_eq!(count().await, json!(2));
    world.ask("GET", &path, None).await.expect(404);
    world.harness.ask("PATCH", &path, &world.master, Some(json!({"trunk_ids": []}))).await.expect(200);
    world.ask("POST", &format!("{path}/revoke"), None).await.expect(404);
    for wrong in [json!(["conn_00000000000000000000000000"]), json!([mine, mine]), json!(["call_1"])] {
        world.harness.ask("PATCH", &path, &world.master, Some(json!({"trunk_ids": wrong}))).await.expect(400);
    }
}

#[tokio::test]
async fn a_key_of_a_deleted_trunk_reaches_nothing() {
    let world = World::new().await;
    world.ask("DELETE", &format!("/v1/trunks/{}", world.trunks[0]), None).await.expect(204);
    let trunks = world.ask("GET", "/v1/trunks", None).await.expect(200).json();
    assert_eq!(trunks["pagination"]["total"], json!(0));
    let me = world.ask("GET", "/v1/whoami", None).await.expect(200).json();
    assert_eq!(me["trunk_ids"], json!([world.trunks[0]]));
}

#[tokio::test]
async fn a_limited_key_subscribes_only_to_events_of_its_trunks() {
    let world = World::new().await;
    let [mine, other] = world.trunks;
    let url = "https://93.184.215.14/b";
    for (events, trunks) in [
        (json!(["call.*"]), json!([])),
        (json!(["call.*"]), json!([other])),
        (json!(["call.*"]), json!([mine, other])),
        (json!(["*"]), json!([mine])),
        (json!(["call.*", "key.revoked"]), json!([mine])),
    ] {
        let draft = json!({"url": url, "events": events, "trunk_ids": trunks});
        let refused = world.ask("POST", "/v1/webhooks", Some(draft.clone())).await.expect(403);
        assert_eq!(refused.code(), "INSUFFICIENT_SCOPE", "{draft}");
    }
    let draft = json!({"url": url, "events": ["call.*", "agent.connected"], "trunk_ids": [mine]});
    let hook = id_of(&world.ask("POST", "/v1/webhooks", Some(draft)).await.expect(201));
    let path = format!("/v1/webhooks/{hook}");
    for beyond in [json!({"trunk_ids": []}), json!({"trunk_ids": [other]}), json!({"events": ["*"]})] {
        world.ask("PATCH", &path, Some(beyond)).await.expect(403);
    }
    // An endpoint for the whole account that names the trunk is not within reach: its URL decides where other events go.
    let wide = json!({"events": ["*"]});
    world.harness.ask("PATCH", &path, &world.master, Some(wide)).await.expect(200);
    world.ask("PATCH", &path, Some(json!({"url": "https://93.184.215.14/c"}))).await.expect(404);
    world.ask("POST", &format!("{path}/test"), None).await.expect(404);
    let listed = world.ask("GET", "/v1/webhooks", None).await.expect(200).json();
    assert_eq!(listed["pagination"]["total"], json!(1));
}

#[tokio::test]
async fn earlier_deliveries_of_other_trunks_stay_out_of_reach() {
    let world = World::new().await;
    let [mine, other] = world.trunks;
    let draft =
        json!({"url": "https://93.184.215.14/d", "events": ["call.started"], "trunk_ids": [mine, other]});
    let hook = id_of(&world.harness.post("/v1/webhooks", &world.master, draft).await.expect(201));
    for trunk in world.trunks {
        world.harness.call(trunk, "+15550100125").await;
    }
    let path = format!("/v1/webhooks/{hook}");
    let narrow = json!({"trunk_ids": [mine]});
    world.harness.ask("PATCH", &path, &world.master, Some(narrow)).await.expect(200);
    let list = format!("{path}/deliveries");
    let all = world.harness.get(&list, &world.master).await.expect(200).json();
    let own = world.ask("GET", &list, None).await.expect(200).json();
    assert_eq!((&all["pagination"]["total"], &own["pagination"]["total"]), (&json!(2), &json!(1)));
    let shown = &own["deliveries"][0]["id"];
    for delivery in all["deliveries"].as_array().unwrap().iter().map(|delivery| &delivery["id"]) {
        let path = format!("/v1/deliveries/{}", delivery.as_str().unwrap());
        let expected = if delivery == shown { (200, 202) } else { (404, 404) };
        world.ask("GET", &path, None).await.expect(expected.0);
        world.ask("POST", &format!("{path}/redeliver"), None).await.expect(expected.1);
    }
}
