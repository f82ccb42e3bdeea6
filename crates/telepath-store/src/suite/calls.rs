//! Calls: start, end, events, and filtering and ordering of lists.

use std::sync::Arc;
use std::time::Duration;

use telepath_core::call::{
    CallEnd, CallFilter, CallMetrics, CallSortKey, CallStart, CallStatus, CallerAction, CallerActionKind,
    Direction, DisconnectReason, DtmfMethod, Party, SipFacts, SipStrangers, Speaker, Turn,
};
use telepath_core::clock::Timestamp;
use telepath_core::id::{AccountId, CallId, TrunkId};
use telepath_core::page::{PageRequest, PageStart};
use telepath_core::ports::{AgentEvent, CallControl as _, LiveCalls};
use telepath_core::trunk::Codec;

use super::trunks::make;
use super::{Fixture, NOON, behaviour, events_of, select};
use crate::call::HangUpError;
use crate::call::write::MAX_REJECTED_PER_TRUNK;
use crate::store::Store;

behaviour! {
    a_call_starts_and_ends_with_its_events_in_order,
    a_failed_call_has_no_started_event_and_an_error_event,
    calls_of_another_account_do_not_exist,
    lists_filter_and_sort_with_missing_values_last,
    a_cursor_visits_each_call_once_in_every_order,
    calls_left_live_by_a_crash_end_at_the_last_heartbeat,
    a_hangup_request_is_audited,
    a_hangup_succeeds_if_its_announcement_ended_the_call_first,
    a_refused_call_is_recorded_without_events_up_to_a_bound,
}

pub(super) fn start(store: &Store, account: AccountId, trunk: TrunkId) -> CallStart {
    CallStart {
        id: store.new_id(store.now()).unwrap(),
        account_id: account,
        trunk_id: trunk,
        from: Party::from_sip_user("+15550100001"),
        to: Party::from_sip_user("+15550100002"),
        direction: Direction::Inbound,
        carrier: Some("Example carrier".to_owned()),
        codec: Codec::Pcmu,
        start_time: store.now(),
        answer_time: store.now().plus(Duration::from_millis(200)),
        sip: SipFacts { call_id: Some("abc@carrier.test".to_owned()), ..SipFacts::default() },
    }
}

pub(super) fn ended(start: &CallStart, status: CallStatus, reason: DisconnectReason) -> CallEnd {
    CallEnd {
        id: start.id,
        account_id: start.account_id,
        trunk_id: start.trunk_id,
        from: start.from.clone(),
        to: start.to.clone(),
        direction: start.direction,
        carrier: start.carrier.clone(),
        status,
        reason,
        reason_text: None,
        start_time: start.start_time,
        answer_time: (status == CallStatus::Disconnected).then_some(start.answer_time),
        end_time: start.start_time.plus(Duration::from_millis(10_300)),
        metrics: CallMetrics::default(),
        turns: Vec::new(),
        caller_actions: Vec::new(),
        sip_trace: String::new(),
        sip: start.sip.clone(),
    }
}

fn kinds(events: &[serde_json::Value]) -> Vec<&str> {
    events.iter().map(|event| event["event"].as_str().unwrap()).collect()
}

async fn a_call_starts_and_ends_with_its_events_in_order(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let trunk = make(&fixture, &store, account, "calls").await.trunk.id;
    let begun = start(&store, account, trunk);
    store.agent_event(account, begun.id, trunk, &AgentEvent::Connected).await.unwrap();
    store.call_started(&begun).await.unwrap();
    store.call_started(&begun).await.unwrap();
    fixture.clock.advance(Duration::from_millis(5_300));
    let live = store.get_call(account, begun.id).await.unwrap().unwrap();
    assert_eq!((live.call.status, live.call.duration_seconds), (CallStatus::Connected, 6));
    assert_eq!((live.call.end_time, live.call.disconnect_reason), (None, None));
    let closed = AgentEvent::Disconnected { reason: "call_ended", error_message: None };
    store.agent_event(account, begun.id, trunk, &closed).await.unwrap();
    let mut end = ended(&begun, CallStatus::Disconnected, DisconnectReason::NormalDisconnect);
    end.metrics.ai_latency_ms = Some(420);
    end.metrics.codec_used = Some(Codec::Pcmu);
    end.sip_trace = "INVITE sip:calls@telepath.example SIP/2.0\r\n".to_owned();
    end.turns = vec![Turn {
        turn_number: 1,
        speaker: Speaker::Caller,
        started_ms: 10,
        duration_ms: 900,
        processing_time_ms: 0,
        interrupted: false,
    }];
    end.caller_actions = vec![
        CallerAction {
            at_ms: 1_200,
            kind: CallerActionKind::Dtmf,
            digit: Some('5'),
            method: Some(DtmfMethod::Rtp),
        },
        CallerAction { at_ms: 2_000, kind: CallerActionKind::Hold, digit: None, method: None },
    ];
    store.call_ended(&end).await.unwrap();
    store.call_ended(&CallEnd { reason: DisconnectReason::Unknown, ..end.clone() }).await.unwrap();
    let details = store.get_call(account, begun.id).await.unwrap().unwrap();
    assert_eq!(details.call.duration_seconds, 11, "10.1 seconds rounded up");
    assert_eq!(details.call.disconnect_reason, Some(DisconnectReason::NormalDisconnect));
    assert_eq!((details.turns, details.sip_trace), (end.turns, end.sip_trace));
    assert_eq!(details.caller_actions, end.caller_actions);
    assert_eq!(details.call.metrics, end.metrics);
    let events = events_of(&store, &begun.id.to_string()).await;
    assert_eq!(kinds(&events), ["agent.connected", "call.started", "agent.disconnected", "call.ended"]);
    assert_eq!(events[0]["agent_type"], "custom");
    assert_eq!(events[1]["from"], "+15550100001");
    assert_eq!(events[1]["caller_id"], "+15550100001");
    assert_eq!(events[1]["called_number"], "+15550100002");
    assert_eq!(events[1]["codec"], "PCMU");
    assert_eq!(events[1]["connection_id"], trunk.to_string());
    assert_eq!(events[3]["reason"], "normal_disconnect");
    assert_eq!(events[3]["disconnect_reason"], "normal_disconnect");
    assert_eq!(events[3]["duration_seconds"], 11);
    assert_eq!(events[3]["metrics"]["ai_latency_ms"], 420);
    assert_eq!(events[3]["metrics"]["carrier_lag_ms"], serde_json::Value::Null);
    store.close().await;
}

async fn a_failed_call_has_no_started_event_and_an_error_event(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let trunk = make(&fixture, &store, account, "failing").await.trunk.id;
    let mut end =
        ended(&start(&store, account, trunk), CallStatus::Failed, DisconnectReason::ConnectionFailed);
    end.reason_text = Some("the agent answered 503".to_owned());
    store.call_ended(&end).await.unwrap();
    let call = store.get_call(account, end.id).await.unwrap().unwrap().call;
    assert_eq!((call.status, call.duration_seconds, call.answer_time), (CallStatus::Failed, 0, None));
    assert_eq!(call.reason_text.as_deref(), Some("the agent answered 503"));
    let events = events_of(&store, &end.id.to_string()).await;
    assert_eq!(kinds(&events), ["call.error", "call.ended"]);
    assert_eq!(events[0]["error_code"], "connection_failed");
    assert_eq!(events[0]["error_message"], "the agent answered 503");
    assert_eq!(events[0]["severity"], "critical");
    assert_eq!(events[1]["sequence"], 2);
    store.close().await;
}

async fn calls_of_another_account_do_not_exist(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let other = fixture.other_account(&store).await;
    let trunk = make(&fixture, &store, account, "private").await.trunk.id;
    let begun = start(&store, account, trunk);
    store.call_started(&begun).await.unwrap();
    assert!(store.get_call(other, begun.id).await.unwrap().is_none());
    let page = store.list_calls(other, CallFilter::default(), PageRequest::default()).await.unwrap();
    assert_eq!((page.items.len(), page.count()), (0, Some(0)));
    let mut stolen = ended(&begun, CallStatus::Disconnected, DisconnectReason::AgentHangup);
    stolen.account_id = other;
    store.call_ended(&stolen).await.unwrap();
    let call = store.get_call(account, begun.id).await.unwrap().unwrap().call;
    assert_eq!(call.status, CallStatus::Connected);
    store.close().await;
}

/// Calls that started a second apart: the first failed without metrics, the last is live.
pub(super) async fn five_calls(store: &Store, account: AccountId, trunk: TrunkId) -> Vec<CallId> {
    let mut ids = Vec::new();
    for (number, latency) in [(0_u32, None), (1, Some(300)), (2, Some(100)), (3, Some(200))] {
        let mut begun = start(store, account, trunk);
        begun.start_time = NOON.plus(Duration::from_secs(number.into()));
        begun.id = store.new_id(begun.start_time).unwrap();
        let (status, reason) = match latency {
            None => (CallStatus::Failed, DisconnectReason::NoAnswer),
            Some(_) => (CallStatus::Disconnected, DisconnectReason::NormalDisconnect),
        };
        let mut end = ended(&begun, status, reason);
        end.answer_time = latency.map(|_| end.start_time);
        end.end_time = end.start_time.plus(Duration::from_secs(u64::from(number) * 10));
        end.from = Party::from_sip_user(&format!("+1555010000{number}"));
        end.metrics.ai_latency_ms = latency;
        end.metrics.carrier_lag_ms = latency.map(|latency| 400 - latency);
        end.metrics.gateway_processing_ms = latency.map(|_| number);
        store.call_ended(&end).await.unwrap();
        ids.push(end.id);
    }
    let mut live = start(store, account, trunk);
    live.start_time = NOON.plus(Duration::from_secs(4));
    live.id = store.new_id(live.start_time).unwrap();
    live.answer_time = live.start_time;
    store.call_started(&live).await.unwrap();
    ids.push(live.id);
    ids
}

async fn lists_filter_and_sort_with_missing_values_last(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let trunk = make(&fixture, &store, account, "listed").await.trunk.id;
    let idle = make(&fixture, &store, account, "idle").await.trunk.id;
    let ids = five_calls(&store, account, trunk).await;
    fixture.clock.advance(Duration::from_secs(4 + 25));
    let list = async |filter: CallFilter| -> Vec<usize> {
        let listed = store.list_calls(account, filter, PageRequest::default()).await.unwrap();
        assert_eq!((listed.count(), &listed.position.next), (Some(listed.items.len() as u64), &None));
        listed.items.iter().map(|call| ids.iter().position(|id| *id == call.id).unwrap()).collect()
    };
    let sorted = |sort, ascending| CallFilter { sort, ascending, ..CallFilter::default() };
    assert_eq!(list(CallFilter::default()).await, [4, 3, 2, 1, 0]);
    assert_eq!(list(sorted(CallSortKey::StartTime, true)).await, [0, 1, 2, 3, 4]);
    assert_eq!(list(sorted(CallSortKey::Duration, false)).await, [3, 2, 1, 0, 4], "the live call is last");
    assert_eq!(list(sorted(CallSortKey::Duration, true)).await, [0, 1, 2, 3, 4]);
    assert_eq!(list(sorted(CallSortKey::AiLatency, true)).await, [2, 3, 1, 0, 4]);
    assert_eq!(list(sorted(CallSortKey::AiLatency, false)).await, [1, 3, 2, 4, 0]);
    assert_eq!(list(sorted(CallSortKey::CarrierLag, true)).await, [1, 3, 2, 0, 4]);
    assert_eq!(list(sorted(CallSortKey::GatewayProcessing, true)).await, [1, 2, 3, 0, 4]);
    assert_eq!(list(sorted(CallSortKey::GatewayProcessing, false)).await, [3, 2, 1, 4, 0]);
    let all = CallFilter::default;
    assert_eq!(list(CallFilter { status: Some(CallStatus::Connected), ..all() }).await, [4]);
    assert_eq!(list(CallFilter { min_duration_seconds: Some(20), ..all() }).await, [4, 3, 2]);
    assert_eq!(list(CallFilter { min_ai_latency_ms: Some(200), ..all() }).await, [3, 1]);
    assert_eq!(
        list(CallFilter { min_ai_latency_ms: Some(0), ..all() }).await,
        [3, 2, 1],
        "only measured ones"
    );
    assert_eq!(list(CallFilter { min_carrier_lag_ms: Some(200), ..all() }).await, [3, 2]);
    assert_eq!(list(CallFilter { min_gateway_ms: Some(3), ..all() }).await, [3]);
    let slow = CallFilter { min_ai_latency_ms: Some(150), min_carrier_lag_ms: Some(150), ..all() };
    assert_eq!(list(slow).await, [3]);
    assert_eq!(list(CallFilter { reason: Some(DisconnectReason::NoAnswer), ..all() }).await, [0]);
    assert_eq!(
        list(CallFilter { reason: Some(DisconnectReason::NormalDisconnect), ..all() }).await,
        [3, 2, 1]
    );
    assert_eq!(list(CallFilter { reason: Some(DisconnectReason::Rejected), ..all() }).await, [0_usize; 0]);
    let second = |seconds| Some(NOON.plus(Duration::from_secs(seconds)));
    assert_eq!(list(CallFilter { start_date: second(1), end_date: second(2), ..all() }).await, [2, 1]);
    assert_eq!(list(CallFilter { from: Some("+15550100003".to_owned()), ..all() }).await, [3]);
    assert_eq!(list(CallFilter { to: Some("+15550100002".to_owned()), ..all() }).await.len(), 5);
    assert_eq!(list(CallFilter { trunk_id: Some(idle), ..all() }).await, [0_usize; 0]);
    let page = store.list_calls(account, all(), PageRequest::new(2, 3).unwrap()).await.unwrap();
    assert_eq!((page.items.len(), page.count()), (2, Some(5)));
    assert_eq!(page.items[1].id, ids[0]);
    store.close().await;
}

async fn a_cursor_visits_each_call_once_in_every_order(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let trunk = make(&fixture, &store, account, "walked").await.trunk.id;
    five_calls(&store, account, trunk).await;
    fixture.clock.advance(Duration::from_secs(4 + 25));
    for (sort, ascending) in [
        CallSortKey::StartTime,
        CallSortKey::Duration,
        CallSortKey::CarrierLag,
        CallSortKey::AiLatency,
        CallSortKey::GatewayProcessing,
    ]
    .into_iter()
    .flat_map(|sort| [(sort, false), (sort, true)])
    {
        let filter = CallFilter { sort, ascending, ..CallFilter::default() };
        let whole = store.list_calls(account, filter.clone(), PageRequest::default()).await.unwrap();
        let mut walked = Vec::new();
        let mut start = Some(PageStart::Offset(0));
        while let Some(from) = start {
            let page = PageRequest::starting(2, from).unwrap();
            let listed = store.list_calls(account, filter.clone(), page).await.unwrap();
            walked.extend(listed.items);
            start = listed.position.next.map(PageStart::After);
        }
        assert_eq!(walked, whole.items, "{sort:?} ascending={ascending}");
    }
    store.close().await;
}

async fn calls_left_live_by_a_crash_end_at_the_last_heartbeat(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let trunk = make(&fixture, &store, account, "crashed").await.trunk.id;
    let begun = start(&store, account, trunk);
    store.call_started(&begun).await.unwrap();
    fixture.clock.advance(Duration::from_secs(30));
    store.flush_usage().await.unwrap();
    let alive: Timestamp = store.now();
    fixture.clock.advance(Duration::from_hours(24));
    // As in a crash, the store is not closed; the thread that renews its lease just stops.
    store.cluster.isolate().await;
    store.backend.close().await;
    let store = fixture.open().await;
    let call = store.get_call(account, begun.id).await.unwrap().unwrap().call;
    assert_eq!(call.status, CallStatus::Disconnected);
    assert_eq!(call.disconnect_reason, Some(DisconnectReason::Unknown));
    assert_eq!((call.end_time, call.duration_seconds), (Some(alive), 30));
    let events = events_of(&store, &begun.id.to_string()).await;
    assert_eq!(kinds(&events), ["call.started", "call.ended"]);
    assert_eq!(events[1]["reason"], "unknown");
    store.close().await;
}

async fn a_hangup_request_is_audited(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let call: CallId = store.new_id(store.now()).unwrap();
    store.record_hangup_request(account, call, fixture.origin()).await.unwrap();
    let sql = "SELECT target FROM audit_events WHERE action = 'call.hangup_requested'";
    assert_eq!(select(&store, sql, vec![]).await[0].text("target").unwrap(), call.to_string());
    store.close().await;
}

/// A server that carries a call until its hangup is announced, or no call.
struct EndedByAnnouncement {
    live: bool,
}

impl LiveCalls for EndedByAnnouncement {
    fn is_live(&self, _: CallId) -> bool {
        self.live
    }

    fn hang_up(&self, _: CallId, _: DisconnectReason) -> bool {
        false
    }

    fn hang_up_trunk(&self, _: TrunkId, _: DisconnectReason) -> usize {
        0
    }

    fn sip_strangers(&self) -> SipStrangers {
        SipStrangers::default()
    }
}

async fn a_hangup_succeeds_if_its_announcement_ended_the_call_first(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let trunk = make(&fixture, &store, account, "announced").await.trunk.id;
    let call = start(&store, account, trunk);
    store.call_started(&call).await.unwrap();
    let hang_up = async |live| {
        store.hang_up_call(account, call.id, &EndedByAnnouncement { live }, fixture.origin()).await
    };
    assert!(matches!(hang_up(false).await, Err(HangUpError::NotLive)));
    hang_up(true).await.unwrap();
    let sql = "SELECT id FROM audit_events WHERE action = 'call.hangup_requested'";
    assert_eq!(select(&store, sql, vec![]).await.len(), 1);
    store.close().await;
}

async fn a_refused_call_is_recorded_without_events_up_to_a_bound(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let trunk = make(&fixture, &store, account, "refused").await.trunk.id;
    let answered = start(&store, account, trunk);
    store.call_started(&answered).await.unwrap();
    store
        .call_ended(&ended(&answered, CallStatus::Disconnected, DisconnectReason::NormalDisconnect))
        .await
        .unwrap();
    let events = select(&store, "SELECT id FROM outbox_events", vec![]).await.len();
    let mut newest = None;
    for _ in 0..MAX_REJECTED_PER_TRUNK + 20 {
        let sip = SipFacts {
            call_id: Some("abc@carrier.test".to_owned()),
            source: Some("192.0.2.1:5060".to_owned()),
            rule: Some("number_not_listed".to_owned()),
            status: Some(404),
            peer_reason: None,
            headers: [("X-Queue".to_owned(), "sales".to_owned())].into(),
        };
        fixture.clock.advance(Duration::from_secs(1));
        let refused = CallStart { sip, ..start(&store, account, trunk) };
        store.call_ended(&ended(&refused, CallStatus::Failed, DisconnectReason::Rejected)).await.unwrap();
        newest = Some(refused);
    }
    assert_eq!(select(&store, "SELECT id FROM outbox_events", vec![]).await.len(), events, "no events");
    let refused = select(&store, "SELECT id FROM calls WHERE disconnect_reason = 'rejected'", vec![]).await;
    assert_eq!(refused.len(), usize::try_from(MAX_REJECTED_PER_TRUNK).unwrap());
    let newest = newest.unwrap();
    assert_eq!(store.get_call(account, newest.id).await.unwrap().unwrap().sip, newest.sip);
    assert!(store.get_call(account, answered.id).await.unwrap().is_some(), "other calls are not removed");
    store.close().await;
}
