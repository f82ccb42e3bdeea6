//! What the address of the request log says: filters, range, view and place in the list. Every link of the page is made here.

use std::time::Duration;

use telepath_core::clock::Timestamp;
use telepath_core::request::RequestFilter;
use telepath_store::RequestCursor;

use super::filter::{Field, Filters, Line};
use crate::form::{Fields, encoded};

/// The path of the page.
pub(super) const PATH: &str = "/requests";
/// The stream of the live tail.
pub(super) const STREAM: &str = "/requests/live";
/// The most pages that "Newer" leads back over; beyond them it leads to the newest.
const MAX_BACK: usize = 20;

/// A range that ends now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Range {
    Hour,
    Day,
    Week,
    Month,
}

impl Range {
    pub(super) const ALL: [Range; 4] = [Range::Hour, Range::Day, Range::Week, Range::Month];

    /// The value of the parameter.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Range::Hour => "1h",
            Range::Day => "24h",
            Range::Week => "7d",
            Range::Month => "30d",
        }
    }

    pub(super) const fn label(self) -> &'static str {
        match self {
            Range::Hour => "1 h",
            Range::Day => "24 h",
            Range::Week => "7 d",
            Range::Month => "30 d",
        }
    }

    pub(super) const fn length(self) -> Duration {
        match self {
            Range::Hour => Duration::from_hours(1),
            Range::Day => Duration::from_hours(24),
            Range::Week => Duration::from_hours(7 * 24),
            Range::Month => Duration::from_hours(30 * 24),
        }
    }
}

/// Whether requests are listed one by one or counted together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum View {
    List,
    Grouped,
}

/// What the address says.
#[derive(Debug)]
pub(super) struct Query {
    pub(super) filters: Filters,
    pub(super) range: Range,
    pub(super) view: View,
    /// Where this page starts; `None` at the newest request.
    pub(super) cursor: Option<RequestCursor>,
    /// Where the pages before this one start, the newest first. The first page has no cursor and is not among them.
    back: Vec<String>,
    /// Whether the page follows the log.
    pub(super) is_live: bool,
    /// Where the page begins that follows the log.
    pub(super) after: Option<RequestCursor>,
    /// Whether the chart is shown as a table.
    pub(super) as_table: bool,
}

impl Query {
    /// Reads an address, and what its line of text holds beyond filters. What cannot be read is left out.
    pub(super) fn read(fields: &Fields) -> (Self, Line) {
        let line = Filters::read(fields);
        let range = Range::ALL.into_iter().find(|range| fields.get("range") == Some(range.name()));
        let view = if fields.get("view") == Some("grouped") { View::Grouped } else { View::List };
        let cursor = fields.get("cursor").and_then(RequestCursor::parse);
        let back = fields.text("back").split(',').filter(|text| RequestCursor::parse(text).is_some());
        let back = back.take(MAX_BACK).map(str::to_owned).collect();
        let filters = line.filters.clone();
        let is_live = fields.get("live") == Some("on") && view == View::List && cursor.is_none();
        let after = fields.get("after").and_then(RequestCursor::parse).filter(|_| is_live);
        let as_table = fields.get("as") == Some("table");
        let range = range.unwrap_or(Range::Day);
        (Self { filters, range, view, cursor, back, is_live, after, as_table }, line)
    }

    /// Whether the filters name a range of their own.
    pub(super) fn has_dates(&self) -> bool {
        !self.filters.get(Field::Start).is_empty() || !self.filters.get(Field::End).is_empty()
    }

    /// Adds the range to a filter. One request is looked for in the whole log.
    pub(super) fn within(&self, filter: RequestFilter, now: Timestamp) -> RequestFilter {
        if self.has_dates() || filter.id.is_some() {
            return filter;
        }
        RequestFilter { start: Some(now.minus(self.range.length())), ..filter }
    }

    /// The page that follows the log. What comes in now has no place in a range of the past.
    pub(super) fn live(&self, after: Option<RequestCursor>) -> String {
        let place = after.map_or_else(|| "live=on".to_owned(), |after| format!("live=on&after={after}"));
        address(PATH, &self.undated(), self.range, View::List, &place)
    }

    /// The stream of that page.
    pub(super) fn stream(&self, after: RequestCursor) -> String {
        address(STREAM, &self.undated(), self.range, View::List, &format!("live=on&after={after}"))
    }

    /// The page with the chart as a table, or as a picture again.
    pub(super) fn other_form(&self) -> String {
        address(PATH, &self.filters, self.range, self.view, if self.as_table { "" } else { "as=table" })
    }

    /// The requests of an interval one by one.
    pub(super) fn interval(&self, from: Timestamp, to: Timestamp) -> String {
        let filters = self.filters.with(Field::Start, &from.to_string()).with(Field::End, &to.to_string());
        address(PATH, &filters, self.range, self.view, "")
    }

    fn undated(&self) -> Filters {
        self.filters.with(Field::Start, "").with(Field::End, "")
    }

    /// The address of the newest page.
    pub(super) fn path(&self) -> String {
        address(PATH, &self.filters, self.range, self.view, "")
    }

    /// The same with other filters.
    pub(super) fn with_filters(&self, filters: &Filters) -> String {
        address(PATH, filters, self.range, self.view, "")
    }

    /// The requests with other filters one by one.
    pub(super) fn with_filters_as_list(&self, filters: &Filters) -> String {
        address(PATH, filters, self.range, View::List, "")
    }

    /// The same without the filter.
    pub(super) fn without(&self, field: Field) -> String {
        self.with_filters(&self.filters.with(field, ""))
    }

    /// The same over another range.
    pub(super) fn with_range(&self, range: Range) -> String {
        address(PATH, &self.undated(), range, self.view, "")
    }

    /// The same in another view.
    pub(super) fn with_view(&self, view: View) -> String {
        address(PATH, &self.filters, self.range, view, "")
    }

    /// The address of the next older page.
    pub(super) fn older(&self, next: RequestCursor) -> String {
        let mut back: Vec<String> = self.cursor.iter().map(ToString::to_string).collect();
        back.extend(self.back.iter().take(MAX_BACK - 1).cloned());
        let mut place = format!("cursor={next}");
        if !back.is_empty() {
            place.push_str("&back=");
            place.push_str(&encoded(&back.join(",")));
        }
        address(PATH, &self.filters, self.range, self.view, &place)
    }

    /// The address of the next newer page; `None` on the newest.
    pub(super) fn newer(&self) -> Option<String> {
        self.cursor?;
        let Some((cursor, rest)) = self.back.split_first() else { return Some(self.path()) };
        let mut place = format!("cursor={cursor}");
        if !rest.is_empty() {
            place.push_str("&back=");
            place.push_str(&encoded(&rest.join(",")));
        }
        Some(address(PATH, &self.filters, self.range, self.view, &place))
    }
}

/// An address with filters, range, view and place; what is usual is left out.
fn address(path: &str, filters: &Filters, range: Range, view: View, place: &str) -> String {
    let mut parts = vec![filters.query()];
    if range != Range::Day {
        parts.push(format!("range={}", range.name()));
    }
    if view == View::Grouped {
        parts.push("view=grouped".to_owned());
    }
    parts.push(place.to_owned());
    parts.retain(|part| !part.is_empty());
    if parts.is_empty() { path.to_owned() } else { format!("{path}?{}", parts.join("&")) }
}
