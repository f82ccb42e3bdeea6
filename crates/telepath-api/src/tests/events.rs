//! Every kind of event, caused through the store and the API, is compared with the `webhooks` section of the document.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use telepath_core::alert::SecuritySignal;
use telepath_core::call::{
    CallEnd, CallMetrics, CallStatus, Direction, DisconnectReason, MediaCounts, Party, SipFacts,
};
use telepath_core::event::EventKind;
use telepath_core::id::{CallId, KeyId, TrunkId};
use telepath_core::ports::{AgentEvent, CallControl as _};

use super::harness::{CALLER, Harness, address};
use crate::router::routes;

/// What is wrong with a value according to a schema. Stricter than JSON Schema: a member that the schema does not name is
/// wrong, unless the schema names none.
fn mismatches(value: &Value, schema: &Value, place: &str) -> Vec<String> {
    let mut found = Vec::new();
    let types = match &schema["type"] {
        Value::Array(types) => types.clone(),
        one => vec![one.clone()],
    };
    if !types.iter().any(|name| has_type(value, name.as_str().unwrap())) {
        found.push(format!("{place}: {value} is not one of {types:?}"));
    }
    if schema["enum"].as_array().is_some_and(|allowed| !allowed.contains(value)) {
        found.push(format!("{place}: {value} is not in the enumeration"));
    }
    if schema.get("const").is_some_and(|only| only != value) {
        found.push(format!("{place}: {value} is not the constant"));
    }
    if value.as_i64().zip(schema["minimum"].as_i64()).is_some_and(|(value, least)| value < least) {
        found.push(format!("{place}: {value} is too small"));
    }
    let (Some(members), Some(known)) = (value.as_object(), schema["properties"].as_object()) else {
        return found;
    };
    for name in schema["required"].as_array().into_iter().flatten() {
        if !members.contains_key(name.as_str().unwrap()) {
            found.push(format!("{place}: {name} is missing"));
        }
    }
    for (name, member) in members {
        match known.get(name) {
            Some(schema) => found.extend(mismatches(member, schema, &format!("{place}.{name}"))),
            None => found.push(format!("{place}: {name} is not documented")),
        }
    }
    found
}

fn has_type(value: &Value, name: &str) -> bool {
    match name {
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "object" => value.is_object(),
        "null" => value.is_null(),
        other => panic!("the check knows no type {other}"),
    }
}

fn schemas() -> BTreeMap<String, Value> {
    let document: Value = serde_json::from_str(&routes().unwrap().document).unwrap();
    let section = document["webhooks"].as_object().unwrap();
    let schema =
        |entry: &Value| entry["post"]["requestBody"]["content"]["application/json"]["schema"].clone();
    section.iter().map(|(kind, entry)| (kind.clone(), schema(entry))).collect()
}

fn ended(harness: &Harness, call: CallId, trunk: TrunkId, reason: DisconnectReason) -> CallEnd {
    CallEnd {
        id: call,
        account_id: harness.account.id,
        trunk_id: trunk,
        from: Party::from_sip_user("+15550100001"),
        to: Party::from_sip_user("+15550100002"),
        direction: Direction::Inbound,
        carrier: None,
        status: CallStatus::Disconnected,
        reason,
        reason_text: None,
        start_time: harness.now(),
        answer_time: Some(harness.now()),
        end_time: harness.now(),
        metrics: CallMetrics {
            ai_latency_ms: Some(420),
            counts: MediaCounts::default(),
            ..CallMetrics::default()
        },
        turns: Vec::new(),
        caller_actions: Vec::new(),
        sip_trace: String::new(),
        sip: SipFacts::default(),
    }
}

/// Causes the events of a call that ends well and of one that fails.
async fn cause_call_events(harness: &Harness, master: &str) {
    let trunk = harness.trunk(master, "support-01").await;
    for (reason, error_message) in [
        (DisconnectReason::NormalDisconnect, None),
        (DisconnectReason::AiProviderError, Some("the agent sent nonsense".to_owned())),
    ] {
        let call = harness.call(trunk, "+15550100001").await;
        let lost = AgentEvent::Disconnected { reason: "call_ended", error_message };
        for news in [AgentEvent::Connected, lost] {
            harness.store.agent_event(harness.account.id, call, trunk, &news).await.unwrap();
        }
        harness.store.call_ended(&ended(harness, call, trunk, reason)).await.unwrap();
    }
    let gone: TrunkId = "conn_00000000000000000000000000".parse().unwrap();
    let call = harness.call(trunk, "+15550100001").await;
    harness.store.agent_event(harness.account.id, call, gone, &AgentEvent::Connected).await.unwrap();
}

async fn cause_key_events(harness: &Harness, master: &str) {
    let draft = json!({"name": "Billing", "preset": "testing"});
    let created = harness.post("/v1/keys", master, draft).await.expect(201).json();
    let (id, path) =
        (created["id"].as_str().unwrap(), format!("/v1/keys/{}", created["id"].as_str().unwrap()));
    harness.post(&format!("{path}/rotate"), master, json!({"grace_seconds": 60})).await.expect(200);
    let key: KeyId = id.parse().unwrap();
    harness.store.record_security_signal(SecuritySignal::SeenInClear { key, address: address(CALLER) });
    assert_eq!(harness.store.raise_security_alerts().await.unwrap(), 1);
    for action in ["pause", "resume"] {
        harness.ask("POST", &format!("{path}/{action}"), master, None).await.expect(200);
    }
    harness.post(&format!("{path}/revoke"), master, json!({})).await.expect(200);
}

#[tokio::test]
async fn every_emitted_event_matches_its_documented_schema() {
    let harness = Harness::new().await;
    let master = harness.master().await;
    let hook = json!({"url": "https://93.184.215.14/a"});
    let all = harness.post("/v1/webhooks", &master, hook.clone()).await.expect(201).json();
    let other = harness.post("/v1/webhooks", &master, hook).await.expect(201).json();
    let path = |webhook: &Value| format!("/v1/webhooks/{}", webhook["id"].as_str().unwrap());
    cause_call_events(&harness, &master).await;
    cause_key_events(&harness, &master).await;
    harness.ask("POST", &format!("{}/test", path(&all)), &master, None).await.expect(202);
    harness.ask("PATCH", &path(&other), &master, Some(json!({"status": "disabled"}))).await.expect(200);

    let schemas = schemas();
    let list = harness.get(&format!("{}/deliveries?limit=100", path(&all)), &master).await.expect(200).json();
    let mut seen = BTreeSet::new();
    for delivery in list["deliveries"].as_array().unwrap() {
        let one = format!("/v1/deliveries/{}", delivery["id"].as_str().unwrap());
        let event = harness.get(&one, &master).await.expect(200).json()["payload"].clone();
        let kind = event["event"].as_str().unwrap();
        assert_eq!(mismatches(&event, &schemas[kind], kind), [""; 0]);
        seen.insert(kind.to_owned());
    }
    let every: BTreeSet<_> = EventKind::ALL.iter().map(|kind| kind.name().to_owned()).collect();
    assert_eq!(seen, every, "every kind needs an example in this test");
    assert_eq!(every, schemas.into_keys().collect(), "and a schema in the document");
}
