//! Transactions: a failure leaves nothing and affects nobody else, and sequences have no gaps.

use std::sync::Arc;

use futures_util::future::join_all;
use telepath_core::id::{CallId, TrunkId};
use telepath_core::ports::{AgentEvent, CallControl as _};
use tokio::sync::oneshot;

use super::{Fixture, behaviour, events_of, new_key, select};
use crate::audit::AuditVerdict;
use crate::error::StoreError;
use crate::sql::{Connection, binds};
use crate::store::Store;

behaviour! {
    a_failed_or_panicking_change_does_not_affect_its_group,
    event_and_audit_sequences_have_no_gaps_under_concurrency,
    a_closed_store_refuses_calls_and_keeps_committed_changes,
}

#[derive(Clone, Copy, PartialEq)]
enum Fate {
    Succeeds,
    Fails,
    Panics,
}

async fn insert(store: &Store, number: i64, fate: Fate) -> Result<i64, StoreError> {
    store
        .backend
        .write(move |db: &mut Connection| {
            Box::pin(async move {
                let sql = "INSERT INTO settings (name, value) VALUES ($1, 'x')";
                db.execute(sql, binds![format!("row {number:02}")]).await?;
                if fate == Fate::Panics {
                    // Unlike `panic!`, this prints no backtrace, which would hold up the other transactions.
                    std::panic::resume_unwind(Box::new("as the test wants it"));
                }
                if fate == Fate::Fails { Err(StoreError::Busy) } else { Ok(number) }
            })
        })
        .await
}

async fn a_failed_or_panicking_change_does_not_affect_its_group(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let (open, gate) = oneshot::channel::<()>();
    let held = store.backend.write(move |db: &mut Connection| {
        Box::pin(async move {
            db.execute("INSERT INTO settings (name, value) VALUES ('gate', 'x')", vec![]).await?;
            gate.await.map_err(|_| StoreError::Closed)
        })
    });
    let fate = |number: i64| match number % 3 {
        0 => Fate::Succeeds,
        1 => Fate::Fails,
        _ => Fate::Panics,
    };
    // While the first change blocks the writer, the others queue behind it and become one group.
    let others = join_all((0..30).map(|number| insert(&store, number, fate(number))));
    let release = async {
        tokio::task::yield_now().await;
        open.send(()).unwrap();
    };
    let (first, results, ()) = tokio::join!(held, others, release);
    first.unwrap();
    for (number, result) in (0..).zip(results) {
        match fate(number) {
            Fate::Succeeds => assert_eq!(result.unwrap(), number),
            Fate::Fails => assert!(matches!(result, Err(StoreError::Busy))),
            Fate::Panics => assert!(matches!(result, Err(StoreError::Broken))),
        }
    }
    let rows =
        select(&store, "SELECT name FROM settings WHERE name LIKE 'row %' ORDER BY name", vec![]).await;
    let names: Vec<_> = rows.iter().map(|row| row.text("name").unwrap()).collect();
    let expected: Vec<_> = (0..30).filter(|n| n % 3 == 0).map(|n| format!("row {n:02}")).collect();
    assert_eq!(names, expected);
    store.close().await;
}

async fn event_and_audit_sequences_have_no_gaps_under_concurrency(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let call: CallId = store.new_id(store.now()).unwrap();
    let trunk: TrunkId = store.new_id(store.now()).unwrap();
    let event = AgentEvent::Disconnected { reason: "call_ended", error_message: None };
    let recorded = join_all((0..40).map(|_| store.agent_event(account, call, trunk, &event)));
    let created =
        join_all((0..40).map(|n| store.create_key(account, new_key(&format!("{n}")), fixture.origin())));
    let (recorded, created) = tokio::join!(recorded, created);
    assert!(recorded.iter().all(Result::is_ok) && created.iter().all(Result::is_ok));
    let events = events_of(&store, &call.to_string()).await;
    let numbers: Vec<_> = events.iter().map(|event| event["sequence"].as_i64().unwrap()).collect();
    assert_eq!(numbers, (1..=40).collect::<Vec<_>>());
    let rows = select(&store, "SELECT position FROM audit_events ORDER BY position", vec![]).await;
    let positions: Vec<_> = rows.iter().map(|row| row.integer("position").unwrap()).collect();
    assert_eq!(positions, (1..=41).collect::<Vec<_>>());
    assert_eq!(
        store.verify_audit(account, None).await.unwrap().verdict,
        AuditVerdict::Intact { entries: 41 }
    );
    store.close().await;
}

async fn a_closed_store_refuses_calls_and_keeps_committed_changes(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    store.ping().await.unwrap();
    let created = store.create_key(account, new_key("kept"), fixture.origin()).await.unwrap();
    store.close().await;
    assert!(store.ping().await.is_err());
    assert!(store.create_key(account, new_key("late"), fixture.origin()).await.is_err());
    let store = fixture.open().await;
    assert_eq!(store.get_key(account, created.record.id).await.unwrap(), Some(created.record));
    store.close().await;
}
