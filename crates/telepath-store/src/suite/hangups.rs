//! Calls that end because another server was asked to end them.

use std::sync::Arc;
use std::time::Duration;

use telepath_core::call::DisconnectReason;
use telepath_core::ports::CallControl as _;

use super::Fixture;
use super::calls::start;
use super::trunks::make;
use crate::store::Store;

pub(super) async fn a_call_is_hung_up_by_the_server_that_carries_it(
    fixture: Arc<Fixture>,
    one: Arc<Store>,
    other: Arc<Store>,
) {
    let account = fixture.account(&one).await.id;
    let trunk = make(&fixture, &one, account, "shared").await.trunk.id;
    let (own, first, second) =
        (start(&one, account, trunk), start(&other, account, trunk), start(&other, account, trunk));
    one.call_started(&own).await.unwrap();
    for call in [&first, &second] {
        other.call_started(call).await.unwrap();
    }
    assert!(one.is_carried_elsewhere(account, first.id).await.unwrap());
    assert!(!one.is_carried_elsewhere(account, own.id).await.unwrap());
    assert!(!other.is_carried_elsewhere(fixture.other_account(&one).await, own.id).await.unwrap());
    assert!(other.calls_to_hang_up().await.unwrap().is_empty());
    one.record_hangup_request(account, first.id, fixture.origin()).await.unwrap();
    // The server also looks when it starts to listen, so the first announcement may be that one.
    let told = async {
        while other.calls_to_hang_up().await.unwrap().is_empty() {
            other.wait_for_hangup_request().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), told).await.expect("the hang-up is announced");
    assert_eq!(other.calls_to_hang_up().await.unwrap(), [(first.id, DisconnectReason::ApiHangup)]);
    assert!(one.calls_to_hang_up().await.unwrap().is_empty());
    one.delete_trunk(account, trunk, fixture.origin()).await.unwrap();
    let mut ended = other.calls_to_hang_up().await.unwrap();
    ended.sort_by_key(|(call, _)| *call != first.id);
    let expected = [(first.id, DisconnectReason::ApiHangup), (second.id, DisconnectReason::TrunkDeleted)];
    assert_eq!(ended, expected);
    assert_eq!(one.calls_to_hang_up().await.unwrap(), [(own.id, DisconnectReason::TrunkDeleted)]);
    one.close().await;
    other.close().await;
}
