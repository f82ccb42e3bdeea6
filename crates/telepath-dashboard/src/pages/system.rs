//! `/settings/system`: how the server is, what it listens on, and every setting with its value and its source. Read-only: the
//! settings are those that the server started with. Only members of the account that the server was set up with see it, because
//! it says nothing about other accounts and much about the server.

mod bundle;
mod configuration;
mod health;

use std::time::Duration;

use askama::Template;
use bytes::Bytes;
use http::Method;
use telepath_core::clock::Timestamp;
use telepath_core::scope::Scope;
use telepath_core::server_status::{CertificateRole, ListenerReach, ServerStatus};
use telepath_store::{ClusterNode, Installation, SignedIn};

use crate::icon;
use crate::navigation::{Entry, Group, SYSTEM};
use crate::number::{self, grouped};
use crate::problem::Problem;
use crate::reply::Reply;
use crate::route::{Outcome, Route};
use crate::shell::{Crumb, Shell};
use crate::time::{Shown, Zone, relative, span};
use crate::visit::Visit;
use health::{Circumstances, Finding};

pub(crate) const ENTRY: Entry = Entry {
    group: Group::Settings,
    place: 5,
    label: "System",
    path: SYSTEM,
    shortcut: 's',
    icon: icon::SYSTEM,
    scope: Scope::AccountRead,
};

pub(crate) fn routes() -> Vec<Route> {
    let scope = Scope::AccountRead;
    vec![
        Route::scoped(Method::GET, SYSTEM, scope, show),
        Route::scoped(Method::GET, "/settings/system/configuration", scope, configuration::show),
        Route::scoped(Method::GET, "/settings/system/bundle", scope, bundle::download),
        Route::scoped(Method::GET, "/settings/system/authority", scope, authority),
    ]
}

/// Refuses members of other accounts.
fn require_own_account(visit: &Visit, caller: &SignedIn) -> Result<(), Problem> {
    if caller.session.account == visit.shared.options.account { Ok(()) } else { Err(Problem::Forbidden) }
}

/// A name and what it is.
struct Fact {
    name: &'static str,
    value: String,
}

impl Fact {
    const fn new(name: &'static str, value: String) -> Self {
        Self { name, value }
    }
}

struct CertificateRow {
    what: &'static str,
    names: String,
    expires: Option<(Shown, String)>,
    renewal: &'static str,
}

struct ListenerRow {
    name: &'static str,
    address: String,
    reach: &'static str,
}

struct NodeRow {
    name: String,
    is_self: bool,
    started: Shown,
    alive: String,
    behind: String,
}

#[derive(Template)]
#[template(path = "pages/system.html")]
struct Page {
    shell: Shell,
    zone: String,
    version: String,
    findings: Vec<Finding>,
    /// The findings that need attention.
    troubles: usize,
    uptime: String,
    database: String,
    database_size: String,
    calls: String,
    max_calls: String,
    ports_in_use: String,
    ports: String,
    data: Vec<Fact>,
    /// When the oldest request was sent that the log still has.
    oldest_request: Option<Shown>,
    certificates: Vec<CertificateRow>,
    has_authority: bool,
    listeners: Vec<ListenerRow>,
    sip: Vec<Fact>,
    nodes: Vec<NodeRow>,
    /// How long this server may go on without the database.
    lease: Option<String>,
    egress: Vec<String>,
    retention: Vec<Fact>,
}

/// Queries: three about the installation, and those of the shell.
async fn show(visit: Visit, caller: SignedIn) -> Outcome {
    require_own_account(&visit, &caller)?;
    let (store, zone) = (visit.store(), visit.zone_of(&caller));
    let status = visit.shared.server.status();
    let installation = store.installation().await?;
    let circumstances = Circumstances::of(store, visit.now);
    let findings = health::findings(&status, &circumstances);
    let shell = Shell::new(&visit, &caller, vec![Crumb::group("Settings")], "System").await?;
    Reply::page(&page(shell, &status, installation, findings, (&zone, visit.now, circumstances.lease_left)))
}

fn page(
    shell: Shell,
    status: &ServerStatus,
    installation: Installation,
    findings: Vec<Finding>,
    (zone, now, lease_left): (&Zone, Timestamp, Option<Duration>),
) -> Page {
    let media = status.media;
    let database_size = number::bytes(installation.database_bytes);
    Page {
        shell,
        zone: zone.abbreviation(now),
        version: status.version.clone(),
        troubles: findings.iter().filter(|finding| finding.needs_attention()).count(),
        findings,
        uptime: span(status.uptime).unwrap_or_else(|| "just started".to_owned()),
        calls: grouped(to_u64(media.calls)),
        max_calls: grouped(to_u64(media.max_calls)),
        ports_in_use: grouped(to_u64(media.ports_in_use)),
        ports: grouped(to_u64(media.ports_total)),
        data: vec![
            Fact::new("Started", relative(now.minus(status.uptime), now)),
            Fact::new("Data folder", status.data_dir.clone()),
            Fact::new("Database", format!("{}, {database_size}", installation.database)),
            Fact::new("Mail server", status.mail_server.clone().unwrap_or_else(|| "none".to_owned())),
        ],
        database: installation.database,
        database_size,
        oldest_request: installation.oldest_request.map(|at| zone.shown(at)),
        certificates: certificates(status, zone, now),
        has_authority: status.certificates.iter().any(|one| one.role == CertificateRole::LocalAuthority),
        listeners: listeners(status),
        sip: sip(status),
        nodes: installation.nodes.iter().map(|node| node_row(node, zone, now)).collect(),
        lease: lease_left.map(|left| format!("{} ms", left.as_millis())),
        egress: status.egress.clone(),
        retention: retention(status),
    }
}

fn to_u64(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

fn certificates(status: &ServerStatus, zone: &Zone, now: Timestamp) -> Vec<CertificateRow> {
    let row = |one: &telepath_core::server_status::CertificateFacts| {
        let (what, renewal) = match one.role {
            CertificateRole::FromFiles => ("Server", "read again from its files on SIGHUP"),
            CertificateRole::FromLocalAuthority => ("Server", "renewed by the server 30 days before"),
            CertificateRole::LocalAuthority => ("Local authority", "clients trust it"),
        };
        let expires = one.expires_at.map(|at| (zone.shown_date(at), relative(at, now)));
        CertificateRow { what, names: one.names.join(", "), expires, renewal }
    };
    status.certificates.iter().map(row).collect()
}

fn listeners(status: &ServerStatus) -> Vec<ListenerRow> {
    let row = |one: &telepath_core::server_status::ListenerStatus| ListenerRow {
        name: one.name,
        address: one.address.clone(),
        reach: reach(one.reach),
    };
    status.listeners.iter().map(row).collect()
}

const fn reach(reach: ListenerReach) -> &'static str {
    match reach {
        ListenerReach::Owner => "The user that runs the server",
        ListenerReach::Machine => "Programs on this machine",
        ListenerReach::Network => "The network",
    }
}

fn sip(status: &ServerStatus) -> Vec<Fact> {
    let (sip, media) = (&status.sip, status.media);
    let (first, last) = media.ports;
    vec![
        Fact::new("SIP socket", format!("{} (UDP)", sip.listen)),
        Fact::new("Address for carriers", sip.advertised.clone()),
        Fact::new("RTP ports", format!("{first}–{last} (UDP)")),
        Fact::new(
            "Ports in use",
            format!("{} of {}", grouped(to_u64(media.ports_in_use)), grouped(to_u64(media.ports_total))),
        ),
    ]
}

fn node_row(node: &ClusterNode, zone: &Zone, now: Timestamp) -> NodeRow {
    NodeRow {
        name: node.name.clone(),
        is_self: node.is_self,
        started: zone.shown(node.started_at),
        alive: relative(node.alive_at, now),
        behind: grouped(node.changes_behind),
    }
}

fn retention(status: &ServerStatus) -> Vec<Fact> {
    let keep = status.retention;
    let kept = |length: Option<Duration>| length.map_or_else(|| "forever".to_owned(), days);
    let log = format!("{}, at most {}", days(keep.request_log), number::bytes(keep.request_log_bytes));
    vec![
        Fact::new("Request log", log),
        Fact::new("Calls", kept(keep.calls)),
        Fact::new("Statistics of calls", days(keep.analytics)),
        Fact::new("Audit entries", kept(keep.audit)),
    ]
}

/// A length of retention, as the settings have it: in days if it is a day or more.
fn days(length: Duration) -> String {
    match length.as_secs() / 86_400 {
        0 => span(length).unwrap_or_default(),
        days => number::counted(days, "day", "days"),
    }
}

/// The certificate of the local authority, for clients that should trust it.
async fn authority(visit: Visit, caller: SignedIn) -> Outcome {
    require_own_account(&visit, &caller)?;
    let pem = visit.shared.server.local_authority();
    let pem = pem.ok_or(Problem::NotFound("This server has no local certificate authority"))?;
    Ok(Reply::file("telepath-ca.pem".to_owned(), "application/x-pem-file", Bytes::from(pem)))
}
