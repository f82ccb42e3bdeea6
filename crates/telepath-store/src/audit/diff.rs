//! The fields that a change modified, for the audit trail.

use serde_json::{Map, Value};

/// The members that differ between two sets of fields: their old values and their new values.
pub(crate) fn diff(
    old: &Map<String, Value>,
    new: &Map<String, Value>,
) -> (Map<String, Value>, Map<String, Value>) {
    let (mut before, mut after) = (Map::new(), Map::new());
    for (member, value) in new {
        let was = old.get(member).unwrap_or(&Value::Null);
        if was != value {
            before.insert(member.clone(), was.clone());
            after.insert(member.clone(), value.clone());
        }
    }
    (before, after)
}
