//! `telepath compromise`: what to do when others may know a key, step by step. Each step is shown before it is done and
//! asked for; one that fails does not keep the next ones from being done, because the first is the urgent one and the
//! last tells of secrets outside of this server.

mod findings;
mod steps;

use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};
use telepath_client::{Client, Key, KeyId};
use telepath_core::clock::{Clock as _, SystemClock};

use super::consent::{Answer, Consent};
use super::reach::{ApiArgs, with_client};
use super::{expiry, output, text};
use crate::exit::{Exit, Failure};
use steps::{Guide, Step};

/// Arguments of `compromise`.
#[derive(Debug, Args)]
pub(crate) struct CompromiseArgs {
    #[command(flatten)]
    api: ApiArgs,
    /// The key that others may know, key_…
    id: KeyId,
    /// Why, for the audit trail
    #[arg(long, default_value = "compromised")]
    reason: String,
    /// How long the old secrets of the other keys go on working, 0s to 7d
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = expiry::whole_seconds)]
    grace: Duration,
    /// Do all steps without asking
    #[arg(long)]
    yes: bool,
    /// Print one JSON object for each step
    #[arg(long)]
    json: bool,
}

/// What came of one step.
enum Outcome {
    Done(findings::Finding),
    LeftOut,
    Failed(Failure),
}

/// Runs the command.
pub(crate) async fn run(args: CompromiseArgs) -> Result<(), Failure> {
    let consent = Consent::of(args.yes)?;
    with_client(&args.api, async |client| {
        let (key, own) = prepare(client, args.id).await?;
        let guide = Guide {
            client: client.clone(),
            own,
            key,
            reason: args.reason.clone(),
            grace: args.grace,
            begun: SystemClock.now(),
        };
        walk(guide, consent, args.json).await
    })
    .await
}

/// The key, and the key that this command itself uses.
async fn prepare(client: &Client, id: KeyId) -> Result<(Key, Option<KeyId>), Failure> {
    let me = client.whoami().await?;
    if me.id == Some(id) {
        return Err(Failure::new(
            Exit::Usage,
            "this is the key that the command itself uses, and it would end with it",
        )
        .remedy("Give another key in TELEPATH_API_KEY, or run the command on the data folder."));
    }
    let key = client.get_key(id).await?;
    let lacking = steps::lacking(&me.scopes, &key.scopes);
    if me.id.is_some() && !lacking.is_empty() {
        output::tell(&format_args!(
            "The key of this command lacks {}: the steps that need it will fail.",
            lacking.join(", ")
        ));
    }
    Ok((key, me.id))
}

async fn walk(mut guide: Guide, consent: Consent, as_json: bool) -> Result<(), Failure> {
    let mut first_failure = None;
    for step in Step::ALL {
        output::tell(&format_args!(
            "\nStep {} of {}: {}",
            step.number(),
            Step::ALL.len(),
            guide.describe(step)
        ));
        let outcome = match consent.ask("Do it?").await? {
            Answer::Stop => return Err(stopped(step)),
            Answer::No => Outcome::LeftOut,
            Answer::Yes => match guide.take(step).await {
                Ok(finding) => Outcome::Done(finding),
                Err(failure) => Outcome::Failed(failure),
            },
        };
        report(step, &outcome, as_json)?;
        if let Outcome::Failed(failure) = outcome {
            first_failure.get_or_insert(Failure::new(
                failure.exit,
                format!("step {} was not done: {failure}", step.number()),
            ));
        }
    }
    if let Some(failure) = first_failure {
        return Err(failure);
    }
    output::tell(&"\nAll steps are over. Old secrets in use will show up in `telepath alerts list`.");
    Ok(())
}

fn stopped(step: Step) -> Failure {
    Failure::plain(format!("stopped before step {}", step.number()))
        .remedy("Running the command again is safe: what is done stays done.")
}

fn report(step: Step, outcome: &Outcome, as_json: bool) -> Result<(), Failure> {
    match outcome {
        Outcome::Done(finding) if as_json => output::json(&object(step, "done", finding.json.clone())),
        Outcome::LeftOut if as_json => output::json(&object(step, "left_out", json!({}))),
        Outcome::Failed(failure) if as_json => {
            output::json(&object(step, "failed", json!({"error": failure.to_string()})))
        }
        Outcome::Done(finding) => output::raw(finding.text.as_bytes()),
        Outcome::LeftOut => {
            output::tell(&"Left out.");
            Ok(())
        }
        Outcome::Failed(failure) => {
            output::tell(&format_args!("Failed: {}", text::plain(&failure.to_string())));
            Ok(())
        }
    }
}

/// One step as JSON: its number and name, what came of it, and what it found.
fn object(step: Step, outcome: &str, found: Value) -> Value {
    let mut object = json!({"step": step.number(), "name": step.name(), "outcome": outcome});
    if let (Some(object), Value::Object(found)) = (object.as_object_mut(), found) {
        object.extend(found);
    }
    object
}
