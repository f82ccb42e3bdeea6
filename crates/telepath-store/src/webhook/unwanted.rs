//! Which deliveries an endpoint no longer wants, as a condition on rows of `webhook_deliveries`.

use telepath_core::clock::Timestamp;
use telepath_core::event::EventKind;
use telepath_core::id::WebhookId;
use telepath_core::webhook::Subscription;

use crate::error::StoreError;
use crate::sql::{Connection, Value, binds, placeholders};

/// The condition that the subscription does not include the event of a delivery. Its placeholders begin at `first`.
pub(crate) fn unwanted(subscription: &Subscription, first: usize) -> (String, Vec<Value>) {
    let kinds: Vec<Value> = EventKind::ALL
        .iter()
        .filter(|kind| !subscription.retains(**kind, None))
        .map(|kind| kind.name().into())
        .collect();
    let trunks: Vec<Value> = subscription.trunks.iter().map(|trunk| trunk.to_string().into()).collect();
    let mut alternatives = Vec::new();
    if !kinds.is_empty() {
        alternatives.push(format!("kind IN ({})", placeholders(first, kinds.len())));
    }
    if !trunks.is_empty() {
        alternatives.push(format!(
            "EXISTS (SELECT 1 FROM outbox_events e WHERE e.id = webhook_deliveries.event_id \
             AND e.trunk_id IS NOT NULL AND e.trunk_id NOT IN ({}))",
            placeholders(first + kinds.len(), trunks.len())
        ));
    }
    let condition =
        if alternatives.is_empty() { "1 = 0".to_owned() } else { format!("({})", alternatives.join(" OR ")) };
    (condition, kinds.into_iter().chain(trunks).collect())
}

/// Cancels waiting deliveries that the subscription does not include. Those in flight finish, and are not retried.
pub(super) async fn cancel_unwanted(
    db: &mut Connection,
    webhook: WebhookId,
    subscription: &Subscription,
    now: Timestamp,
) -> Result<(), StoreError> {
    let (condition, kinds_and_trunks) = unwanted(subscription, 3);
    let sql = format!(
        "UPDATE webhook_deliveries SET status = 'canceled', finished_at = $2, lease = NULL WHERE webhook_id = $1 \
         AND status IN ('pending', 'held') AND (lease IS NULL OR next_at <= $2) AND {condition}"
    );
    let values = binds![webhook.to_string(), now].into_iter().chain(kinds_and_trunks).collect();
    db.execute(sql, values).await?;
    Ok(())
}
