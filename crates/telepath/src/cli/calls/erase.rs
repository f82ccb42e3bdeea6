//! `telepath calls erase`: erases a call, or a number.

use clap::Args;
use serde_json::json;
use telepath_client::{CallId, Client, NumberErased};

use crate::cli::consent::{Answer, Consent};
use crate::cli::output;
use crate::cli::reach::{ApiArgs, with_client};
use crate::cli::text::count;
use crate::exit::Failure;

/// Arguments of `calls erase`.
#[derive(Debug, Args)]
pub(crate) struct EraseArgs {
    #[command(flatten)]
    api: ApiArgs,
    /// Call id, call_…
    #[arg(required_unless_present = "number")]
    id: Option<CallId>,
    /// Erase this number, in international form, from all calls
    #[arg(long, value_name = "NUMBER", conflicts_with = "id")]
    number: Option<String>,
    /// Do not ask for confirmation
    #[arg(long)]
    yes: bool,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: EraseArgs) -> Result<(), Failure> {
    let consent = Consent::of(args.yes)?;
    match consent.ask("This cannot be undone. Erase?").await? {
        Answer::Yes => {}
        Answer::No | Answer::Stop => return output::line(&"Nothing was erased."),
    }
    match (args.id, args.number) {
        (Some(id), _) => {
            with_client(&args.api, async |client| Ok(client.erase_call(id).await?)).await?;
            if args.json {
                output::json(&json!({ "id": id }))
            } else {
                output::line(&format_args!("Erased {id}."))
            }
        }
        (None, number) => {
            let number = number.unwrap_or_default();
            let erased = with_client(&args.api, async |client| whole(client, &number).await).await?;
            if args.json { output::json(&erased) } else { output::line(&describe(&erased)) }
        }
    }
}

/// Looks at every call, however many responses that takes.
async fn whole(client: &Client, number: &str) -> Result<NumberErased, Failure> {
    let mut all = NumberErased { erased_calls: 0, cleared_calls: 0, live_calls: 0, next_cursor: None };
    loop {
        let part = client.erase_number(number, all.next_cursor).await?;
        all.erased_calls += part.erased_calls;
        all.cleared_calls += part.cleared_calls;
        all.live_calls += part.live_calls;
        all.next_cursor = part.next_cursor;
        if all.next_cursor.is_none() {
            return Ok(all);
        }
    }
}

fn describe(erased: &NumberErased) -> String {
    let live = match erased.live_calls {
        0 => String::new(),
        live => format!(
            " {} with the number stay; erase again when they have ended.",
            count(live, "live call", "live calls")
        ),
    };
    format!(
        "Erased {}, and the SIP messages of {} more.{live}",
        count(erased.erased_calls, "call", "calls"),
        count(erased.cleared_calls, "call", "calls")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn live_calls_that_stay_are_mentioned() {
        let mut erased = NumberErased { erased_calls: 3, cleared_calls: 1, live_calls: 0, next_cursor: None };
        assert_eq!(describe(&erased), "Erased 3 calls, and the SIP messages of 1 call more.");
        erased.live_calls = 2;
        assert!(
            describe(&erased)
                .ends_with("2 live calls with the number stay; erase again when they have ended.")
        );
    }
}
