//! `telepath requests`: follows, lists and exports the request log.

mod export;
mod list;
mod tail;

use std::fmt::Write as _;
use std::time::Duration;

use clap::{Args, Subcommand};
use telepath_client::{KeyId, LoggedRequest, RequestId, RequestsQuery, SecretId, UserId};

pub(crate) use list::newest;

use super::{pages, text};
use crate::config::duration;
use crate::exit::Failure;

/// The largest page that the API returns.
const PAGE: u32 = 100;

/// Subcommands of `requests`.
#[derive(Debug, Subcommand)]
pub(crate) enum RequestsCommand {
    /// Show the latest requests and follow new ones until Ctrl-C
    #[command(after_help = tail::EXAMPLES)]
    Tail(Box<tail::TailArgs>),
    /// List requests, newest first
    #[command(after_help = list::EXAMPLES)]
    List(Box<list::ListArgs>),
    /// Export all matching requests as NDJSON or CSV
    #[command(after_help = export::EXAMPLES)]
    Export(Box<export::ExportArgs>),
}

/// Runs a command.
pub(crate) async fn run(command: RequestsCommand) -> Result<(), Failure> {
    match command {
        RequestsCommand::Tail(args) => tail::run(*args).await,
        RequestsCommand::List(args) => list::run(*args).await,
        RequestsCommand::Export(args) => export::run(*args).await,
    }
}

/// Filters.
#[derive(Debug, Default, Args)]
struct FilterArgs {
    /// Only requests with this key
    #[arg(long, value_name = "KEY", help_heading = "Filters")]
    key: Option<KeyId>,
    /// Only requests with this secret of a key
    #[arg(long, value_name = "SECRET", help_heading = "Filters")]
    secret: Option<SecretId>,
    /// Only requests of this user
    #[arg(long, value_name = "USER", help_heading = "Filters")]
    user: Option<UserId>,
    /// Only this method
    #[arg(long, help_heading = "Filters")]
    method: Option<String>,
    /// Only this route, such as /v1/keys/{id}
    #[arg(long, help_heading = "Filters")]
    route: Option<String>,
    /// Only this path
    #[arg(long, help_heading = "Filters")]
    path: Option<String>,
    /// Only this status (404) or class (4xx)
    #[arg(long, help_heading = "Filters")]
    status: Option<String>,
    /// Only this error code
    #[arg(long, value_name = "CODE", help_heading = "Filters")]
    error_code: Option<String>,
    /// Only this client address
    #[arg(long, help_heading = "Filters")]
    address: Option<String>,
    /// Only this user agent
    #[arg(long, help_heading = "Filters")]
    user_agent: Option<String>,
    /// Only the request with this id
    #[arg(long, value_name = "ID", help_heading = "Filters")]
    request_id: Option<RequestId>,
    /// Only requests that took at least this long, such as 500ms
    #[arg(long, value_name = "TIME", value_parser = duration, help_heading = "Filters")]
    min_duration: Option<Duration>,
}

impl FilterArgs {
    fn query(&self) -> RequestsQuery {
        RequestsQuery {
            key_id: self.key,
            secret_id: self.secret,
            user_id: self.user,
            method: self.method.clone(),
            route: self.route.clone(),
            path: self.path.clone(),
            status: self.status.clone(),
            error_code: self.error_code.clone(),
            address: self.address.clone(),
            user_agent: self.user_agent.clone(),
            request_id: self.request_id,
            min_duration_ms: self
                .min_duration
                .map(|least| u64::try_from(least.as_millis()).unwrap_or(u64::MAX)),
            ..RequestsQuery::default()
        }
    }
}

/// The column headings.
const HEAD: [&str; 6] = ["TIME", "STATUS", "MS", "ADDRESS", "CALLER", "REQUEST"];
/// Column widths for rows that are printed one by one. The address column fits IPv4; fitting the longest IPv6 address would
/// leave most lines half empty.
const WIDTHS: [usize; 5] = [20, 6, 7, 15, 31];

fn cells(request: &LoggedRequest) -> [String; 6] {
    let code = request.error_code.as_deref().map(|code| format!(" ({code})")).unwrap_or_default();
    [
        text::second(request.time),
        request.status.to_string(),
        milliseconds(request.duration_us),
        request.address.map_or("local".to_owned(), |address| address.to_string()),
        caller(request),
        format!("{} {}{code}", request.method, request.path),
    ]
}

/// The key or the user that sent a request.
pub(crate) fn caller(request: &LoggedRequest) -> String {
    let key = request.key_id.map(|key| key.to_string());
    key.or_else(|| request.user_id.map(|user| user.to_string())).unwrap_or_else(|| "-".to_owned())
}

/// Requests as a table.
pub(crate) fn table(requests: &[LoggedRequest]) -> String {
    pages::table(requests, HEAD, cells)
}

/// The heading of rows that are printed one by one.
fn head() -> String {
    columns(&HEAD.map(str::to_owned))
}

/// One request as a row.
fn row(request: &LoggedRequest) -> String {
    columns(&cells(request))
}

fn columns(cells: &[String; 6]) -> String {
    let [first @ .., last] = cells;
    let first = first.iter().zip(WIDTHS).fold(String::new(), |mut line, (cell, width)| {
        // Writing to a String cannot fail.
        let _ = write!(line, "{:width$}  ", text::printable(cell));
        line
    });
    first + &text::printable(last)
}

fn milliseconds(us: u64) -> String {
    format!("{}.{}", us / 1000, us % 1000 / 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_aligned_with_the_heading_and_control_characters_are_replaced() {
        let request: LoggedRequest = serde_json::from_value(serde_json::json!({
            "id": "req_01k9v1n2xrf6t8g3m5q7w9y0za", "time": "2026-01-31T12:00:03.120Z", "method": "GET",
            "key_id": "key_01k9v1n2xrf6t8g3m5q7w9y0za", "path": "/v1/calls\u{1b}[2J", "status": 403,
            "error_code": "INSUFFICIENT_SCOPE", "address": "192.0.2.1", "duration_us": 1250}))
        .unwrap();
        let (head, row) = (head(), row(&request));
        assert!(row.starts_with("2026-01-31T12:00:03Z  403     1.2      192.0.2.1 "), "{row}");
        assert!(row.ends_with("(INSUFFICIENT_SCOPE)") && !row.contains('\u{1b}'), "{row}");
        assert_eq!(head.find("CALLER"), row.find("key_"));
        assert_eq!(head.find("REQUEST"), row.find("GET"));

        let user = "user_01k9v1n2xrf6t8g3m5q7w9y0za";
        let by_user = LoggedRequest { key_id: None, user_id: user.parse().ok(), ..request.clone() };
        assert_eq!(caller(&by_user), user);
        assert_eq!(super::row(&by_user).find("GET"), head.find("REQUEST"));

        let far = LoggedRequest { address: "2001:db8::1234:5678:9abc:def0".parse().ok(), ..request.clone() };
        let table = table(&[request, far]);
        let places: Vec<_> = table.lines().map(|line| line.find("GET").or(line.find("REQUEST"))).collect();
        assert!(places.iter().all(|place| *place == places[0]) && !table.contains('\u{1b}'), "{table}");
    }
}
