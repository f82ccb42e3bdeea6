//! `telepath requests list`.

use clap::Args;
use telepath_client::{Client, LoggedRequest, RequestsQuery};
use telepath_core::clock::{Clock as _, SystemClock};

use super::{FilterArgs, HEAD, cells};
use crate::cli::expiry::past;
use crate::cli::pages::{self, Listing};
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
    /// Start: a duration ago (24h) or an RFC 3339 date-time
    #[arg(long, value_name = "WHEN", help_heading = "Filters")]
    since: Option<String>,
    /// End: a duration ago (1h) or an RFC 3339 date-time
    #[arg(long, value_name = "WHEN", help_heading = "Filters")]
    until: Option<String>,
    /// Maximum number of rows; see `requests export` for all
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
    let listing = with_client(&args.api, async |client| newest(client, &query, args.limit).await).await?;
    pages::print(&listing.items, args.json, "No requests.", HEAD, cells)?;
    if !args.json {
        listing.note_more();
    }
    Ok(())
}

/// The newest matching requests.
pub(crate) async fn newest(
    client: &Client,
    query: &RequestsQuery,
    limit: u32,
) -> Result<Listing<LoggedRequest>, Failure> {
    pages::by_cursor(limit, async |size, cursor| {
        client.list_requests(&RequestsQuery { limit: Some(size), cursor, ..query.clone() }).await
    })
    .await
}
