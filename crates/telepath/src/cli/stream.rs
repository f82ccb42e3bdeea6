//! `telepath stream`: follows requests, calls, alerts and deliveries.

use std::time::Duration;

use clap::Args;
use serde_json::value::RawValue;
use telepath_client::{Client, StreamEvent};

use super::choices;
use super::output::{self, Reader};
use super::reach::{Api, ApiArgs};
use crate::exit::{Exit, Failure};
use crate::signals;

pub(super) const EXAMPLES: &str = "\
Examples:
  telepath stream --data-dir data
  telepath stream --data-dir data --kind calls | jq -r 'select(.event == \"call.ended\") | .data.reason'

Prints one JSON object per line, with `event` and `data`. Ctrl-C ends it with exit code 0.";

/// The pause before a stream that has ended is opened again.
const REOPEN_AFTER: Duration = Duration::from_secs(1);

/// Arguments of `stream`.
#[derive(Debug, Args)]
pub(crate) struct StreamArgs {
    #[command(flatten)]
    api: ApiArgs,
    /// Only this kind; can be repeated. Without it, every kind that the key may read
    #[arg(long, value_parser = choices::stream_kinds())]
    kind: Vec<String>,
}

/// Follows the stream, and opens it again where it ended.
pub(super) async fn run(args: StreamArgs) -> Result<(), Failure> {
    let api = Api::open(&args.api).await?;
    let followed = if api.is_alone() {
        Err(Failure::new(Exit::Busy, "no server runs on this folder, so nothing will happen")
            .remedy("Start a server."))
    } else {
        let stop = signals::stop_token()?;
        tokio::select! {
            () = stop.cancelled() => Ok(()),
            followed = follow(api.client(), &args.kind) => followed,
        }
    };
    api.close().await;
    followed
}

async fn follow(client: &Client, kinds: &[String]) -> Result<(), Failure> {
    let mut last_id: Option<String> = None;
    loop {
        let mut stream = client.stream(kinds, last_id.as_deref()).await?;
        // The next stream says why an aborted one ended.
        while let Ok(Some(event)) = stream.next().await {
            let mut line = line_of(&event)?;
            line.push('\n');
            if output::stream(line.as_bytes())? == Reader::Gone {
                return Ok(());
            }
        }
        last_id = stream.last_event_id().map(str::to_owned).or(last_id);
        tokio::time::sleep(REOPEN_AFTER).await;
    }
}

fn line_of(event: &StreamEvent) -> Result<String, Failure> {
    #[derive(serde::Serialize)]
    struct Line<'e> {
        event: &'e str,
        data: &'e RawValue,
    }
    let failed = |error: serde_json::Error| Failure::doing("could not read the stream", &error);
    let data: &RawValue = serde_json::from_str(&event.data).map_err(failed)?;
    serde_json::to_string(&Line { event: &event.name, data }).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_line_of_json() {
        let event = |data: &str| StreamEvent { name: "call.started".to_owned(), data: data.to_owned() };
        let line = line_of(&event("{\"to\": \"a\\nb\"}")).unwrap();
        assert_eq!(line, "{\"event\":\"call.started\",\"data\":{\"to\": \"a\\nb\"}}");
        assert!(line_of(&event("not json")).is_err());
    }
}
