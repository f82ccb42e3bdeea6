//! What a change did, as the audit trail keeps it.

use serde_json::{Map, Value};

/// The members that differ between two faces: as they were, and as they are.
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
