//! `telepath keys usage`: counts, a chart, routes and addresses of a key, or the counts of several keys.

mod many_keys;

use std::collections::BTreeMap;

use clap::Args;
use telepath_client::{
    Durations, KeyId, KeyUsage, KeyUsageAddress, KeyUsageBucket, KeyUsageProgram, SecretId, Timestamp,
    UsageQuery,
};
use telepath_core::clock::{Clock as _, SystemClock};

use crate::cli::reach::{ApiArgs, with_client};
use crate::cli::{chart, expiry, output, text};
use crate::exit::{Exit, Failure};

pub(super) const EXAMPLES: &str = "\
Examples:
  telepath keys usage key_01k9v1n2xrf6t8g3m5q7w9y0za --data-dir data
  telepath keys usage key_01k9v1n2xrf6t8g3m5q7w9y0za --data-dir data --interval minute --since 2h
  telepath keys usage key_01k9v1n2xrf6t8g3m5q7w9y0za --data-dir data --interval day --since 90d --json
  telepath keys usage key_01k9v1n2xrf6t8g3m5q7w9y0za --data-dir data --secret sec_01k9v1n2xrf6t8g3m5q7w9y0za
  telepath keys usage key_01k9v1n2xrf6t8g3m5q7w9y0za key_01k9v1n2xrf6t8g3m5q7w9y0zb --data-dir data

With several keys, their requests are shown side by side.";

/// The size of the chart.
const CHART_COLUMNS: usize = 90;
const CHART_ROWS: usize = 6;
/// The maximum number of buckets drawn; a server returns far fewer.
const MOST_BUCKETS: u64 = 100_000;
/// The number of routes listed.
const ROUTES: usize = 10;

/// Arguments of `keys usage`.
#[derive(Debug, Args)]
pub(crate) struct UsageArgs {
    #[command(flatten)]
    api: ApiArgs,
    /// Key id, key_…; up to 100
    #[arg(required = true, num_args = 1..=100, value_name = "ID")]
    ids: Vec<KeyId>,
    /// Only the usage of this secret of the one key, sec_…
    #[arg(long, value_name = "SECRET")]
    secret: Option<SecretId>,
    /// Bucket size: minute, hour or day
    #[arg(long, value_parser = ["minute", "hour", "day"])]
    interval: Option<String>,
    /// Start: a duration ago (24h) or an RFC 3339 date-time
    #[arg(long, value_name = "WHEN")]
    since: Option<String>,
    /// End: a duration ago (1h) or an RFC 3339 date-time
    #[arg(long, value_name = "WHEN")]
    until: Option<String>,
    /// Print the response as a JSON object
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: UsageArgs) -> Result<(), Failure> {
    let now = SystemClock.now();
    let query = UsageQuery {
        secret_id: args.secret,
        interval: args.interval,
        start_date: expiry::past("--since", args.since.as_deref(), now)?,
        end_date: expiry::past("--until", args.until.as_deref(), now)?,
    };
    let id = match args.ids.as_slice() {
        [id] => *id,
        _ if args.secret.is_some() => {
            return Err(Failure::new(Exit::Usage, "--secret needs a single key".to_owned()));
        }
        ids => return many_keys::run(&args.api, ids, &query, args.json).await,
    };
    let usage = with_client(&args.api, async |client| Ok(client.key_usage(id, &query).await?)).await?;
    if args.json {
        return output::json(&usage);
    }
    output::raw(describe(&usage, now).as_bytes())
}

fn describe(usage: &KeyUsage, now: Timestamp) -> String {
    let mut shown = format!(
        "{}  {}, {}\n\n",
        usage.secret_id.map_or_else(|| usage.key_id.to_string(), |secret| secret.to_string()),
        text::count(usage.request_count, "request", "requests"),
        text::count(usage.error_count, "error", "errors")
    );
    shown.push_str(&draw(usage));
    shown.push_str(&statuses(&usage.buckets));
    shown.push_str(&durations(&usage.durations));
    shown.push_str(&routes(&usage.buckets));
    shown.push_str(&addresses(&usage.addresses, now));
    shown.push_str(&programs(&usage.programs, now));
    shown
}

fn draw(usage: &KeyUsage) -> String {
    let (from, until) = (text::second(usage.start_date), text::second(usage.end_date));
    if usage.buckets.iter().all(|bucket| bucket.requests == 0) {
        return format!("No requests from {from} to {until}.\n");
    }
    let lines = chart::columns(&series(usage), CHART_COLUMNS, CHART_ROWS);
    let margin = lines.first().map_or(0, |line| line.chars().take_while(|c| *c != '│').count());
    format!("{}\n{:margin$} {from} to {until}, requests by {}\n", lines.join("\n"), "", usage.interval)
}

/// One value per bucket, including the zeros that the response omits.
fn series(usage: &KeyUsage) -> Vec<u64> {
    let step = match usage.interval.as_str() {
        "minute" => 60,
        "hour" => 3600,
        "day" => 86_400,
        _ => return usage.buckets.iter().map(|bucket| bucket.requests).collect(),
    };
    let slot = |moment: Timestamp| moment.unix_seconds().div_euclid(step);
    let first = slot(usage.start_date);
    let slots = u64::try_from(slot(usage.end_date) - first).unwrap_or(0).saturating_add(1).min(MOST_BUCKETS);
    let mut values = vec![0; usize::try_from(slots).unwrap_or(0)];
    for bucket in &usage.buckets {
        let place = usize::try_from(slot(bucket.start) - first).ok();
        if let Some(value) = place.and_then(|place| values.get_mut(place)) {
            *value += bucket.requests;
        }
    }
    values
}

fn statuses(buckets: &[KeyUsageBucket]) -> String {
    let mut sums: BTreeMap<&str, u64> = BTreeMap::new();
    for (class, count) in buckets.iter().flat_map(|bucket| &bucket.statuses) {
        *sums.entry(class).or_default() += count;
    }
    if sums.is_empty() {
        return String::new();
    }
    let parts: Vec<String> = sums.iter().map(|(class, count)| format!("{class} {count}")).collect();
    format!("\nStatus  {}\n", parts.join("   "))
}

fn durations(durations: &Durations) -> String {
    let (Some(p50), Some(p95), Some(p99)) = (durations.p50_us, durations.p95_us, durations.p99_us) else {
        return String::new();
    };
    let ms = |us: u64| format!("{}.{}", us / 1000, us % 1000 / 100);
    format!("Ms      p50 {}   p95 {}   p99 {}\n", ms(p50), ms(p95), ms(p99))
}

fn routes(buckets: &[KeyUsageBucket]) -> String {
    // Requests, errors, and microseconds in all.
    let mut sums: BTreeMap<&str, (u64, u64, u64)> = BTreeMap::new();
    for route in buckets.iter().flat_map(|bucket| &bucket.routes) {
        let sum = sums.entry(&route.route).or_default();
        let duration_us = route.mean_duration_us.saturating_mul(route.requests);
        *sum = (sum.0 + route.requests, sum.1 + route.errors, sum.2.saturating_add(duration_us));
    }
    if sums.is_empty() {
        return String::new();
    }
    let mut sums: Vec<_> = sums.into_iter().collect();
    sums.sort_by_key(|(_, (requests, ..))| std::cmp::Reverse(*requests));
    let left_out = sums.len().saturating_sub(ROUTES);
    let row = |(route, (requests, errors, us)): &(&str, (u64, u64, u64))| {
        let tenths_of_ms = (us / (*requests).max(1) + 50) / 100;
        vec![
            requests.to_string(),
            errors.to_string(),
            format!("{}.{}", tenths_of_ms / 10, tenths_of_ms % 10),
            (*route).to_owned(),
        ]
    };
    let head = ["REQUESTS", "ERRORS", "MEAN MS", "ROUTE"];
    let table = output::table(&head, &sums.iter().take(ROUTES).map(row).collect::<Vec<_>>());
    let more = if left_out > 0 { format!("and {left_out} more routes; see --json\n") } else { String::new() };
    format!("\n{table}{more}")
}

fn addresses(addresses: &[KeyUsageAddress], now: Timestamp) -> String {
    if addresses.is_empty() {
        return String::new();
    }
    let row = |seen: &KeyUsageAddress| {
        vec![
            seen.address.to_string(),
            seen.requests.to_string(),
            format!("{} ago", text::since(Some(seen.first_seen), now)),
            format!("{} ago", text::since(Some(seen.last_seen), now)),
        ]
    };
    let head = ["ADDRESS", "REQUESTS", "FIRST SEEN", "LAST SEEN"];
    format!("\n{}", output::table(&head, &addresses.iter().map(row).collect::<Vec<_>>()))
}

fn programs(programs: &[KeyUsageProgram], now: Timestamp) -> String {
    if programs.is_empty() {
        return String::new();
    }
    let row = |seen: &KeyUsageProgram| {
        vec![
            text::printable(&seen.user_agent),
            seen.requests.to_string(),
            format!("{} ago", text::since(Some(seen.first_seen), now)),
            format!("{} ago", text::since(Some(seen.last_seen), now)),
        ]
    };
    let head = ["PROGRAM", "REQUESTS", "FIRST SEEN", "LAST SEEN"];
    format!("\n{}", output::table(&head, &programs.iter().map(row).collect::<Vec<_>>()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_hours_are_drawn_and_totals_shown() {
        let bucket = |start: &str, requests: u64| {
            serde_json::json!({"start": start, "requests": requests, "errors": 1, "statuses": {"2xx": requests - 1, "4xx": 1},
                "routes": [{"route": "GET /v1/calls", "requests": requests, "errors": 1, "mean_duration_us": 1500}]})
        };
        let usage: KeyUsage = serde_json::from_value(serde_json::json!({
            "key_id": "key_01k9v1n2xrf6t8g3m5q7w9y0za", "interval": "hour", "start_date": "2027-01-15T04:30:00Z",
            "end_date": "2027-01-15T08:00:00Z", "request_count": 30, "error_count": 2,
            "buckets": [bucket("2027-01-15T04:00:00Z", 10), bucket("2027-01-15T07:00:00Z", 20)],
            "durations": {"p50_us": 1750, "p95_us": 2400, "p99_us": 48_000, "counts": []},
            "addresses": [{"address": "192.0.2.1", "first_seen": "2027-01-15T04:31:00Z",
                "last_seen": "2027-01-15T07:59:00Z", "requests": 30}],
            "programs": [{"user_agent": "my-app/1.4", "first_seen": "2027-01-15T04:31:00Z",
                "last_seen": "2027-01-15T07:59:00Z", "requests": 29}],
        }))
        .unwrap();
        assert_eq!(series(&usage), [10, 0, 0, 20, 0]);
        let shown = describe(&usage, Timestamp::from_unix_seconds(1_800_000_000));
        assert!(shown.contains("30 requests, 2 errors"), "{shown}");
        assert!(shown.contains("20 │   █") && shown.contains(" 0 │█  █"), "{shown}");
        assert!(
            shown.contains("2xx 28   4xx 2") && shown.contains("30        2       1.5      GET /v1/calls"),
            "{shown}"
        );
        assert!(shown.contains("192.0.2.1  30        3h ago      1m ago"), "{shown}");
        assert!(shown.contains("my-app/1.4  29        3h ago      1m ago"), "{shown}");
        assert!(shown.contains("p50 1.7   p95 2.4   p99 48.0"), "{shown}");
        assert!(shown.lines().all(|line| line.chars().count() <= 110), "{shown}");
    }
}
