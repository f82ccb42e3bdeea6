//! `telepath compromise`: the response to a leaked key, step by step. Each step is described and confirmed before it runs. A
//! failed step does not stop the next ones: the first is the urgent one, and the last lists credentials of other services.

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
    /// Id of the leaked key, key_…
    id: KeyId,
    /// Reason, for the audit trail
    #[arg(long, default_value = "compromised")]
    reason: String,
    /// Grace period of the other keys' old secrets, 0s to 7d
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = expiry::whole_seconds)]
    grace: Duration,
    /// Run all steps without confirmation
    #[arg(long)]
    yes: bool,
    /// Print one JSON object per step
    #[arg(long)]
    json: bool,
}

/// The result of one step.
enum StepResult {
    Done(findings::Finding),
    Skipped,
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

/// The leaked key, and the key that this command uses.
async fn prepare(client: &Client, id: KeyId) -> Result<(Key, Option<KeyId>), Failure> {
    let me = client.whoami().await?;
    if me.id == Some(id) {
        return Err(Failure::new(
            Exit::Usage,
            "this command uses the key itself and could not continue without it",
        )
        .remedy("Set TELEPATH_API_KEY to another key, or run the command on the data folder."));
    }
    let key = client.get_key(id).await?;
    let lacking = steps::lacking(&me.scopes, &key.scopes);
    if me.id.is_some() && !lacking.is_empty() {
        output::note(&format_args!(
            "The key of this command lacks {}. The steps that need it will fail.",
            lacking.join(", ")
        ));
    }
    Ok((key, me.id))
}

async fn walk(mut guide: Guide, consent: Consent, as_json: bool) -> Result<(), Failure> {
    let mut first_failure = None;
    for step in Step::ALL {
        output::note(&format_args!(
            "\nStep {} of {}: {}",
            step.number(),
            Step::ALL.len(),
            guide.describe(step)
        ));
        let outcome = match consent.ask("Do it?").await? {
            Answer::Stop => return Err(stopped(step)),
            Answer::No => StepResult::Skipped,
            Answer::Yes => match guide.take(step).await {
                Ok(finding) => StepResult::Done(finding),
                Err(failure) => StepResult::Failed(failure),
            },
        };
        report(step, &outcome, as_json)?;
        if let StepResult::Failed(failure) = outcome {
            first_failure.get_or_insert(Failure::new(
                failure.exit,
                format!("step {} failed: {failure}", step.number()),
            ));
        }
    }
    if let Some(failure) = first_failure {
        return Err(failure);
    }
    output::note(&"\nFinished. Requests with old secrets will appear in `telepath alerts list`.");
    Ok(())
}

fn stopped(step: Step) -> Failure {
    Failure::plain(format!("stopped before step {}", step.number()))
        .remedy("It is safe to run the command again.")
}

fn report(step: Step, outcome: &StepResult, as_json: bool) -> Result<(), Failure> {
    match outcome {
        StepResult::Done(finding) if as_json => output::json(&object(step, "done", finding.json.clone())),
        StepResult::Skipped if as_json => output::json(&object(step, "skipped", json!({}))),
        StepResult::Failed(failure) if as_json => {
            output::json(&object(step, "failed", json!({"error": failure.to_string()})))
        }
        StepResult::Done(finding) => output::raw(finding.text.as_bytes()),
        StepResult::Skipped => {
            output::note(&"Skipped.");
            Ok(())
        }
        StepResult::Failed(failure) => {
            output::note(&format_args!("Failed: {}", text::printable(&failure.to_string())));
            Ok(())
        }
    }
}

/// One step as JSON: number, name, outcome and findings.
fn object(step: Step, outcome: &str, found: Value) -> Value {
    let mut object = json!({"step": step.number(), "name": step.name(), "outcome": outcome});
    if let (Some(object), Value::Object(found)) = (object.as_object_mut(), found) {
        object.extend(found);
    }
    object
}
