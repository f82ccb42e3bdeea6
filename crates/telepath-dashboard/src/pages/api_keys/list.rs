//! The list of keys, with the figures above it that filter it.

use askama::Template;
use telepath_core::alert::AlertRule;
use telepath_core::clock::Timestamp;
use telepath_core::key::{KeyFilter, KeyRecord, KeySort, KeyStatus};
use telepath_core::page::PageRequest;
use telepath_core::secret::contains_key;
use telepath_core::usage::UsageSpan;
use telepath_store::{EXPIRES_SOON, IDLE_FOR, KeyCounts, KeyHour, SignedIn};

use super::status::{self, OpenAlerts, expires_soon};
use super::{PATH, mask_of};
use crate::chart::sparkline::{Point, sparkline};
use crate::chip::Chip;
use crate::form::encoded;
use crate::mark::Mark;
use crate::number::{counted, grouped};
use crate::reply::Reply;
use crate::route::Outcome;
use crate::shell::{Crumb, Shell};
use crate::time::{Shown, Zone, relative};
use crate::visit::Visit;

/// Keys of one page.
const PAGE: u32 = 50;
/// Hours of the chart beside each key.
const HOURS: usize = 24;
/// The most characters of a search.
const SEARCH: usize = 100;

/// The orders that the page offers.
const SORTS: [(&str, &str); 5] = [
    ("-created_at", "Newest first"),
    ("name", "Name"),
    ("-last_used_at", "Last used"),
    ("-request_count", "Most requests"),
    ("expires_at", "Expires first"),
];

#[derive(Template)]
#[template(path = "pages/api_keys.html")]
struct Page {
    shell: Shell,
    can_create: bool,
    counts: KeyCounts,
    query: Query,
    rows: Vec<Row>,
    /// How many keys the list has, in words.
    total: String,
    newer: Option<String>,
    older: Option<String>,
    zone: String,
    /// Whether a whole key was typed into the search.
    full_key: bool,
    done: Option<&'static str>,
}

struct Row {
    path: String,
    mark: Mark,
    name: String,
    mask: String,
    status: Chip,
    preset: String,
    limit: String,
    spark: String,
    requests: String,
    errors: String,
    last_used: String,
    last_address: String,
    expires: Option<Shown>,
    expires_in: String,
    expires_soon: bool,
    created: Shown,
}

/// What the address asks for.
struct Query {
    tab: Tab,
    only: Only,
    search: String,
    sort: (KeySort, bool),
    offset: u32,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Tab {
    Active,
    Expired,
    Revoked,
    All,
}

/// A figure that filters the list.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Only {
    Nothing,
    ExpireSoon,
    NeverExpire,
    Idle,
}

impl Query {
    fn read(visit: &Visit) -> Self {
        let tab = match visit.query.text("tab") {
            "expired" => Tab::Expired,
            "revoked" => Tab::Revoked,
            "all" => Tab::All,
            _ => Tab::Active,
        };
        let only = match visit.query.text("only") {
            "expire-soon" => Only::ExpireSoon,
            "never-expire" => Only::NeverExpire,
            "idle" => Only::Idle,
            _ => Only::Nothing,
        };
        let search = visit.query.text("q").trim().chars().take(SEARCH).collect();
        let offset = visit.query.text("offset").parse().unwrap_or_default();
        let sort = KeySort::parse(visit.query.text("sort")).unwrap_or((KeySort::CreatedAt, false));
        Self { tab, only, search, sort, offset }
    }

    fn is_filtered(&self) -> bool {
        self.only != Only::Nothing || !self.search.is_empty()
    }

    const fn tab_name(&self) -> &'static str {
        Self::name_of(self.tab)
    }

    const fn name_of(tab: Tab) -> &'static str {
        match tab {
            Tab::Active => "active",
            Tab::Expired => "expired",
            Tab::Revoked => "revoked",
            Tab::All => "all",
        }
    }

    /// The path of the list with another tab, and the same search.
    fn with_tab(&self, tab: Tab) -> String {
        let search =
            if self.search.is_empty() { String::new() } else { format!("&q={}", encoded(&self.search)) };
        format!("{PATH}?tab={}{search}&sort={}", Self::name_of(tab), self.sort_name())
    }

    /// The order as the address says it: a minus stands for the largest first.
    fn sort_name(&self) -> String {
        let (sort, ascending) = self.sort;
        format!("{}{}", if ascending { "" } else { "-" }, sort.name())
    }

    fn at(&self, offset: u32) -> String {
        let only = match self.only {
            Only::Nothing => "",
            Only::ExpireSoon => "&only=expire-soon",
            Only::NeverExpire => "&only=never-expire",
            Only::Idle => "&only=idle",
        };
        format!("{}{only}&offset={offset}", self.with_tab(self.tab))
    }

    fn filter(&self, visit: &Visit) -> KeyFilter {
        let idle_days = u32::try_from(IDLE_FOR.as_secs() / 86_400).unwrap_or(u32::MAX);
        let filter = KeyFilter {
            search: (!self.search.is_empty()).then(|| self.search.clone()),
            sort: self.sort.0,
            ascending: self.sort.1,
            ..KeyFilter::default()
        };
        let filter = match self.tab {
            Tab::Active => KeyFilter { ended: Some(false), ..filter },
            Tab::Expired => KeyFilter { status: Some(KeyStatus::Expired), ..filter },
            Tab::Revoked => KeyFilter { status: Some(KeyStatus::Revoked), ..filter },
            Tab::All => filter,
        };
        match self.only {
            Only::Nothing => filter,
            Only::ExpireSoon => KeyFilter { expires_before: Some(visit.now.plus(EXPIRES_SOON)), ..filter },
            Only::NeverExpire => KeyFilter { never_expires: Some(true), ..filter },
            Only::Idle => KeyFilter { idle_days: Some(idle_days), ..filter },
        }
    }
}

pub(super) async fn show(visit: Visit, caller: SignedIn) -> Outcome {
    let account = caller.session.account;
    let mut query = Query::read(&visit);
    // A whole key is neither searched for nor shown again.
    let full_key = contains_key(query.search.as_bytes());
    if full_key {
        query.search.clear();
    }
    let page = PageRequest::new(PAGE, query.offset).unwrap_or_default();
    let keys = visit.store().list_keys(account, query.filter(&visit), page).await?;
    let counts = visit.store().count_keys(account).await?;
    let total = keys.count().unwrap_or_default();
    let ids: Vec<_> = keys.items.iter().map(|key| key.id).collect();
    let start = UsageSpan::Hour.start_of(visit.now).minus(UsageSpan::Hour.length() * 23);
    let end = visit.now.plus(UsageSpan::Hour.length());
    let hours = visit.store().hours_of_keys(account, &ids, start, end).await?;
    let alerts = OpenAlerts::of(&visit, account, None).await?;
    let zone = visit.zone_of(&caller);
    let more = keys.position.next.is_some();
    let rows = keys.items.iter().map(|key| {
        let used = hours.get(&key.id).map_or(&[][..], Vec::as_slice);
        row(key, alerts.worst(key.id), &points(used, start), &visit, &zone)
    });
    Reply::page(&Page {
        can_create: caller.role.scopes().allows(telepath_core::scope::Scope::KeysWrite),
        counts,
        rows: rows.collect(),
        total: counted(total, "key", "keys"),
        newer: (query.offset > 0).then(|| query.at(query.offset.saturating_sub(PAGE))),
        older: more.then(|| query.at(query.offset.saturating_add(PAGE))),
        zone: zone.abbreviation(visit.now),
        full_key,
        done: (visit.query.get("done") == Some("rotated")).then_some(
            "The form was sent before, or there was nothing to rotate. Secrets cannot be shown again; rotate to get others.",
        ),
        query,
        shell: Shell::new(&visit, &caller, vec![Crumb::group("Settings")], "API keys").await?,
    })
}

/// One point per hour; hours without requests are zero.
fn points(used: &[KeyHour], start: Timestamp) -> Vec<Point> {
    let mut points = vec![Point::default(); HOURS];
    for hour in used {
        let place = hour.start.since(start).as_secs() / 3600;
        if let Some(point) = usize::try_from(place).ok().and_then(|place| points.get_mut(place)) {
            *point = Point { requests: hour.requests, errors: hour.errors };
        }
    }
    points
}

fn row(key: &KeyRecord, alert: Option<AlertRule>, points: &[Point], visit: &Visit, zone: &Zone) -> Row {
    let requests: u64 = points.iter().map(|point| point.requests).sum();
    let errors: u64 = points.iter().map(|point| point.errors).sum();
    Row {
        path: super::path_of(key.id),
        mark: Mark::of(key.id),
        name: key.name.clone(),
        mask: mask_of(key).to_owned(),
        status: status::of_key(key, alert, visit.now),
        preset: key.preset.name().to_owned(),
        limit: format!("{}/min", grouped(key.rate_limit.get().into())),
        spark: sparkline(points),
        requests: grouped(requests),
        errors: error_rate(requests, errors),
        last_used: key.last_use.map_or_else(|| "Never".to_owned(), |last| relative(last.at, visit.now)),
        last_address: key.last_use.map_or_else(String::new, |last| last.address.to_string()),
        expires: key.expires_at.map(|end| zone.shown_date(end)),
        expires_in: key.expires_at.map_or_else(String::new, |end| relative(end, visit.now)),
        expires_soon: expires_soon(key, visit.now),
        created: zone.shown_date(key.created_at),
    }
}

/// The share of errors in words.
fn error_rate(requests: u64, errors: u64) -> String {
    if requests == 0 {
        return "no requests".to_owned();
    }
    let tenths = u128::from(errors) * 1000 / u128::from(requests);
    match (errors, tenths) {
        (0, _) => "0% errors".to_owned(),
        (_, 0) => "<0.1% errors".to_owned(),
        _ => format!("{}.{}% errors", tenths / 10, tenths % 10),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_of_errors_is_rounded_down_and_never_hidden() {
        assert_eq!(error_rate(0, 0), "no requests");
        assert_eq!((error_rate(5, 0), error_rate(100_000, 1)), ("0% errors".into(), "<0.1% errors".into()));
        assert_eq!(
            (error_rate(1000, 128), error_rate(3, 3)),
            ("12.8% errors".into(), "100.0% errors".into())
        );
    }
}
