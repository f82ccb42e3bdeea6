//! Calls through the API.

use serde_json::json;
use telepath_core::call::DisconnectReason;
use telepath_core::ports::CallControl as _;

use super::harness::Harness;

#[tokio::test]
async fn a_call_has_its_details_turns_and_sip_trace() {
    let harness = Harness::new().await;
    let key = harness.master().await;
    let trunk = harness.trunk(&key, "support-01").await;
    let call = harness.call(trunk, "+15550100123").await;
    harness.pass(7);
    let body = harness.get(&format!("/v1/calls/{call}"), &key).await.expect(200).json();
    for (member, value) in [
        ("id", json!(call)),
        ("trunk_id", json!(trunk)),
        ("from", json!("+15550100123")),
        ("to", json!("support-01")),
        ("direction", json!("inbound")),
        ("carrier", json!(null)),
        ("status", json!("connected")),
        ("duration_seconds", json!(7)),
        ("start_time", json!("2027-01-15T08:00:00.000Z")),
        ("answer_time", json!("2027-01-15T08:00:00.000Z")),
        ("end_time", json!(null)),
        ("disconnect_reason", json!(null)),
        ("ai_latency_ms", json!(null)),
        ("turns", json!([])),
    ] {
        assert_eq!(body[member], value, "{member}");
    }
    assert_eq!(body["metrics"]["packet_loss_percent"], json!(null));
    let list = harness.get("/v1/calls", &key).await.expect(200).json();
    assert_eq!(list["calls"][0]["id"], body["id"]);
    assert_eq!(list["calls"][0].get("sip_trace"), None);
}

#[tokio::test]
async fn lists_are_filtered_sorted_and_paged() {
    let harness = Harness::new().await;
    let key = harness.master().await;
    let trunk = harness.trunk(&key, "support-01").await;
    for from in ["+15550100001", "+15550100002", "+15550100003"] {
        harness.call(trunk, from).await;
        harness.pass(60);
    }
    let parties = async |query: &str| {
        let body = harness.get(&format!("/v1/calls?{query}"), &key).await.expect(200).json();
        let calls = body["calls"].as_array().unwrap();
        calls.iter().map(|call| call["from"].as_str().unwrap()[9..].to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(parties("").await, ["003", "002", "001"]);
    assert_eq!(parties("sort=start_time").await, ["001", "002", "003"]);
    assert_eq!(parties("sort=-duration_seconds&limit=1").await, ["001"]);
    assert_eq!(parties("from=%2B15550100002").await, ["002"]);
    assert_eq!(parties("from=+15550100002").await, ["002"]);
    assert_eq!(parties("start_date=2027-01-15T08:01:00Z&end_date=2027-01-15T08:01:00Z").await, ["002"]);
    assert_eq!(parties("start_date=2027-01-15&end_date=2027-01-15").await.len(), 3);
    assert!(parties("end_date=2027-01-14").await.is_empty());
    assert_eq!(parties("min_duration_seconds=150").await, ["001"]);
    assert!(parties("status=failed").await.is_empty());
    assert!(parties("reason=normal_disconnect").await.is_empty());
    for unmeasured in ["min_carrier_lag_ms", "min_ai_latency_ms", "min_gateway_ms"] {
        assert!(parties(&format!("{unmeasured}=0")).await.is_empty(), "{unmeasured}");
    }
    for wrong in ["reason=bored", "min_gateway_ms=-1", "min_carrier_lag_ms=x", "min_lag_ms=1"] {
        harness.get(&format!("/v1/calls?{wrong}"), &key).await.expect(400);
    }
    assert_eq!(parties(&format!("trunk_id={trunk}")).await.len(), 3);
    assert!(parties("trunk_id=conn_00000000000000000000000000").await.is_empty());
}

#[tokio::test]
async fn a_live_call_is_hung_up_once() {
    let harness = Harness::new().await;
    let key = harness.master().await;
    let trunk = harness.trunk(&key, "support-01").await;
    let call = harness.call(trunk, "+15550100123").await;
    let path = format!("/v1/calls/{call}/hangup");
    let asked = harness.ask("POST", &path, &key, None).await.expect(202).json();
    assert_eq!(asked, json!({"id": call, "requested_at": "2027-01-15T08:00:00.000Z"}));
    assert_eq!(*harness.media.asked.lock().unwrap(), [(call.to_string(), DisconnectReason::ApiHangup)]);
    let again = harness.ask("POST", &path, &key, None).await.expect(409);
    assert_eq!(again.code(), "CALL_NOT_LIVE");
    let missing = harness.ask("POST", "/v1/calls/call_x/hangup", &key, None).await.expect(404);
    assert_eq!(missing.message(), "Call 'call_x' not found");
}

#[tokio::test]
async fn the_sip_messages_of_a_call_are_records() {
    let harness = Harness::new().await;
    let key = harness.master().await;
    let trunk = harness.trunk(&key, "support-01").await;
    let call = harness.call(trunk, "+15550100123").await;
    let path = format!("/v1/calls/{call}/sip-trace");
    let live = harness.get(&path, &key).await.expect(200).json();
    assert_eq!(live, json!({"call_id": call, "messages": []}));
    let mut end = super::analytics::end_of_call(&harness, trunk, 400, DisconnectReason::NormalDisconnect);
    end.id = call;
    end.sip_trace = "+0.000s received from 198.51.100.7:5060\nINVITE sip:a@b SIP/2.0\r\nCSeq: 1 INVITE\n\n\
        … 3 messages were left out\n\n+0.042s sent to 198.51.100.7:5060\nSIP/2.0 200 OK\r\nCSeq: 1 INVITE\n\n"
        .to_owned();
    harness.store.call_ended(&end).await.unwrap();
    let trace = harness.get(&path, &key).await.expect(200).json();
    assert_eq!(
        trace["messages"],
        json!([
            {"at_ms": 0, "direction": "received", "peer": "198.51.100.7:5060", "method": "INVITE", "status": null,
                "first_line": "INVITE sip:a@b SIP/2.0", "text": "INVITE sip:a@b SIP/2.0\r\nCSeq: 1 INVITE",
                "is_cut": false, "omitted_before": 0},
            {"at_ms": 42, "direction": "sent", "peer": "198.51.100.7:5060", "method": "INVITE", "status": 200,
                "first_line": "SIP/2.0 200 OK", "text": "SIP/2.0 200 OK\r\nCSeq: 1 INVITE", "is_cut": false,
                "omitted_before": 3}
        ])
    );
    let details = harness.get(&format!("/v1/calls/{call}"), &key).await.expect(200).json();
    assert_eq!(details["sip_trace"], end.sip_trace, "the text stays");
}

#[tokio::test]
async fn a_call_is_erased_when_it_has_ended() {
    let harness = Harness::new().await;
    let key = harness.master().await;
    let trunk = harness.trunk(&key, "support-01").await;
    let call = harness.call(trunk, "+15550100123").await;
    let path = format!("/v1/calls/{call}");
    assert_eq!(harness.ask("DELETE", &path, &key, None).await.expect(409).code(), "CALL_IS_LIVE");
    let mut end = super::analytics::end_of_call(&harness, trunk, 400, DisconnectReason::NormalDisconnect);
    end.id = call;
    harness.store.call_ended(&end).await.unwrap();
    harness.ask("DELETE", &path, &key, None).await.expect(204);
    for method in ["GET", "DELETE"] {
        assert_eq!(harness.ask(method, &path, &key, None).await.expect(404).code(), "CALL_NOT_FOUND");
    }
}

#[tokio::test]
async fn a_number_is_erased_and_the_trail_does_not_hold_it() {
    let harness = Harness::new().await;
    let key = harness.master().await;
    let trunk = harness.trunk(&key, "support-01").await;
    let end = super::analytics::end_of_call(&harness, trunk, 400, DisconnectReason::NormalDisconnect);
    harness.store.call_ended(&end).await.unwrap();
    for wrong in [
        json!({}),
        json!({"number": "0100123"}),
        json!({"number": "+1555"}),
        json!({"number": 5}),
        json!({"number": "+15550100123", "cursor": "x"}),
        json!({"number": "+15550100123", "all": true}),
    ] {
        harness.post("/v1/calls/erase", &key, wrong).await.expect(400);
    }
    let body = json!({"number": "+15550100123"});
    let erased = harness.post("/v1/calls/erase", &key, body).await.expect(200).json();
    let expected = json!({"erased_calls": 1, "cleared_calls": 0, "live_calls": 0, "next_cursor": null});
    assert_eq!(erased, expected);
    assert_eq!(harness.get("/v1/calls", &key).await.expect(200).json()["pagination"]["total"], 0);
    let trail = harness.get("/v1/audit-events?action=number.erased", &key).await.expect(200);
    assert_eq!(trail.json()["audit_events"][0]["target"], "…23");
    assert!(!String::from_utf8_lossy(&trail.body).contains("15550100123"));
}
