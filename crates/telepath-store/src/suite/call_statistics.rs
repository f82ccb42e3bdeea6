//! Statistics of calls: each call is counted once, in the transaction that ends it, and they outlive the calls.

use std::sync::Arc;
use std::time::Duration;

use telepath_core::analytics::{CallFigures, CallGrouping, CallRange, MAX_PAIRS, Measure, OTHER};
use telepath_core::call::{CallStatus, DisconnectReason};
use telepath_core::clock::Timestamp;
use telepath_core::id::{AccountId, TrunkId};
use telepath_core::ports::CallControl as _;
use telepath_core::reach::{Reach, TrunkAccess};
use telepath_core::usage::UsageSpan;

use super::calls::{ended, start};
use super::trunks::make;
use super::{Fixture, NOON, behaviour, select};
use crate::call::CallGroups;
use crate::retention::Retention;
use crate::store::Store;

behaviour! {
    a_call_is_counted_once_in_its_minute_hour_and_day,
    statistics_are_grouped_by_each_dimension,
    statistics_outlive_the_calls,
    concurrent_calls_of_a_trunk_are_all_counted,
    the_names_of_carriers_are_bounded,
    a_refused_call_is_counted_without_its_carrier,
    a_call_that_a_crash_left_live_is_counted_once,
    statistics_of_another_account_or_trunk_are_not_visible,
    statistics_expire_by_span,
    further_groups_of_a_series_are_added_up,
}

const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);

fn range(span: UsageSpan) -> CallRange {
    CallRange { trunks: Vec::new(), span, start: span.start_of(NOON), end: NOON.plus(DAY) }
}

async fn groups(store: &Store, reach: impl Into<Reach>, by: Option<CallGrouping>) -> CallGroups {
    store.call_groups(reach, &range(UsageSpan::Hour), by).await.unwrap().unwrap()
}

async fn total(store: &Store, reach: impl Into<Reach>, range: &CallRange) -> CallFigures {
    let groups = store.call_groups(reach, range, None).await.unwrap().unwrap();
    groups.into_values().next().unwrap_or_default()
}

/// A call that started at a time, with an AI latency.
async fn call(
    store: &Store,
    account: AccountId,
    trunk: TrunkId,
    at: Timestamp,
    reason: DisconnectReason,
    carrier: &str,
) {
    let mut begun = start(store, account, trunk);
    (begun.start_time, begun.answer_time) = (at, at.plus(Duration::from_millis(200)));
    begun.id = store.new_id(at).unwrap();
    begun.carrier = Some(carrier.to_owned());
    let reached = reason == DisconnectReason::NormalDisconnect;
    let status = if reached { CallStatus::Disconnected } else { CallStatus::Failed };
    let mut end = ended(&begun, status, reason);
    end.metrics.ai_latency_ms = Some(400);
    store.call_ended(&end).await.unwrap();
    store.call_ended(&end).await.unwrap();
}

async fn a_call_is_counted_once_in_its_minute_hour_and_day(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let trunk = make(&fixture, &store, account, "counted").await.trunk.id;
    let begun = start(&store, account, trunk);
    store.call_started(&begun).await.unwrap();
    assert!(groups(&store, account, None).await.is_empty(), "a live call is not counted");
    for at in [NOON, NOON.plus(Duration::from_mins(1)), NOON.plus(HOUR)] {
        call(&store, account, trunk, at, DisconnectReason::NormalDisconnect, "Example").await;
    }
    for (span, expected) in [
        (UsageSpan::Minute, vec![(0, 1), (1, 1), (60, 1)]),
        (UsageSpan::Hour, vec![(0, 2), (60, 1)]),
        (UsageSpan::Day, vec![(0, 3)]),
    ] {
        let all = [String::new()];
        let buckets = store.call_buckets(account, &range(span), None, &all).await.unwrap().unwrap();
        let first = span.start_of(NOON);
        let seen: Vec<_> = buckets
            .iter()
            .map(|((start, _), figures)| (start.since(first).as_secs() / 60, figures.calls()))
            .collect();
        assert_eq!(seen, expected, "{span}");
    }
    let figures = total(&store, account, &range(UsageSpan::Day)).await;
    assert_eq!((figures.reached, figures.measure(Measure::AiLatency).percentile(50)), (3, Some(400)));
    assert_eq!(figures.measure(Measure::Duration).extremes(), Some((11, 11)));
    store.close().await;
}

async fn statistics_are_grouped_by_each_dimension(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let one = make(&fixture, &store, account, "one").await.trunk.id;
    let two = make(&fixture, &store, account, "two").await.trunk.id;
    call(&store, account, one, NOON, DisconnectReason::NormalDisconnect, "A").await;
    call(&store, account, one, NOON, DisconnectReason::NoAnswer, "B").await;
    call(&store, account, two, NOON, DisconnectReason::NormalDisconnect, "A").await;
    let (one, two) = (one.to_string(), two.to_string());
    for (grouping, expected) in [
        (CallGrouping::Trunk, vec![(one.as_str(), 2), (two.as_str(), 1)]),
        (CallGrouping::Provider, vec![("custom", 3)]),
        (CallGrouping::Model, vec![("", 3)]),
        (CallGrouping::Carrier, vec![("A", 2), ("B", 1)]),
        (CallGrouping::Reason, vec![("no_answer", 1), ("normal_disconnect", 2)]),
    ] {
        let found = groups(&store, account, Some(grouping)).await;
        let mut seen: Vec<_> = found.iter().map(|(name, figures)| (name.as_str(), figures.calls())).collect();
        seen.sort_unstable_by_key(|(_, calls)| std::cmp::Reverse(*calls));
        let mut expected = expected;
        expected.sort_unstable_by_key(|(_, calls)| std::cmp::Reverse(*calls));
        assert_eq!(seen, expected, "{grouping}");
    }
    store.close().await;
}

async fn statistics_outlive_the_calls(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let trunk = make(&fixture, &store, account, "old").await.trunk.id;
    call(&store, account, trunk, NOON, DisconnectReason::NormalDisconnect, "A").await;
    fixture.clock.advance(DAY * 30);
    let keep = Retention { calls: Some(DAY), ..Retention::default() };
    assert_eq!(store.expire_usage(keep).await.unwrap().calls, 1);
    store.delete_trunk(account, trunk, fixture.origin()).await.unwrap();
    let groups = groups(&store, account, Some(CallGrouping::Trunk)).await;
    assert_eq!(groups[&trunk.to_string()].calls(), 1);
    store.close().await;
}

async fn concurrent_calls_of_a_trunk_are_all_counted(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let trunk = make(&fixture, &store, account, "busy").await.trunk.id;
    let mut tasks = Vec::new();
    for _ in 0..20 {
        let store = Arc::clone(&store);
        tasks.push(tokio::spawn(async move {
            call(&store, account, trunk, NOON, DisconnectReason::NormalDisconnect, "A").await;
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(total(&store, account, &range(UsageSpan::Day)).await.calls(), 20);
    store.close().await;
}

async fn the_names_of_carriers_are_bounded(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let trunk = make(&fixture, &store, account, "flooded").await.trunk.id;
    for number in 0..MAX_PAIRS + 5 {
        // Before and behind the name of the others in the order of the database.
        let carrier = format!("{}/{number}", if number % 2 == 0 { "agent" } else { "zoiper" });
        call(&store, account, trunk, NOON, DisconnectReason::NormalDisconnect, &carrier).await;
    }
    for known in ["agent/0", "zoiper/31"] {
        call(&store, account, trunk, NOON, DisconnectReason::NormalDisconnect, known).await;
    }
    let carriers = groups(&store, account, Some(CallGrouping::Carrier)).await;
    assert_eq!(carriers.len(), MAX_PAIRS + 1);
    let calls = [OTHER, "agent/0", "zoiper/31"].map(|carrier| carriers[carrier].calls());
    assert_eq!(calls, [5, 2, 2]);
    let tomorrow = NOON.plus(DAY);
    call(&store, account, trunk, tomorrow, DisconnectReason::NormalDisconnect, "agent/new").await;
    let later = CallRange { start: tomorrow, end: tomorrow.plus(HOUR), ..range(UsageSpan::Hour) };
    let carriers = store.call_groups(account, &later, Some(CallGrouping::Carrier)).await.unwrap().unwrap();
    assert_eq!(carriers.keys().collect::<Vec<_>>(), ["agent/new"], "the bound is that of a day");
    store.close().await;
}

async fn a_refused_call_is_counted_without_its_carrier(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let trunk = make(&fixture, &store, account, "refused").await.trunk.id;
    call(&store, account, trunk, NOON, DisconnectReason::Rejected, "forged").await;
    let carriers = groups(&store, account, Some(CallGrouping::Carrier)).await;
    assert_eq!(carriers.keys().collect::<Vec<_>>(), [""]);
    assert_eq!(carriers[""].failed, 1);
    store.close().await;
}

async fn a_call_that_a_crash_left_live_is_counted_once(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let trunk = make(&fixture, &store, account, "crashed").await.trunk.id;
    let begun = start(&store, account, trunk);
    store.call_started(&begun).await.unwrap();
    fixture.clock.advance(DAY);
    // As in a crash, the store is not closed; the thread that renews its lease just stops.
    store.cluster.isolate().await;
    store.backend.close().await;
    let store = fixture.open().await;
    let late = ended(&begun, CallStatus::Disconnected, DisconnectReason::NormalDisconnect);
    store.call_ended(&late).await.unwrap();
    let reasons = groups(&store, account, Some(CallGrouping::Reason)).await;
    assert_eq!(reasons.keys().collect::<Vec<_>>(), ["unknown"]);
    assert_eq!(reasons["unknown"].calls(), 1);
    store.close().await;
}

async fn statistics_of_another_account_or_trunk_are_not_visible(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let other = fixture.other_account(&store).await;
    let mine = make(&fixture, &store, account, "mine").await.trunk.id;
    let wide = make(&fixture, &store, account, "wide").await.trunk.id;
    for trunk in [mine, wide, wide] {
        call(&store, account, trunk, NOON, DisconnectReason::NormalDisconnect, "A").await;
    }
    let all = range(UsageSpan::Hour);
    let only = CallRange { trunks: vec![wide], ..all.clone() };
    let limited = || Reach { account, trunks: TrunkAccess::of(vec![mine]) };
    assert_eq!(total(&store, account, &all).await.calls(), 3);
    assert_eq!(total(&store, account, &only).await.calls(), 2);
    assert_eq!(total(&store, limited(), &all).await.calls(), 1);
    assert_eq!(total(&store, limited(), &only).await.calls(), 0);
    assert_eq!(total(&store, other, &all).await.calls(), 0);
    store.close().await;
}

async fn statistics_expire_by_span(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let trunk = make(&fixture, &store, account, "expiring").await.trunk.id;
    call(&store, account, trunk, NOON, DisconnectReason::NormalDisconnect, "A").await;
    let left = async || {
        let rows = select(&store, "SELECT span FROM call_statistics ORDER BY span", vec![]).await;
        rows.iter().map(|row| row.text("span").unwrap()).collect::<Vec<_>>()
    };
    let keep = |days: u32| Retention { analytics: DAY * days, ..Retention::default() };
    assert_eq!(store.expire_usage(keep(730)).await.unwrap().statistics, 0);
    assert_eq!(left().await, ["day", "hour", "minute"]);
    fixture.clock.advance(DAY * 3);
    assert_eq!(store.expire_usage(keep(730)).await.unwrap().statistics, 1);
    assert_eq!(left().await, ["day", "hour"]);
    fixture.clock.advance(DAY * 90);
    store.expire_usage(keep(730)).await.unwrap();
    assert_eq!(left().await, ["day"]);
    store.expire_usage(keep(90)).await.unwrap();
    assert!(left().await.is_empty());
    store.close().await;
}

async fn further_groups_of_a_series_are_added_up(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let trunk = make(&fixture, &store, account, "series").await.trunk.id;
    for carrier in ["A", "A", "B", "C"] {
        call(&store, account, trunk, NOON, DisconnectReason::NormalDisconnect, carrier).await;
    }
    let named = ["A".to_owned()];
    let by = Some(CallGrouping::Carrier);
    let buckets = store.call_buckets(account, &range(UsageSpan::Hour), by, &named).await.unwrap().unwrap();
    let seen: Vec<_> =
        buckets.iter().map(|((_, group), figures)| (group.as_str(), figures.calls())).collect();
    assert_eq!(seen, [("A", 2), (OTHER, 2)]);
    store.close().await;
}
