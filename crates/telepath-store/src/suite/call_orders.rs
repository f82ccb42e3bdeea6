//! Lists of calls while calls are live, and the indexes that serve them.

use std::sync::Arc;
use std::time::Duration;

use telepath_core::call::{CallFilter, CallSortKey};
use telepath_core::page::{PageRequest, PageStart};
use telepath_core::ports::CallControl as _;

use super::calls::{five_calls, start};
use super::trunks::make;
use super::{Fixture, NOON, behaviour};
use crate::options::Database;

behaviour! {
    a_cursor_by_duration_stays_correct_while_calls_are_live,
    lists_by_duration_and_latency_are_read_in_the_order_of_an_index,
}

async fn a_cursor_by_duration_stays_correct_while_calls_are_live(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let trunk = make(&fixture, &store, account, "growing").await.trunk.id;
    let mut ids = five_calls(&store, account, trunk).await;
    let mut second = start(&store, account, trunk);
    second.start_time = NOON.plus(Duration::from_secs(9));
    second.answer_time = second.start_time;
    second.id = store.new_id(second.start_time).unwrap();
    store.call_started(&second).await.unwrap();
    ids.push(second.id);
    for (ascending, expected) in [(false, [3, 2, 1, 0, 4, 5]), (true, [0, 1, 2, 3, 5, 4])] {
        let mut walked = Vec::new();
        let mut from = Some(PageStart::Offset(0));
        while let Some(start) = from {
            let filter = CallFilter { sort: CallSortKey::Duration, ascending, ..CallFilter::default() };
            let page = PageRequest::starting(1, start).unwrap();
            let listed = store.list_calls(account, filter, page).await.unwrap();
            walked.extend(listed.items.iter().map(|call| ids.iter().position(|id| *id == call.id).unwrap()));
            from = listed.position.next.map(PageStart::After);
            // The live calls become longer than those that ended.
            fixture.clock.advance(Duration::from_secs(20));
        }
        assert_eq!(walked, expected, "ascending={ascending}");
    }
    store.close().await;
}

async fn lists_by_duration_and_latency_are_read_in_the_order_of_an_index(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    if matches!(fixture.database, Database::Sqlite { .. }) {
        for (order, index) in [
            ("CASE WHEN status = 'connected' THEN -answer_time ELSE duration_seconds END", "calls_duration"),
            ("COALESCE(carrier_lag_ms, -1)", "calls_carrier_lag"),
            ("COALESCE(ai_latency_ms, -1)", "calls_ai_latency"),
            ("COALESCE(gateway_processing_ms, -1)", "calls_gateway_processing"),
        ] {
            let sql = format!(
                "EXPLAIN QUERY PLAN SELECT id FROM calls WHERE account_id = 'a' ORDER BY {order} DESC, id DESC LIMIT 20"
            );
            let mut db = store.backend.read().await.unwrap();
            let rows = db.fetch_all(sql, vec![]).await.unwrap();
            let plan: Vec<_> = rows.iter().map(|row| row.text("detail").unwrap()).collect();
            assert!(plan.len() == 1 && plan[0].contains(index), "{plan:?}");
        }
    }
    store.close().await;
}
