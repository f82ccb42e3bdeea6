//! `telepath requests tail`.

use std::collections::HashSet;
use std::time::Duration;

use clap::Args;
use telepath_client::{Client, CursorPage, KeyId, LoggedRequest, RequestId, RequestsQuery, Timestamp};
use telepath_core::clock::{Clock as _, SystemClock};
use tokio_util::sync::CancellationToken;

use super::{FilterArgs, PAGE, head, row};
use crate::cli::output::{self, Reader};
use crate::cli::reach::{Api, ApiArgs};
use crate::config::duration;
use crate::exit::{Exit, Failure};
use crate::signals;

pub(super) const EXAMPLES: &str = "\
Examples:
  telepath requests tail --data-dir data
  telepath requests tail --data-dir data --lines 0 --status 4xx
  telepath requests tail --api-url https://voice.example:8443 --key key_01k9v1n2xrf6t8g3m5q7w9y0za --json

Ctrl-C ends it with exit code 0. The command's own reads of the log are not shown.";

/// The allowed polling intervals.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(200);
const LONGEST_INTERVAL: Duration = Duration::from_mins(1);
/// Requests that are written to the log this long after their time are still shown.
const LATE: Duration = Duration::from_secs(2);

/// Arguments of `requests tail`.
#[derive(Debug, Args)]
pub(crate) struct TailArgs {
    #[command(flatten)]
    api: ApiArgs,
    #[command(flatten)]
    filters: FilterArgs,
    /// Number of recent requests to start with
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(0..=100))]
    lines: u32,
    /// Polling interval, 200ms to 1m
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = interval)]
    interval: Duration,
    /// Print one JSON object per line
    #[arg(long)]
    json: bool,
}

fn interval(text: &str) -> Result<Duration, String> {
    let given = duration(text)?;
    if (SHORTEST_INTERVAL..=LONGEST_INTERVAL).contains(&given) {
        Ok(given)
    } else {
        Err("must be between 200ms and 1m".to_owned())
    }
}

pub(super) async fn run(args: TailArgs) -> Result<(), Failure> {
    let api = Api::open(&args.api).await?;
    let followed = if api.is_alone() {
        Err(Failure::new(Exit::Busy, "no server runs on this folder, so there will be no new requests")
            .remedy("Start a server, or use `telepath requests list`."))
    } else {
        let stop = signals::stop_token()?;
        tokio::select! {
        // Printing does not await, so a row is never cut short.
                    () = stop.cancelled() => Ok(()),
                    followed = follow(api.client(), &args, &stop) => followed,
                }
    };
    api.close().await;
    followed
}

async fn follow(client: &Client, args: &TailArgs, stop: &CancellationToken) -> Result<(), Failure> {
    let own = client.whoami().await?.id;
    let mut tail = Tail::new(args.filters.query(), own);
    if !args.json {
        output::note(&head());
    }
    let mut new = match tail.beginning(args.lines) {
        Some(query) => tail.begun(client.list_requests(&query).await?),
        None => Vec::new(),
    };
    // Poll at once after the first page; later, only a full page means that more is available now. A page with some rows does
    // not, because it may contain the tail's own requests.
    let mut is_full = true;
    loop {
        if print(&new, args.json)? == Reader::Gone {
            return Ok(());
        }
        if !is_full {
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                () = tokio::time::sleep(args.interval) => {}
            }
        }
        let page = client.list_requests(&tail.next(SystemClock.now())).await?;
        is_full = page.items.len() >= PAGE as usize;
        new = tail.went_on(page);
    }
}

fn print(requests: &[LoggedRequest], as_json: bool) -> Result<Reader, Failure> {
    for request in requests {
        let mut line = if as_json {
            serde_json::to_string(request).map_err(|error| Failure::doing("could not write JSON", &error))?
        } else {
            row(request)
        };
        line.push('\n');
        if output::stream(line.as_bytes())? == Reader::Gone {
            return Ok(Reader::Gone);
        }
    }
    Ok(Reader::Listening)
}

/// Tracks the next page to read and which of its rows are new. The first page is read backwards from the end of the log; the
/// following pages are read forwards and overlap with it, so that no request is missed in between.
struct Tail {
    /// The key of this command. Its own reads of the log are hidden, because each poll would add a row.
    own: Option<KeyId>,
    filter: RequestsQuery,
    cursor: Option<String>,
    /// Bounded by the size of the first page.
    shown: HashSet<RequestId>,
    oldest_shown: Option<Timestamp>,
    from: Option<Timestamp>,
}

impl Tail {
    fn new(filter: RequestsQuery, own: Option<KeyId>) -> Self {
        Self { own, filter, cursor: None, shown: HashSet::new(), oldest_shown: None, from: None }
    }

    fn beginning(&self, lines: u32) -> Option<RequestsQuery> {
        (lines > 0).then(|| RequestsQuery { limit: Some(lines), ..self.filter.clone() })
    }

    fn begun(&mut self, page: CursorPage<LoggedRequest>) -> Vec<LoggedRequest> {
        let mut requests = page.items;
        requests.reverse();
        self.shown = requests.iter().map(|request| request.id).collect();
        self.oldest_shown = requests.first().map(|request| request.time);
        self.from = requests.last().map(|request| request.time.minus(LATE));
        requests
    }

    fn next(&mut self, now: Timestamp) -> RequestsQuery {
        let from = *self.from.get_or_insert(now.minus(LATE));
        RequestsQuery {
            sort: Some("time".to_owned()),
            limit: Some(PAGE),
            start_date: Some(from),
            cursor: self.cursor.clone(),
            ..self.filter.clone()
        }
    }

    fn went_on(&mut self, page: CursorPage<LoggedRequest>) -> Vec<LoggedRequest> {
        self.cursor = page.next_cursor.or_else(|| self.cursor.take());
        let is_old = |request: &LoggedRequest| self.oldest_shown.is_some_and(|oldest| request.time < oldest);
        page.items
            .into_iter()
            .filter(|request| {
                !is_old(request) && !self.shown.contains(&request.id) && !self.is_own_look(request)
            })
            .collect()
    }

    fn is_own_look(&self, request: &LoggedRequest) -> bool {
        self.own.is_some() && request.key_id == self.own && request.path == "/v1/requests"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(number: i64) -> LoggedRequest {
        let id = format!("req_0000000000000000000000000{number}");
        let time = Timestamp::from_unix_seconds(1_800_000_000 + number);
        serde_json::from_value(
            serde_json::json!({"id": id, "time": time, "method": "GET", "path": "/v1/calls",
            "status": 200, "duration_us": 1234}),
        )
        .unwrap()
    }

    fn page(numbers: &[i64], cursor: Option<&str>) -> CursorPage<LoggedRequest> {
        let items = numbers.iter().map(|number| request(*number)).collect();
        CursorPage { items, next_cursor: cursor.map(str::to_owned) }
    }

    fn numbers(requests: &[LoggedRequest]) -> Vec<i64> {
        requests.iter().map(|request| request.time.unix_seconds() - 1_800_000_000).collect()
    }

    #[test]
    fn the_first_page_is_reversed_and_later_rows_are_shown_once() {
        let mut tail = Tail::new(RequestsQuery::default(), None);
        assert!(tail.beginning(3).is_some() && tail.beginning(0).is_none());
        assert_eq!(numbers(&tail.begun(page(&[5, 4, 3], Some("older")))), [3, 4, 5]);
        let next = tail.next(Timestamp::from_unix_seconds(0));
        assert_eq!(next.start_date, Some(Timestamp::from_unix_seconds(1_800_000_003)));
        assert_eq!((next.sort.as_deref(), next.cursor), (Some("time"), None));
        assert_eq!(numbers(&tail.went_on(page(&[2, 3, 4, 5, 6], Some("a")))), [6]);
        assert_eq!(tail.next(Timestamp::from_unix_seconds(0)).cursor.as_deref(), Some("a"));
        assert_eq!(numbers(&tail.went_on(page(&[7], Some("b")))), [7]);
    }

    #[test]
    fn an_empty_page_keeps_the_cursor_and_an_empty_log_starts_now() {
        let mut tail = Tail::new(RequestsQuery::default(), None);
        assert!(tail.begun(page(&[], None)).is_empty());
        let now = Timestamp::from_unix_seconds(1_800_000_100);
        assert_eq!(tail.next(now).start_date, Some(now.minus(LATE)));
        tail.went_on(page(&[], Some("a")));
        tail.went_on(page(&[], None));
        let later = tail.next(now.plus(Duration::from_mins(1)));
        assert_eq!((later.cursor.as_deref(), later.start_date), (Some("a"), Some(now.minus(LATE))));
    }

    #[test]
    fn own_reads_of_the_log_are_hidden_and_those_of_others_shown() {
        let own: KeyId = "key_01k9v1n2xrf6t8g3m5q7w9y0za".parse().unwrap();
        let mut tail = Tail::new(RequestsQuery::default(), Some(own));
        let look = |key_id| LoggedRequest { key_id, path: "/v1/requests".to_owned(), ..request(1) };
        let items = vec![look(Some(own)), look(None), LoggedRequest { key_id: Some(own), ..request(2) }];
        assert_eq!(tail.went_on(CursorPage { items, next_cursor: None }).len(), 2);
    }

    #[test]
    fn polling_intervals_are_bounded() {
        assert_eq!(interval("200ms"), Ok(Duration::from_millis(200)));
        assert!(interval("100ms").is_err() && interval("2m").is_err() && interval("x").is_err());
    }
}
