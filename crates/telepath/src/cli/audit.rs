//! `telepath audit`: who changed what, and whether that record is whole.

use clap::{Args, Subcommand};
use telepath_client::{AuditCheck, AuditEvent, AuditQuery, Client};
use telepath_core::clock::{Clock as _, SystemClock};

use super::expiry::past;
use super::reach::{ApiArgs, with_client};
use super::{output, text};
use crate::exit::Failure;

/// The largest page that the API gives.
const PAGE: u32 = 100;

const LIST_EXAMPLES: &str = "\
Examples:
  telepath audit list --data-dir data --since 7d
  telepath audit list --data-dir data --target key_01k9v1n2xrf6t8g3m5q7w9y0za --json
  telepath audit list --data-dir data --action key.revoked";

const VERIFY_EXAMPLES: &str = "\
Examples:
  telepath audit verify --data-dir data
  telepath audit verify --api-url https://voice.example:8443 --json

Exit code 0 when every entry fits the one before, 1 when one does not.";

/// What to do with the audit trail.
#[derive(Debug, Subcommand)]
pub(crate) enum AuditCommand {
    /// List entries, the newest first
    #[command(after_help = LIST_EXAMPLES)]
    List(Box<ListArgs>),
    /// Check the whole chain of hashes
    #[command(after_help = VERIFY_EXAMPLES)]
    Verify(Box<VerifyArgs>),
}

/// Arguments of `audit list`.
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    api: ApiArgs,
    /// Only what this one did: a key's id, a user's id, local or system
    #[arg(long, help_heading = "Filters")]
    actor: Option<String>,
    /// Only this action, such as key.created
    #[arg(long, help_heading = "Filters")]
    action: Option<String>,
    /// Only what was done to this id
    #[arg(long, value_name = "ID", help_heading = "Filters")]
    target: Option<String>,
    /// From when: a length of time ago (24h) or an RFC 3339 date-time
    #[arg(long, value_name = "WHEN", help_heading = "Filters")]
    since: Option<String>,
    /// Until when
    #[arg(long, value_name = "WHEN", help_heading = "Filters")]
    until: Option<String>,
    /// How many at most
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    limit: u32,
    /// Print a JSON array, with what was before and after
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
    let (events, total) =
        with_client(&args.api, async |client| newest(client, &query, args.limit).await).await?;
    if args.json {
        return output::json(&events);
    }
    if events.is_empty() {
        return output::line(&"No entries.");
    }
    output::raw(table(&events).as_bytes())?;
    if total > events.len() as u64 {
        output::tell(&format_args!("These are {} of {total}: see --limit.", events.len()));
    }
    Ok(())
}

/// The newest entries that match, and how many match in all.
pub(crate) async fn newest(
    client: &Client,
    query: &AuditQuery,
    limit: u32,
) -> Result<(Vec<AuditEvent>, u64), Failure> {
    let wanted = usize::try_from(limit).unwrap_or(usize::MAX);
    let mut events: Vec<AuditEvent> = Vec::new();
    let mut cursor = None;
    loop {
        let missing = u32::try_from(wanted - events.len()).unwrap_or(PAGE);
        let page = client
            .list_audit_events(&AuditQuery { limit: Some(missing.min(PAGE)), cursor, ..query.clone() })
            .await?;
        events.extend(page.items);
        events.truncate(wanted);
        cursor = page.pagination.next_cursor;
        if events.len() == wanted || cursor.is_none() {
            return Ok((events, page.pagination.total));
        }
    }
}

/// Entries as a table.
pub(crate) fn table(events: &[AuditEvent]) -> String {
    let row = |event: &AuditEvent| {
        vec![
            text::second(event.time),
            event.action.clone(),
            event.target.clone().unwrap_or_else(|| "-".to_owned()),
            event.actor.clone(),
            event.address.map_or("-".to_owned(), |address| address.to_string()),
        ]
    };
    let head = ["TIME", "ACTION", "TARGET", "BY", "FROM"];
    output::table(&head, &events.iter().map(row).collect::<Vec<_>>())
}

async fn verify(args: VerifyArgs) -> Result<(), Failure> {
    let check = with_client(&args.api, async |client| Ok(client.verify_audit().await?)).await?;
    if args.json {
        output::json(&check)?;
    }
    let told = verdict(&check)?;
    if args.json { Ok(()) } else { output::line(&told) }
}

/// What the check says to people; a trail that is not whole is a failure.
fn verdict(check: &AuditCheck) -> Result<String, Failure> {
    let count = text::counted(check.entries, "entry", "entries");
    if check.intact {
        return Ok(format!("The audit trail is whole: {count}, each fits the one before."));
    }
    let place = check.broken_at.map_or("an unknown place".to_owned(), |place| format!("entry {place}"));
    Err(Failure::plain(format!("the audit trail is broken at {place}; before it {count} fit"))
        .remedy("Somebody changed or removed rows in the database: compare with a backup."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trail_that_is_not_whole_is_a_failure_that_says_where() {
        let whole = AuditCheck { intact: true, entries: 7, broken_at: None };
        assert!(verdict(&whole).unwrap().contains("7 entries"));
        let broken = verdict(&AuditCheck { intact: false, entries: 2, broken_at: Some(3) }).unwrap_err();
        assert_eq!(broken.exit, crate::exit::Exit::Failure);
        assert!(broken.message.ends_with("broken at entry 3; before it 2 entries fit"), "{broken}");
    }
}
