//! Encodes drained requests into segments, one account after the other, ordered by time.

use telepath_core::id::{AccountId, Id as _, RequestId, SegmentId};
use telepath_core::request::RouteNumber;
use telepath_core::request::segment::{Logged, SegmentWriter};

use super::Segment;
use super::buffer::DrainedBuffer;
use crate::error::StoreError;

/// Encodes segments; `new_id` generates their ids.
pub(super) fn encode(
    taken: &DrainedBuffer,
    routes: &[String],
    mut new_id: impl FnMut() -> Result<SegmentId, StoreError>,
) -> Result<Vec<Segment>, StoreError> {
    let label = |route: Option<RouteNumber>| {
        route.and_then(|route| routes.get(usize::from(route.0))).map(String::as_str)
    };
    let mut entries: Vec<(AccountId, Logged<'_>)> = Vec::new();
    for list in &taken.lists {
        entries.extend(list.requests.iter().map(|record| {
            let (user_agent, own_path) = list.texts(record);
            let error = record.error.map(telepath_core::error::ErrorCode::name);
            let (id, facts, label) = (record.id, record.facts, label(record.route));
            (record.account, Logged { id, facts, label, own_path, error, user_agent, sum: None })
        }));
    }
    entries.extend(taken.sums.iter().map(|(key, sum)| {
        let (id, label) = (RequestId::from_bytes([0; 16]), label(key.route));
        let (facts, sum) = (sum.facts, Some(sum.requests));
        (key.account, Logged { id, facts, label, own_path: None, error: None, user_agent: None, sum })
    }));
    // The sort is stable: requests of the same millisecond keep their order.
    entries.sort_by_key(|(account, entry)| (*account, entry.facts.at));
    let mut segments = Vec::new();
    let mut rest = entries.as_slice();
    while let Some((account, _)) = rest.first() {
        let mut writer = SegmentWriter::default();
        while let Some(((of, entry), after)) = rest.split_first()
            && of == account
            && !writer.is_full()
        {
            writer.push(entry);
            rest = after;
        }
        let first_at = writer.first().unwrap_or_default();
        segments.push(Segment { id: new_id()?, account: *account, first_at, payload: writer.finish() });
    }
    Ok(segments)
}
