//! `telepath requests list`.

use clap::Args;
use telepath_client::{Client, LoggedRequest, RequestsQuery};
use telepath_core::clock::{Clock as _, SystemClock};

use super::{FilterArgs, PAGE, table};
use crate::cli::expiry::past;
use crate::cli::output;
use crate::cli::reach::{ApiArgs, with_client};
use crate::exit::Failure;

pub(super) const EXAMPLES: &str = "\
Examples:
  telepath requests list --data-dir data --since 1h
  telepath requests list --data-dir data --key key_01k9v1n2xrf6t8g3m5q7w9y0za --status 4xx
  telepath requests list --data-dir data --min-duration 500ms --json";

/// Arguments of `requests list`.
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    api: ApiArgs,
    #[command(flatten)]
    filters: FilterArgs,
    /// From when: a length of time ago (24h) or an RFC 3339 date-time
    #[arg(long, value_name = "WHEN", help_heading = "Filters")]
    since: Option<String>,
    /// Until when
    #[arg(long, value_name = "WHEN", help_heading = "Filters")]
    until: Option<String>,
    /// How many at most; for all of them, see `requests export`
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    limit: u32,
    /// Print a JSON array
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: ListArgs) -> Result<(), Failure> {
    let now = SystemClock.now();
    let query = RequestsQuery {
        start_date: past("--since", args.since.as_deref(), now)?,
        end_date: past("--until", args.until.as_deref(), now)?,
        ..args.filters.query()
    };
    let (requests, more) =
        with_client(&args.api, async |client| newest(client, &query, args.limit).await).await?;
    if args.json {
        return output::json(&requests);
    }
    if requests.is_empty() {
        return output::line(&"No requests.");
    }
    output::raw(table(&requests).as_bytes())?;
    if more {
        output::tell(&format_args!("There are more than these {}: see --limit.", requests.len()));
    }
    Ok(())
}

/// The newest requests that match, and whether there are more.
pub(crate) async fn newest(
    client: &Client,
    query: &RequestsQuery,
    limit: u32,
) -> Result<(Vec<LoggedRequest>, bool), Failure> {
    let wanted = usize::try_from(limit).unwrap_or(usize::MAX);
    let mut requests: Vec<LoggedRequest> = Vec::new();
    let mut cursor = None;
    loop {
        let missing = u32::try_from(wanted - requests.len()).unwrap_or(PAGE);
        let page = client
            .list_requests(&RequestsQuery { limit: Some(missing.min(PAGE)), cursor, ..query.clone() })
            .await?;
        requests.extend(page.items);
        requests.truncate(wanted);
        cursor = page.next_cursor;
        if requests.len() == wanted || cursor.is_none() {
            return Ok((requests, cursor.is_some()));
        }
    }
}
