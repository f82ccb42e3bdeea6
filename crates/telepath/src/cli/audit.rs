//! `telepath audit`: lists and verifies the audit trail.

use std::fmt::Write as _;

use clap::{Args, Subcommand};
use telepath_client::{AuditEvent, AuditQuery, AuditVerification, Client};
use telepath_core::audit::{ChainHead, ExpectedHead};
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
  telepath audit verify --data-dir data --expect-head 17:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08

Exit code 0 if the hash chain is intact and contains the expected head, 1 if not.";

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
    /// Fail unless the chain contains this head, from the log or from an earlier verification
    #[arg(long, value_name = "POSITION:HASH")]
    expect_head: Option<ChainHead>,
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
    let expected = args.expect_head.map(|head| head.to_string());
    let check =
        with_client(&args.api, async |client| Ok(client.verify_audit(expected.as_deref()).await?)).await?;
    if args.json {
        output::json(&check)?;
    }
    let told = verdict(&check)?;
    if args.json { Ok(()) } else { output::line(&told) }
}

/// The result as sentences. A broken trail is a failure, and so is one without the expected head.
fn verdict(check: &AuditVerification) -> Result<String, Failure> {
    let count = text::count(check.entries, "entry", "entries");
    if !check.intact {
        let place = check.broken_at.map_or("an unknown place".to_owned(), |place| format!("entry {place}"));
        let message = format!("the audit trail is broken at {place}; {count} before it are intact");
        return Err(Failure::plain(message)
            .remedy("Rows were changed or deleted in the database. Compare it with a backup."));
    }
    if let Some(problem) = head_problem(check.expected_head.as_deref()) {
        return Err(Failure::plain(problem.to_owned()).remedy(
            "Compare the database with a backup, and --expect-head with the log that it was copied from.",
        ));
    }
    let mut told = format!("The audit trail is intact: {count}. Its head is {}.", check.head);
    if check.expired_up_to > 0 {
        let _ = write!(
            told,
            "\nEntries up to {} are past their retention and were deleted.",
            check.expired_up_to
        );
    }
    if check.unkeyed_up_to > check.expired_up_to {
        let _ = write!(
            told,
            "\nEntries up to {} were written by an earlier version, without a key: someone who could write to the \
             database before the upgrade may have replaced them.",
            check.unkeyed_up_to
        );
    }
    Ok(told)
}

/// What is wrong with the head that was expected; the values are those of the API.
fn head_problem(expected: Option<&str>) -> Option<&'static str> {
    match ExpectedHead::from_name(expected?) {
        Some(ExpectedHead::Found) => None,
        Some(ExpectedHead::Different) => {
            Some("the audit trail has another entry at the position of --expect-head; it was replaced")
        }
        Some(ExpectedHead::Missing) => Some(
            "the audit trail ends before --expect-head; entries were deleted, or an older database was restored",
        ),
        Some(ExpectedHead::Expired) => {
            Some("the entry of --expect-head is past its retention and was deleted; expect a newer head")
        }
        None => Some("the server reports a state of --expect-head that this version does not know"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn intact() -> AuditVerification {
        AuditVerification {
            intact: true,
            entries: 7,
            broken_at: None,
            head: "7:ab".to_owned(),
            expired_up_to: 0,
            unkeyed_up_to: 0,
            expected_head: None,
        }
    }

    #[test]
    fn a_broken_audit_trail_is_a_failure_that_names_the_entry() {
        assert_eq!(verdict(&intact()).unwrap(), "The audit trail is intact: 7 entries. Its head is 7:ab.");
        let check = AuditVerification { intact: false, entries: 2, broken_at: Some(3), ..intact() };
        let broken = verdict(&check).unwrap_err();
        assert_eq!(broken.exit, crate::exit::Exit::Failure);
        assert!(broken.message.ends_with("broken at entry 3; 2 entries before it are intact"), "{broken}");
    }

    #[test]
    fn an_audit_trail_without_the_expected_head_is_a_failure() {
        let check = |state: &str| AuditVerification { expected_head: Some(state.to_owned()), ..intact() };
        assert!(verdict(&check("found")).is_ok());
        for state in ["different", "missing", "expired", "a state of a newer server"] {
            assert_eq!(verdict(&check(state)).unwrap_err().exit, crate::exit::Exit::Failure, "{state}");
        }
    }

    #[test]
    fn entries_that_are_deleted_or_linked_without_a_key_are_mentioned() {
        let check = AuditVerification { expired_up_to: 3, unkeyed_up_to: 5, ..intact() };
        let told = verdict(&check).unwrap();
        assert!(told.contains("up to 3 are past their retention") && told.contains("up to 5"), "{told}");
        let all_keyed = AuditVerification { expired_up_to: 5, ..check };
        assert!(!verdict(&all_keyed).unwrap().contains("without a key"));
    }
}
