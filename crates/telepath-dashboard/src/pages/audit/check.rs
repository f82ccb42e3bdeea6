//! The check of the chain: run by button, because it reads the whole trail. Its result is kept until the server stops.

use telepath_core::clock::Timestamp;
use telepath_store::{AuditReport, AuditVerdict, SignedIn};

use crate::number::{counted, grouped};
use crate::reply::Reply;
use crate::route::Outcome;
use crate::time::{Shown, Zone, relative};
use crate::visit::Visit;

/// The result of a check as the page shows it.
pub(super) struct Chain {
    pub(super) entries: String,
    /// The first entry that does not match.
    pub(super) broken_at: Option<String>,
    pub(super) head: String,
    pub(super) at: Shown,
    pub(super) ago: String,
    /// The entries that were deleted because they were older than the trail is kept.
    pub(super) expired: Option<String>,
}

impl Chain {
    pub(super) fn of(at: Timestamp, report: &AuditReport, zone: &Zone, now: Timestamp) -> Self {
        let (entries, broken_at) = match report.verdict {
            AuditVerdict::Intact { entries } => (entries, None),
            AuditVerdict::Broken { position } => {
                (report.head.position.saturating_sub(report.anchor.position), Some(grouped(position)))
            }
        };
        let expired = report.anchor.position;
        Self {
            entries: counted(entries, "entry", "entries"),
            broken_at,
            head: report.head.to_string(),
            at: zone.shown(at),
            ago: relative(at, now),
            expired: (expired > 0).then(|| counted(expired, "older entry", "older entries")),
        }
    }
}

pub(super) async fn check(visit: Visit, caller: SignedIn) -> Outcome {
    let account = caller.session.account;
    let report = visit.store().verify_audit(account, None).await?;
    visit.shared.checks.keep(account, visit.now, report);
    Ok(Reply::see_other("/audit"))
}
