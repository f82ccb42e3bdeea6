//! `telepath requests`: the requests that the API was sent, as they come, as a list, or as a file.

mod export;
mod list;
mod tail;

use std::time::Duration;

use clap::{Args, Subcommand};
use telepath_client::{KeyId, LoggedRequest, RequestId, RequestsQuery};

pub(crate) use list::newest;

use super::text;
use crate::config::duration;
use crate::exit::Failure;

/// The largest page that the API gives.
const PAGE: u32 = 100;

/// What to do with requests.
#[derive(Debug, Subcommand)]
pub(crate) enum RequestsCommand {
    /// Show the last requests and then each new one, until Ctrl-C
    #[command(after_help = tail::EXAMPLES)]
    Tail(Box<tail::TailArgs>),
    /// List requests, the newest first
    #[command(after_help = list::EXAMPLES)]
    List(Box<list::ListArgs>),
    /// Write all requests that match as NDJSON or CSV
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

/// Which requests are meant.
#[derive(Debug, Default, Args)]
struct FilterArgs {
    /// Only those with this key
    #[arg(long, value_name = "KEY", help_heading = "Filters")]
    key: Option<KeyId>,
    /// Only those of this method
    #[arg(long, help_heading = "Filters")]
    method: Option<String>,
    /// Only those on this route, such as /v1/keys/{id}
    #[arg(long, help_heading = "Filters")]
    route: Option<String>,
    /// Only those to this path
    #[arg(long, help_heading = "Filters")]
    path: Option<String>,
    /// Only those answered so: a status (404) or a class (4xx)
    #[arg(long, help_heading = "Filters")]
    status: Option<String>,
    /// Only those answered with this error code
    #[arg(long, value_name = "CODE", help_heading = "Filters")]
    error_code: Option<String>,
    /// Only those from this address
    #[arg(long, help_heading = "Filters")]
    address: Option<String>,
    /// Only those of this program
    #[arg(long, help_heading = "Filters")]
    user_agent: Option<String>,
    /// Only the one with this id
    #[arg(long, value_name = "ID", help_heading = "Filters")]
    request_id: Option<RequestId>,
    /// Only those that took at least this long, such as 500ms
    #[arg(long, value_name = "TIME", value_parser = duration, help_heading = "Filters")]
    min_duration: Option<Duration>,
}

impl FilterArgs {
    fn query(&self) -> RequestsQuery {
        RequestsQuery {
            key_id: self.key,
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

/// The names of the columns that [`row`] prints.
fn head() -> String {
    columns("TIME", "STATUS", "MS", "FROM", "KEY", "REQUEST")
}

/// A request on one line. The columns have fixed widths, because a tail does not know what comes.
pub(crate) fn row(request: &LoggedRequest) -> String {
    let code = request.error_code.as_deref().map(|code| format!(" ({code})")).unwrap_or_default();
    columns(
        &text::second(request.time),
        &request.status.to_string(),
        &milliseconds(request.duration_us),
        &request.address.map_or("local".to_owned(), |address| address.to_string()),
        &request.key_id.map_or("-".to_owned(), |key| key.to_string()),
        &text::plain(&format!("{} {}{code}", request.method, request.path)),
    )
}

fn columns(time: &str, status: &str, ms: &str, from: &str, key: &str, request: &str) -> String {
    format!("{time:<20} {status:<6} {ms:>7}  {from:<15} {key:<30} {request}")
}

fn milliseconds(us: u64) -> String {
    format!("{}.{}", us / 1000, us % 1000 / 100)
}
