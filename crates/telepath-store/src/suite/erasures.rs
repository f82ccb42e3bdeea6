//! Erasing a call or a number: what goes, what stays, and what is audited.

use std::sync::Arc;

use telepath_core::analytics::CallRange;
use telepath_core::call::{CallFilter, CallStart, CallStatus, DisconnectReason, ErasedNumber, Party};
use telepath_core::id::{AccountId, TrunkId};
use telepath_core::page::PageRequest;
use telepath_core::ports::{AgentEvent, CallControl as _};
use telepath_core::reach::{Reach, TrunkAccess};
use telepath_core::usage::UsageSpan;

use super::calls::{ended, start};
use super::deliveries::{claim, finish};
use super::trunks::make;
use super::webhooks::draft;
use super::{Fixture, NOON, behaviour, events_of, select};
use crate::call::EraseError;
use crate::store::Store;

behaviour! {
    an_erased_call_leaves_no_party_behind,
    a_live_call_is_not_erased,
    calls_beyond_reach_are_not_erased,
    a_number_is_erased_from_every_call,
    a_number_is_erased_in_steps,
}

const NUMBER: &str = "+15550100001";

async fn call(store: &Store, account: AccountId, trunk: TrunkId, from: &str, trace: &str) -> CallStart {
    let mut begun = start(store, account, trunk);
    begun.from = Party::from_sip_user(from);
    store.call_started(&begun).await.unwrap();
    let mut end = ended(&begun, CallStatus::Disconnected, DisconnectReason::NormalDisconnect);
    end.sip_trace = trace.to_owned();
    store.call_ended(&end).await.unwrap();
    begun
}

/// Everything that the database has as text, of tables about calls.
async fn texts(store: &Store) -> String {
    let mut all = String::new();
    for sql in [
        "SELECT from_party || ' ' || to_party || sip || sip_trace || turns AS text FROM calls",
        "SELECT payload AS text FROM outbox_events",
        "SELECT before_json || after_json || target AS text FROM audit_events",
    ] {
        for row in select(store, sql, vec![]).await {
            all.push_str(&row.text("text").unwrap());
        }
    }
    for row in select(store, "SELECT answer FROM webhook_attempts", vec![]).await {
        all.push_str(&String::from_utf8_lossy(&row.bytes("answer").unwrap()));
    }
    all
}

async fn an_erased_call_leaves_no_party_behind(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let trunk = make(&fixture, &store, account, "erased").await.trunk.id;
    let hook = super::webhooks::make(&fixture, &store, account, draft("/a")).await;
    let one = call(&store, account, trunk, NUMBER, "INVITE sip:+15550100001@b").await;
    let said =
        AgentEvent::Disconnected { reason: "call_ended", error_message: Some("said something".into()) };
    store.agent_event(account, one.id, trunk, &said).await.unwrap();
    for claimed in claim(&store, &hook, 10).await {
        finish(&store, &claimed, None).await;
    }
    assert!(texts(&store).await.contains("answer"), "the response of a receiver");
    store.erase_call(account, one.id, fixture.origin()).await.unwrap();
    let left = texts(&store).await;
    for gone in [NUMBER, "+15550100002", "said something", "answer", "INVITE"] {
        assert!(!left.contains(gone), "{gone} is left: {left}");
    }
    assert!(store.get_call(account, one.id).await.unwrap().is_none());
    let events = events_of(&store, &one.id.to_string()).await;
    assert_eq!(events.len(), 3, "events keep their places in the sequence");
    assert!(events.iter().all(|event| event["call_id"] == one.id.to_string()));
    assert_eq!(events[0]["from"], "erased");
    let range = CallRange {
        trunks: vec![],
        span: UsageSpan::Hour,
        start: NOON,
        end: NOON.plus(UsageSpan::Hour.length()),
    };
    let statistics = store.call_groups(account, &range, None).await.unwrap().unwrap();
    assert_eq!(statistics[""].calls(), 1, "statistics stay");
    let sql = "SELECT target FROM audit_events WHERE action = 'call.erased'";
    assert_eq!(select(&store, sql, vec![]).await[0].text("target").unwrap(), one.id.to_string());
    let again = store.erase_call(account, one.id, fixture.origin()).await;
    assert!(matches!(again, Err(EraseError::NotFound)));
    store.close().await;
}

async fn a_live_call_is_not_erased(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let trunk = make(&fixture, &store, account, "live").await.trunk.id;
    let live = start(&store, account, trunk);
    store.call_started(&live).await.unwrap();
    assert!(matches!(store.erase_call(account, live.id, fixture.origin()).await, Err(EraseError::Live)));
    let number = ErasedNumber::parse(NUMBER).unwrap();
    let erased = store.erase_number(account, number, None, fixture.origin()).await.unwrap();
    assert_eq!((erased.erased, erased.live), (0, 1));
    assert!(store.get_call(account, live.id).await.unwrap().is_some());
    assert!(
        select(&store, "SELECT id FROM audit_events WHERE action = 'number.erased'", vec![]).await.is_empty()
    );
    store.close().await;
}

async fn calls_beyond_reach_are_not_erased(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let other = fixture.other_account(&store).await;
    let mine = make(&fixture, &store, account, "mine").await.trunk.id;
    let theirs = make(&fixture, &store, account, "theirs").await.trunk.id;
    let kept = call(&store, account, theirs, NUMBER, "").await;
    let limited = || Reach { account, trunks: TrunkAccess::of(vec![mine]) };
    for reach in [limited(), other.into()] {
        let refused = store.erase_call(reach.clone(), kept.id, fixture.origin()).await;
        assert!(matches!(refused, Err(EraseError::NotFound)));
        let number = ErasedNumber::parse(NUMBER).unwrap();
        let erased = store.erase_number(reach, number, None, fixture.origin()).await.unwrap();
        assert_eq!((erased.erased, erased.cleared, erased.live), (0, 0, 0));
    }
    assert!(store.get_call(account, kept.id).await.unwrap().is_some());
    store.close().await;
}

async fn a_number_is_erased_from_every_call(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let trunk = make(&fixture, &store, account, "numbers").await.trunk.id;
    for from in [NUMBER, "15550100001", "0015550100001"] {
        call(&store, account, trunk, from, "").await;
    }
    let diverted = call(&store, account, trunk, "+15550100009", "Diversion: <sip:+15550100001@c>").await;
    let longer = call(&store, account, trunk, "+155501000017", "").await;
    let other = call(&store, account, trunk, "+15550100008", "INVITE sip:x@b").await;
    let number = ErasedNumber::parse(NUMBER).unwrap();
    let erased = store.erase_number(account, number.clone(), None, fixture.origin()).await.unwrap();
    assert_eq!((erased.erased, erased.cleared, erased.live, erased.next), (3, 1, 0, None));
    let left = texts(&store).await;
    assert!(!left.contains("+15550100001@") && !left.contains("\"+15550100001\""), "{left}");
    let cleared = store.get_call(account, diverted.id).await.unwrap().unwrap();
    assert_eq!((cleared.sip_trace.as_str(), cleared.call.from.as_str()), ("", "+15550100009"));
    let untouched = store.get_call(account, other.id).await.unwrap().unwrap();
    assert_eq!(untouched.sip_trace, "INVITE sip:x@b");
    assert!(store.get_call(account, longer.id).await.unwrap().is_some(), "a longer number is another one");
    let sql = "SELECT target, after_json FROM audit_events WHERE action = 'number.erased'";
    let entries = select(&store, sql, vec![]).await;
    assert_eq!((entries.len(), entries[0].text("target").unwrap().as_str()), (1, "…01"));
    let after: serde_json::Value = entries[0].json("after_json").unwrap();
    assert_eq!(after, serde_json::json!({ "erased_calls": 3, "cleared_calls": 1 }));
    let again = store.erase_number(account, number, None, fixture.origin()).await.unwrap();
    assert_eq!((again.erased, again.cleared), (0, 0));
    store.close().await;
}

async fn a_number_is_erased_in_steps(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let trunk = make(&fixture, &store, account, "many").await.trunk.id;
    for number in 0..520_u32 {
        let from = if number % 3 == 0 { NUMBER } else { "+15550100009" };
        let mut end = ended(&start(&store, account, trunk), CallStatus::Failed, DisconnectReason::NoAnswer);
        end.from = Party::from_sip_user(from);
        store.call_ended(&end).await.unwrap();
    }
    let number = ErasedNumber::parse(NUMBER).unwrap();
    let erased = store.erase_number(account, number, None, fixture.origin()).await.unwrap();
    assert_eq!((erased.erased, erased.next), (174, None));
    let left = CallFilter { from: Some(NUMBER.to_owned()), ..CallFilter::default() };
    let left = store.list_calls(account, left, PageRequest::default()).await.unwrap();
    assert!(left.items.is_empty());
    store.close().await;
}
