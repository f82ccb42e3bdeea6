//! Statistics of calls as their readers see them.

use std::time::Duration;

use serde_json::{Value, json};
use telepath_core::call::{
    CallEnd, CallMetrics, CallStatus, Direction, DisconnectReason, Party, SipFacts, Speaker, Turn,
};
use telepath_core::id::{CallId, Id as _, TrunkId};
use telepath_core::ports::CallControl as _;

use super::harness::Harness;

/// A call that has just ended.
pub(super) fn end_of_call(
    harness: &Harness,
    trunk: TrunkId,
    latency: u32,
    reason: DisconnectReason,
) -> CallEnd {
    let turn = |speaker, processing_time_ms, interrupted| Turn {
        turn_number: 1,
        speaker,
        started_ms: 0,
        duration_ms: 900,
        processing_time_ms,
        interrupted,
    };
    let reached = reason == DisconnectReason::NormalDisconnect;
    CallEnd {
        id: CallId::generate(harness.now(), harness.store.entropy().as_ref()).unwrap(),
        account_id: harness.account.id,
        trunk_id: trunk,
        from: Party::from_sip_user("+15550100123"),
        to: Party::from_sip_user("support-01"),
        direction: Direction::Inbound,
        carrier: Some("=HYPERLINK(1)".to_owned()),
        status: if reached { CallStatus::Disconnected } else { CallStatus::Failed },
        reason,
        reason_text: None,
        start_time: harness.now(),
        answer_time: reached.then(|| harness.now()),
        end_time: harness.now().plus(Duration::from_mins(1)),
        metrics: CallMetrics {
            ai_latency_ms: reached.then_some(latency),
            gateway_processing_us: reached.then_some(750),
            mos: reached.then_some(4.2),
            ..CallMetrics::default()
        },
        turns: vec![turn(Speaker::Caller, 0, false), turn(Speaker::Agent, latency.into(), true)],
        caller_actions: Vec::new(),
        sip_trace: String::new(),
        sip: SipFacts::default(),
    }
}

async fn ended(harness: &Harness, trunk: TrunkId, latency: u32, reason: DisconnectReason) {
    harness.store.call_ended(&end_of_call(harness, trunk, latency, reason)).await.unwrap();
}

#[tokio::test]
async fn a_summary_has_counts_percentiles_and_groups() {
    let harness = Harness::new().await;
    let key = harness.master().await;
    let trunk = harness.trunk(&key, "support-01").await;
    for latency in [400, 500, 600] {
        ended(&harness, trunk, latency, DisconnectReason::NormalDisconnect).await;
    }
    ended(&harness, trunk, 0, DisconnectReason::NoAnswer).await;
    let summary = harness.get("/v1/analytics/summary?group_by=reason", &key).await.expect(200).json();
    assert_eq!((&summary["interval"], &summary["group_by"]), (&json!("hour"), &json!("reason")));
    let total = &summary["total"];
    for (pointer, value) in [
        ("/calls", json!(4)),
        ("/reached", json!(3)),
        ("/success_rate", json!(75.0)),
        ("/ai_latency_ms/count", json!(3)),
        ("/ai_latency_ms/mean", json!(500.0)),
        ("/ai_latency_ms/max", json!(600)),
        ("/turn_wait_ms/count", json!(3)),
        ("/gateway_processing_us/p50", json!(750)),
        ("/carrier_lag_ms/p50", Value::Null),
        ("/duration_seconds/p99", json!(60)),
        ("/mos/mean", json!(4.2)),
        ("/mos/clean", json!(3)),
        ("/interruptions/agent_interrupted", json!(4)),
    ] {
        assert_eq!(total.pointer(pointer), Some(&value), "{pointer}");
    }
    let p50 = total["ai_latency_ms"]["p50"].as_u64().unwrap();
    assert!((484..=516).contains(&p50), "{p50}");
    let groups: Vec<_> = summary["groups"].as_array().unwrap().iter().map(|group| &group["group"]).collect();
    assert_eq!(groups, ["normal_disconnect", "no_answer"]);
    let plain = harness.get("/v1/analytics/summary", &key).await.expect(200).json();
    assert_eq!((&plain["group_by"], &plain["groups"]), (&Value::Null, &json!([])));
    assert_eq!(plain["total"], summary["total"]);
    let elsewhere = "trunk_id=conn_00000000000000000000000000&trunk_id=conn_00000000000000000000000001";
    let none = harness.get(&format!("/v1/analytics/summary?{elsewhere}"), &key).await.expect(200).json();
    assert_eq!((&none["total"]["calls"], &none["total"]["success_rate"]), (&json!(0), &Value::Null));
}

#[tokio::test]
async fn a_timeseries_has_every_bucket_of_each_series() {
    let harness = Harness::new().await;
    let key = harness.master().await;
    let trunk = harness.trunk(&key, "support-01").await;
    ended(&harness, trunk, 400, DisconnectReason::NormalDisconnect).await;
    harness.pass(3600);
    ended(&harness, trunk, 400, DisconnectReason::NormalDisconnect).await;
    ended(&harness, trunk, 400, DisconnectReason::NoAnswer).await;
    let series = async |query: &str| {
        let body = harness.get(&format!("/v1/analytics/timeseries?{query}"), &key).await.expect(200).json();
        let of = |series: &Value| {
            let buckets = series["buckets"].as_array().unwrap();
            let calls = buckets.iter().map(|bucket| bucket["statistics"]["calls"].as_u64().unwrap());
            (series["group"].as_str().unwrap().to_owned(), calls.collect::<Vec<_>>())
        };
        body["series"].as_array().unwrap().iter().map(of).collect::<Vec<_>>()
    };
    let whole = series("").await;
    assert_eq!((whole.len(), whole[0].0.as_str(), whole[0].1.len()), (1, "", 24));
    assert_eq!(whole[0].1[22..], [1, 2]);
    let grouped = series("group_by=reason&start_date=2027-01-15T08:00:00Z").await;
    let expected = [("normal_disconnect", vec![1, 1]), ("no_answer", vec![0, 1])];
    assert_eq!(grouped, expected.map(|(group, calls)| (group.to_owned(), calls)));
    assert_eq!(series("interval=day&start_date=2027-01-15").await[0].1, [3]);
    for wrong in [
        "interval=week",
        "group_by=colour",
        "interval=minute&start_date=2027-01-14",
        "format=xml",
        "trunk_id=x",
    ] {
        harness.get(&format!("/v1/analytics/timeseries?{wrong}"), &key).await.expect(400);
    }
}

#[tokio::test]
async fn statistics_as_csv_hold_no_formulas() {
    let harness = Harness::new().await;
    let key = harness.master().await;
    let trunk = harness.trunk(&key, "support-01").await;
    ended(&harness, trunk, 400, DisconnectReason::NormalDisconnect).await;
    let csv = harness.get("/v1/analytics/summary?group_by=carrier&format=csv", &key).await.expect(200);
    assert_eq!(csv.header("content-type"), "text/csv; charset=utf-8");
    assert_eq!(csv.header("content-disposition"), "attachment; filename=\"analytics.csv\"");
    let text = String::from_utf8(csv.body.to_vec()).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].starts_with("\"group\",\"calls\",\"reached\""), "{text}");
    assert!(lines[1].starts_with("\"'=HYPERLINK(1)\",\"1\",\"1\",\"0\",\"100.000\""), "{text}");
    assert_eq!(lines.len(), 2);
    let path = "/v1/analytics/timeseries?format=csv&interval=day&start_date=2027-01-15";
    let text = String::from_utf8(harness.get(path, &key).await.expect(200).body.to_vec()).unwrap();
    assert!(text.lines().nth(1).unwrap().starts_with("\"2027-01-15T00:00:00.000Z\",\"\",\"1\""), "{text}");
}

#[tokio::test]
async fn a_comparison_names_no_better_trunk_with_few_calls() {
    let harness = Harness::new().await;
    let key = harness.master().await;
    let (a, b) = (harness.trunk(&key, "a-01").await, harness.trunk(&key, "b-01").await);
    let outcome = async || {
        let path = format!("/v1/analytics/comparison?a={a}&b={b}");
        let body = harness.get(&path, &key).await.expect(200).json();
        let figures = body["figures"].as_array().unwrap().clone();
        figures.into_iter().find(|figure| figure["figure"] == "ai_latency_ms").unwrap()
    };
    assert_eq!(outcome().await["difference"], Value::Null);
    for call in 0..49 {
        ended(&harness, a, 600 + call % 7, DisconnectReason::NormalDisconnect).await;
        ended(&harness, b, 500 + call % 7, DisconnectReason::NormalDisconnect).await;
    }
    let few = outcome().await;
    assert_eq!((&few["outcome"], &few["difference"]), (&json!("too_few_calls"), &json!(-100.0)));
    ended(&harness, a, 603, DisconnectReason::NormalDisconnect).await;
    ended(&harness, b, 503, DisconnectReason::NormalDisconnect).await;
    let enough = outcome().await;
    assert_eq!(enough["outcome"], "b_better");
    assert_eq!((&enough["a_count"], &enough["b_count"]), (&json!(50), &json!(50)));
    assert!(
        enough["low"].as_f64().unwrap() < -100.0 && enough["high"].as_f64().unwrap() > -102.0,
        "{enough}"
    );
    let missing = harness.get("/v1/analytics/comparison", &key).await.expect(400);
    assert_eq!(missing.code(), "MISSING_REQUIRED");
    harness.get(&format!("/v1/analytics/comparison?a={a}&b={a}"), &key).await.expect(400);
}

#[tokio::test]
async fn statistics_are_limited_to_the_trunks_of_the_key() {
    let harness = Harness::new().await;
    let key = harness.master().await;
    let (mine, other) = (harness.trunk(&key, "mine-01").await, harness.trunk(&key, "other-01").await);
    for trunk in [mine, other, other] {
        ended(&harness, trunk, 400, DisconnectReason::NormalDisconnect).await;
    }
    let limited =
        harness.key(json!({"preset": "custom", "scopes": ["analytics:read"], "trunk_ids": [mine]})).await;
    let summary = harness.get("/v1/analytics/summary?group_by=trunk", &limited).await.expect(200).json();
    assert_eq!((&summary["total"]["calls"], &summary["groups"][0]["group"]), (&json!(1), &json!(mine)));
    let compared = harness.get(&format!("/v1/analytics/comparison?a={mine}&b={other}"), &limited).await;
    assert_eq!(compared.expect(200).json()["b"]["statistics"]["calls"], 0);
}
