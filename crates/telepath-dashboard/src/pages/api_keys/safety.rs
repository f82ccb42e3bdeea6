//! Which keys ask for attention, grouped by what is found about them, each with its next step.

use askama::Template;
use telepath_core::scope::Scope;
use telepath_store::{FoundKey, KeyFinding, SignedIn};

use super::people::{names, who};
use super::{crumbs, mask_of, may_change, path_of};
use crate::mark::Mark;
use crate::number::{counted, grouped};
use crate::reply::Reply;
use crate::route::Outcome;
use crate::shell::Shell;
use crate::time::relative;
use crate::visit::Visit;

pub(super) const PATH: &str = "/settings/api-keys/safety";

/// The order of the groups: what is quickest to do comes first.
const ORDER: [KeyFinding; 4] =
    [KeyFinding::SafeToRemove, KeyFinding::NeverExpires, KeyFinding::NearLimit, KeyFinding::Idle];

#[derive(Template)]
#[template(path = "pages/key_safety.html")]
struct Page {
    shell: Shell,
    groups: Vec<Group>,
    has_more: bool,
    may_write: bool,
}

impl Page {
    fn is_all_well(&self) -> bool {
        self.groups.iter().all(|group| group.rows.is_empty())
    }
}

struct Group {
    /// Where the figure above leads.
    anchor: &'static str,
    title: &'static str,
    /// What the group means.
    text: String,
    dot: &'static str,
    rows: Vec<Row>,
}

struct Row {
    path: String,
    mark: Mark,
    name: String,
    mask: String,
    owner: String,
    last_used: String,
    note: String,
    /// The words and the path of what to do; without a path for those who may not do it.
    step: (&'static str, Option<String>),
}

/// Reads the keys (2) and who created them (1).
pub(super) async fn show(visit: Visit, caller: SignedIn) -> Outcome {
    let safety = visit.store().key_safety(caller.session.account).await?;
    let names = names(&visit, &caller, safety.keys.iter().map(|found| found.key.created_by), []).await?;
    let idle = counted(safety.idle_for.as_secs() / 86_400, "day", "days");
    let group = |finding: KeyFinding| {
        let (anchor, title, dot, text) = words(finding, &idle, safety.limit_percent);
        let found = safety.keys.iter().filter(|found| found.findings.contains(&finding));
        let rows = found.map(|found| row(found, finding, who(found.key.created_by, &names), &visit, &caller));
        Group { anchor, title, text, dot, rows: rows.collect() }
    };
    Reply::page(&Page {
        groups: ORDER.into_iter().map(group).collect(),
        has_more: safety.has_more,
        may_write: caller.role.scopes().allows(Scope::KeysWrite),
        shell: Shell::new(&visit, &caller, crumbs(), "Key safety").await?,
    })
}

/// The anchor, the title, the class of the dot and the meaning of a group.
fn words(
    finding: KeyFinding,
    idle: &str,
    percent: u32,
) -> (&'static str, &'static str, &'static str, String) {
    match finding {
        KeyFinding::SafeToRemove => (
            "removable",
            "Safe to remove",
            "dot-bad",
            format!("Not used for {idle}, without a previous secret that works and without an open alert."),
        ),
        KeyFinding::Idle => (
            "idle",
            "Idle, with something to look at first",
            "dot-warn",
            format!("Not used for {idle}, but a previous secret still works or an alert is open."),
        ),
        KeyFinding::NearLimit => (
            "limit",
            "Close to their limit",
            "dot-warn",
            format!("At {percent}% of the limit or beyond it in a minute of the last 24 hours."),
        ),
        KeyFinding::NeverExpires => (
            "never-expire",
            "Never expire",
            "dot-warn",
            "A key that leaks unnoticed works until somebody revokes it. An expiry bounds that.".to_owned(),
        ),
    }
}

fn row(found: &FoundKey, finding: KeyFinding, owner: String, visit: &Visit, caller: &SignedIn) -> Row {
    let key = &found.key;
    let path = path_of(key.id);
    let (label, below, note) = match finding {
        KeyFinding::SafeToRemove => ("Revoke", "/revoke", String::new()),
        KeyFinding::Idle => ("Confirm with the owner, then revoke", "/revoke", String::new()),
        KeyFinding::NearLimit => ("Raise the limit", "/edit", busy(found)),
        KeyFinding::NeverExpires => ("Set an expiry", "/edit", String::new()),
    };
    Row {
        mark: Mark::of(key.id),
        name: key.name.clone(),
        mask: mask_of(key).to_owned(),
        owner,
        last_used: key.last_use.map_or_else(
            || format!("never; created {}", relative(key.created_at, visit.now)),
            |last| relative(last.at, visit.now),
        ),
        note,
        step: (label, may_change(caller, key).then(|| format!("{path}{below}"))),
        path,
    }
}

/// The busiest minute of a key against its limit.
fn busy(found: &FoundKey) -> String {
    let limit = grouped(found.key.rate_limit.get().into());
    let most = grouped(found.busiest_minute);
    let rejected = match found.limited {
        0 => String::new(),
        limited => format!("; {} rejected", counted(limited, "request", "requests")),
    };
    format!("{most} of {limit} in its busiest minute{rejected}")
}
