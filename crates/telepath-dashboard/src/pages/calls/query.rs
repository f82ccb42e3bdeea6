//! What the address of the log asks for. The address is the whole state, so a view can be kept as a bookmark.

use std::time::Duration;

use telepath_core::call::{CallFilter, CallSortKey, CallStatus, DisconnectReason};
use telepath_core::clock::Timestamp;
use telepath_core::id::{CallId, TrunkId};
use telepath_core::page::{Cursor, PageRequest, PageStart};

use super::PATH;
use crate::form::{Fields, encoded};

/// Calls of one page.
const PAGE: u32 = 25;
/// How many pages the way back to newer calls can have; an older one leads to the first page.
const MAX_TRAIL: usize = 20;
/// The longest text of a party.
const PARTY: usize = 128;

/// The ranges that the filter offers.
pub(super) const RANGES: [(&str, &str, u64); 5] = [
    ("1h", "Last hour", 1),
    ("24h", "Last 24 hours", 24),
    ("7d", "Last 7 days", 7 * 24),
    ("30d", "Last 30 days", 30 * 24),
    ("90d", "Last 90 days", 90 * 24),
];

/// The columns that the list is sorted by, by their names in the address.
const SORTS: [(&str, CallSortKey); 5] = [
    ("started", CallSortKey::StartTime),
    ("duration", CallSortKey::Duration),
    ("wait", CallSortKey::AiLatency),
    ("carrier", CallSortKey::CarrierLag),
    ("gateway", CallSortKey::GatewayProcessing),
];

/// What the address of the log asks for.
#[derive(Debug, Clone, Default)]
pub(super) struct Query {
    pub(super) connection: Option<TrunkId>,
    /// One of [`RANGES`].
    pub(super) range: Option<&'static str>,
    pub(super) status: Option<CallStatus>,
    pub(super) reason: Option<DisconnectReason>,
    pub(super) from: String,
    pub(super) to: String,
    pub(super) min_duration: Option<u32>,
    pub(super) min_wait: Option<u32>,
    pub(super) min_carrier: Option<u32>,
    pub(super) min_gateway: Option<u32>,
    pub(super) sort: CallSortKey,
    pub(super) ascending: bool,
    /// The page begins behind this call.
    cursor: Option<Cursor>,
    /// The cursors of the pages before, the first page left out.
    trail: Vec<Cursor>,
}

impl Query {
    /// Reads the fields; what is not understood is as if it were not there.
    pub(super) fn read(fields: &Fields) -> Self {
        let number = |name: &str| fields.text(name).trim().parse().ok().filter(|number| *number > 0);
        let party = |name: &str| fields.text(name).trim().chars().take(PARTY).collect::<String>();
        let (name, ascending) = match fields.text("sort").strip_prefix('-') {
            Some(name) => (name, false),
            None => (fields.text("sort"), true),
        };
        let sort = SORTS.iter().find(|(known, _)| *known == name).map(|(_, key)| *key);
        let range = fields.text("range");
        let key = sort.unwrap_or_default();
        let cursor = |text: &str| Cursor::parse::<CallId>(text, Some(key.key())).ok();
        Self {
            connection: fields.text("connection").parse().ok(),
            range: RANGES.iter().map(|(name, ..)| *name).find(|name| *name == range),
            status: CallStatus::from_name(fields.text("status")),
            reason: DisconnectReason::from_name(fields.text("reason")),
            from: party("from"),
            to: party("to"),
            min_duration: number("min_duration"),
            min_wait: number("min_wait"),
            min_carrier: number("min_carrier"),
            min_gateway: number("min_gateway"),
            sort: key,
            ascending: sort.is_some() && ascending,
            cursor: fields.get("cursor").and_then(cursor),
            trail: fields.all("trail").filter_map(cursor).take(MAX_TRAIL).collect(),
        }
    }

    pub(super) fn filter(&self, now: Timestamp) -> CallFilter {
        let hours = RANGES.iter().find(|(name, ..)| Some(*name) == self.range).map(|(.., hours)| *hours);
        let party = |text: &String| (!text.is_empty()).then(|| text.clone());
        CallFilter {
            trunk_id: self.connection,
            status: self.status,
            start_date: hours.map(|hours| now.minus(Duration::from_hours(hours))),
            end_date: None,
            from: party(&self.from),
            to: party(&self.to),
            reason: self.reason,
            min_duration_seconds: self.min_duration,
            min_carrier_lag_ms: self.min_carrier,
            min_ai_latency_ms: self.min_wait,
            min_gateway_ms: self.min_gateway,
            sort: self.sort,
            ascending: self.ascending,
        }
    }

    pub(super) fn page(&self) -> PageRequest {
        let start = self.cursor.clone().map_or(PageStart::Offset(0), PageStart::After);
        PageRequest::starting(PAGE, start).unwrap_or_default()
    }

    pub(super) const fn is_first_page(&self) -> bool {
        self.cursor.is_none()
    }

    /// Whether a filter of the second row is set.
    pub(super) fn has_more_filters(&self) -> bool {
        [self.min_duration, self.min_wait, self.min_carrier, self.min_gateway].iter().any(Option::is_some)
            || self.reason.is_some()
    }

    pub(super) fn is_filtered(&self) -> bool {
        self.has_more_filters()
            || self.connection.is_some()
            || self.range.is_some()
            || self.status.is_some()
            || !self.from.is_empty()
            || !self.to.is_empty()
    }

    /// The name of the order in the address.
    pub(super) fn sort_name(&self) -> String {
        let name = SORTS.iter().find(|(_, key)| *key == self.sort).map_or("started", |(name, _)| name);
        format!("{}{name}", if self.ascending { "" } else { "-" })
    }

    /// The fields of the address, without the position in the list.
    fn fields(&self) -> Vec<(&'static str, String)> {
        let number = |number: Option<u32>| number.map_or_else(String::new, |number| number.to_string());
        let mut fields = vec![
            ("connection", self.connection.map_or_else(String::new, |id| id.to_string())),
            ("range", self.range.unwrap_or_default().to_owned()),
            ("status", self.status.map_or_else(String::new, |status| status.name().to_owned())),
            ("from", self.from.clone()),
            ("to", self.to.clone()),
            ("reason", self.reason.map_or_else(String::new, |reason| reason.name().to_owned())),
            ("min_duration", number(self.min_duration)),
            ("min_wait", number(self.min_wait)),
            ("min_carrier", number(self.min_carrier)),
            ("min_gateway", number(self.min_gateway)),
        ];
        if self.sort_name() != "-started" {
            fields.push(("sort", self.sort_name()));
        }
        fields.retain(|(_, value)| !value.is_empty());
        fields
    }

    fn path(&self, position: Vec<(&'static str, String)>) -> String {
        let fields = self.fields().into_iter().chain(position);
        let pairs: Vec<String> = fields.map(|(name, value)| format!("{name}={}", encoded(&value))).collect();
        if pairs.is_empty() { PATH.to_owned() } else { format!("{PATH}?{}", pairs.join("&")) }
    }

    /// The address of the first page.
    pub(super) fn first_page(&self) -> String {
        self.path(Vec::new())
    }

    /// The address of this list in another order: by a column, the largest first unless it is that already.
    pub(super) fn sorted_by(&self, column: &str) -> String {
        let Some((_, sort)) = SORTS.iter().find(|(name, _)| *name == column) else { return PATH.to_owned() };
        let ascending = self.sort == *sort && !self.ascending;
        Self { sort: *sort, ascending, ..self.clone() }.path(Vec::new())
    }

    /// `aria-sort` of a column.
    pub(super) fn aria_sort(&self, column: &str) -> &'static str {
        let is_sorted = SORTS.iter().any(|(name, key)| *name == column && *key == self.sort);
        match (is_sorted, self.ascending) {
            (false, _) => "none",
            (true, true) => "ascending",
            (true, false) => "descending",
        }
    }

    /// The page behind the last call of this one.
    pub(super) fn older(&self, next: &Cursor) -> String {
        let trail: Vec<Cursor> = self.trail.iter().chain(&self.cursor).cloned().collect();
        let kept = trail.len().saturating_sub(MAX_TRAIL);
        let mut position = vec![("cursor", next.to_string())];
        position.extend(trail.iter().skip(kept).map(|cursor| ("trail", cursor.to_string())));
        self.path(position)
    }

    /// The page before this one; `None` on the first.
    pub(super) fn newer(&self) -> Option<String> {
        self.cursor.as_ref()?;
        let mut position = Vec::new();
        if let Some((last, before)) = self.trail.split_last() {
            position.push(("cursor", last.to_string()));
            position.extend(before.iter().map(|cursor| ("trail", cursor.to_string())));
        }
        Some(self.path(position))
    }

    /// The live calls of this list.
    pub(super) fn live(&self) -> String {
        Self { status: Some(CallStatus::Connected), cursor: None, trail: Vec::new(), ..self.clone() }
            .path(Vec::new())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cursor(ms: i64) -> String {
        format!("call_00000000000000000000000001.start_time.{ms}")
    }

    #[test]
    fn the_address_is_read_and_written_again() {
        let text = "connection=conn_00000000000000000000000001&range=24h&status=failed&from=%2B15550100001\
                    &reason=rejected&min_duration=10&min_wait=800&min_carrier=1&min_gateway=20&sort=wait";
        let query = Query::read(&Fields::parse(text));
        assert_eq!(query.path(Vec::new()), format!("{PATH}?{text}"));
        assert!(query.is_filtered() && query.has_more_filters() && query.ascending);
        let filter = query.filter(Timestamp::from_unix_seconds(1_800_000_000));
        assert_eq!(filter.start_date, Some(Timestamp::from_unix_seconds(1_800_000_000 - 86_400)));
        assert_eq!((filter.min_ai_latency_ms, filter.from.as_deref()), (Some(800), Some("+15550100001")));
    }

    #[test]
    fn nonsense_is_ignored() {
        let query = Query::read(&Fields::parse(
            "connection=x&range=9y&status=x&reason=x&min_wait=-1&min_duration=x&sort=colour&cursor=x&trail=y",
        ));
        assert!(!query.is_filtered() && query.is_first_page());
        assert_eq!((query.path(Vec::new()).as_str(), query.sort_name().as_str()), (PATH, "-started"));
    }

    #[test]
    fn the_way_back_leads_over_the_pages_before() {
        let next = |ms| Cursor::parse::<CallId>(&cursor(ms), Some(CallSortKey::StartTime.key())).unwrap();
        let read =
            |path: &str| Query::read(&Fields::parse(path.split_once('?').map_or("", |(_, query)| query)));
        let first = Query::default();
        assert_eq!(first.newer(), None);
        let (second, third) = (first.older(&next(2)), read(&first.older(&next(2))).older(&next(1)));
        assert_eq!(read(&third).newer(), Some(second.clone()));
        assert_eq!(read(&second).newer(), Some(PATH.to_owned()));
        let mut deep = first.older(&next(100));
        for page in 0..30 {
            deep = read(&deep).older(&next(page));
        }
        assert_eq!(read(&deep).trail.len(), MAX_TRAIL);
    }

    #[test]
    fn a_column_is_sorted_by_the_largest_first_and_then_by_the_smallest() {
        let query = Query::default();
        assert_eq!(query.sorted_by("wait"), "/calls?sort=-wait");
        assert_eq!(query.sorted_by("started"), "/calls?sort=started");
        assert_eq!((query.aria_sort("started"), query.aria_sort("wait")), ("descending", "none"));
    }
}
