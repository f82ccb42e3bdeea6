//! Conditions that limit a statement to the trunks within reach of its caller. Each begins with ` AND `, or is empty when
//! there is no limit.

use std::fmt::Write as _;

use telepath_core::event::family::EventFamily;
use telepath_core::reach::TrunkAccess;

use super::{Value, placeholders};

/// The length of a trunk id.
const ID_LENGTH: usize = "conn_".len() + 26;

/// The column names a trunk within reach. Adds the values of the placeholders.
pub(crate) fn trunk_within(column: &str, trunks: &TrunkAccess, values: &mut Vec<Value>) -> String {
    if !trunks.is_limited() {
        return String::new();
    }
    format!(" AND {column} IN ({})", add_ids(trunks, values))
}

/// The column is a comma-separated list of trunks, of which empty means all, and each of them is within reach. Adds the
/// values of the placeholders.
pub(crate) fn trunk_list_within(column: &str, trunks: &TrunkAccess, values: &mut Vec<Value>) -> String {
    if !trunks.is_limited() {
        return String::new();
    }
    let first = values.len() + 1;
    add_ids(trunks, values);
    // A list has no duplicates, so it is within reach if the ids that it shares with the reach are as long as itself.
    let shared: Vec<_> = (first..=values.len())
        .map(|place| format!("CASE WHEN {column} LIKE '%' || ${place} || '%' THEN 1 ELSE 0 END"))
        .collect();
    let each = ID_LENGTH + 1;
    format!(" AND {column} <> '' AND length({column}) + 1 = {each} * ({})", shared.join(" + "))
}

/// The columns `trunk_ids` and `events` of an endpoint choose only events about trunks within reach; see
/// [`Subscription::is_within`](telepath_core::webhook::Subscription::is_within).
pub(crate) fn subscription_within(trunks: &TrunkAccess, values: &mut Vec<Value>) -> String {
    if !trunks.is_limited() {
        return String::new();
    }
    let mut condition = trunk_list_within("trunk_ids", trunks, values);
    condition.push_str(" AND events <> '*'");
    for family in EventFamily::ALL.iter().filter(|family| !family.concerns_trunks()) {
        // The names come from this program. Writing to a String cannot fail.
        let _ = write!(condition, " AND ',' || events NOT LIKE '%,{family}.%'");
    }
    condition
}

/// A delivery is of an event about a trunk within reach, or a test that was requested.
pub(crate) fn delivery_within(trunks: &TrunkAccess, values: &mut Vec<Value>) -> String {
    if !trunks.is_limited() {
        return String::new();
    }
    format!(
        " AND (kind = 'webhook.test' OR EXISTS (SELECT 1 FROM outbox_events e \
         WHERE e.id = webhook_deliveries.event_id AND e.trunk_id IN ({})))",
        add_ids(trunks, values)
    )
}

/// Adds the ids, and returns their placeholders.
fn add_ids(trunks: &TrunkAccess, values: &mut Vec<Value>) -> String {
    let first = values.len() + 1;
    values.extend(trunks.ids().iter().map(|id| Value::from(id.to_string())));
    placeholders(first, trunks.ids().len())
}
