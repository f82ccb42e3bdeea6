//! `telepath audit`: lists and verifies the audit trail.

use clap::{Args, Subcommand};
use telepath_client::{AuditEvent, AuditQuery, AuditVerification, Client};
use telepath_core::clock::{Clock as _, SystemClock};

use super::expiry::past;
use super::pages::{self, Listing};
use super::reach::{ApiArgs, with_client};
use super::{choices, output, text};
use crate::exit::Failure;

const LIST_EXAMPLES: &str = "\
Examples:
  telepath audit list --data-dir data --since 7d
  telepath audit list --data-dir data --target key_01k9v1n2xrf6t8g3m5q7w9y0za --json
  telepath audit list --data-dir data --action key.revoked";

const VERIFY_EXAMPLES: &str = "\
Examples:
  telepath audit verify --data-dir data
  telepath audit verify --api-url https://voice.example:8443 --json

Exit code 0 if the hash chain is intact, 1 if it is broken.";

/// Subcommands of `audit`.
#[derive(Debug, Subcommand)]
pub(crate) enum AuditCommand {
    /// List audit events, newest first
    #[command(after_help = LIST_EXAMPLES)]
    List(Box<ListArgs>),
    /// Verify the hash chain
    #[command(after_help = VERIFY_EXAMPLES)]
    Verify(Box<VerifyArgs>),
}

/// Arguments of `audit list`.
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    api: ApiArgs,
    /// Only events of this actor: a key id, a user id, local or system
    #[arg(long, help_heading = "Filters")]
    actor: Option<String>,
    /// Only this action, such as key.created
    #[arg(long, value_parser = choices::audit_actions(), hide_possible_values = true, help_heading = "Filters")]
    action: Option<String>,
    /// Only events about this id
    #[arg(long, value_name = "ID", help_heading = "Filters")]
    target: Option<String>,
    /// Start: a duration ago (24h) or an RFC 3339 date-time
    #[arg(long, value_name = "WHEN", help_heading = "Filters")]
    since: Option<String>,
    /// End: a duration ago (1h) or an RFC 3339 date-time
    #[arg(long, value_name = "WHEN", help_heading = "Filters")]
    until: Option<String>,
    /// Maximum number of rows
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    limit: u32,
    /// Print a JSON array, with the values before and after
    #[arg(long)]
    json: bool,
}

/// Arguments of `audit verify`.
#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    #[command(flatten)]
    api: ApiArgs,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

/// Runs a command.
pub(crate) async fn run(command: AuditCommand) -> Result<(), Failure> {
    match command {
        AuditCommand::List(args) => list(*args).await,
        AuditCommand::Verify(args) => verify(*args).await,
    }
}

async fn list(args: ListArgs) -> Result<(), Failure> {
    let now = SystemClock.now();
    let query = AuditQuery {
        actor: args.actor,
        action: args.action,
        target: args.target,
        start_date: past("--since", args.since.as_deref(), now)?,
        end_date: past("--until", args.until.as_deref(), now)?,
        ..AuditQuery::default()
    };
    let listing = with_client(&args.api, async |client| newest(client, &query, args.limit).await).await?;
    pages::print(&listing.items, args.json, "No audit events.", HEAD, cells)?;
    if !args.json {
        listing.note_more();
    }
    Ok(())
}

/// The newest matching entries.
pub(crate) async fn newest(
    client: &Client,
    query: &AuditQuery,
    limit: u32,
) -> Result<Listing<AuditEvent>, Failure> {
    pages::by_cursor(limit, async |size, cursor| {
        client.list_audit_events(&AuditQuery { limit: Some(size), cursor, ..query.clone() }).await
    })
    .await
}

const HEAD: [&str; 5] = ["TIME", "ACTION", "TARGET", "ACTOR", "ADDRESS"];

fn cells(event: &AuditEvent) -> [String; 5] {
    [
        text::second(event.time),
        event.action.clone(),
        event.target.clone(),
        event.actor.clone(),
        event.address.map_or("-".to_owned(), |address| address.to_string()),
    ]
}

/// Entries as a table.
pub(crate) fn table(events: &[AuditEvent]) -> String {
    pages::table(events, HEAD, cells)
}

async fn verify(args: VerifyArgs) -> Result<(), Failure> {
    let check = with_client(&args.api, async |client| Ok(client.verify_audit().await?)).await?;
    if args.json {
        output::json(&check)?;
    }
    let told = verdict(&check)?;
    if args.json { Ok(()) } else { output::line(&told) }
}

/// The result as a sentence. A broken trail is a failure.
fn verdict(check: &AuditVerification) -> Result<String, Failure> {
    let count = text::count(check.entries, "entry", "entries");
    if check.intact {
        return Ok(format!("The audit trail is intact: {count}."));
    }
    let place = check.broken_at.map_or("an unknown place".to_owned(), |place| format!("entry {place}"));
    Err(Failure::plain(format!("the audit trail is broken at {place}; {count} before it are intact"))
        .remedy("Rows were changed or deleted in the database. Compare it with a backup."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broken_audit_trail_is_a_failure_that_names_the_entry() {
        let whole = AuditVerification { intact: true, entries: 7, broken_at: None };
        assert!(verdict(&whole).unwrap().contains("7 entries"));
        let broken =
            verdict(&AuditVerification { intact: false, entries: 2, broken_at: Some(3) }).unwrap_err();
        assert_eq!(broken.exit, crate::exit::Exit::Failure);
        assert!(broken.message.ends_with("broken at entry 3; 2 entries before it are intact"), "{broken}");
    }
}
