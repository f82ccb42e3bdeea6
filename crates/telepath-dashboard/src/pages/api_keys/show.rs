//! One key: what it may do, its secrets, who uses it, and what can be done with it.

use askama::Template;
use telepath_core::account::Actor;
use telepath_core::key::{KeyRecord, KeyStatus, SecretStatus, describe_access};
use telepath_core::scope::Scope;
use telepath_store::{KeyUsage, SignedIn};

use super::requests_chart::{self, RANGES};
use super::status::{self, OpenAlerts};
use super::verdict::{Facts, Verdict};
use super::{NOT_FOUND, crumbs, key_in_path, may_change, path_of};
use crate::call_series::{Range, RangeLink};
use crate::chart::Chart;
use crate::chip::Chip;
use crate::mark::Mark;
use crate::number::grouped;
use crate::problem::Problem;
use crate::reply::Reply;
use crate::route::Outcome;
use crate::shell::Shell;
use crate::time::{Shown, Zone, relative, span};
use crate::visit::Visit;

/// Addresses and routes that the page lists.
const LISTED: usize = 8;

#[derive(Template)]
#[template(path = "pages/api_key.html")]
struct Page {
    shell: Shell,
    mark: Mark,
    path: String,
    id: String,
    name: String,
    description: Option<String>,
    status: Chip,
    done: Option<&'static str>,
    verdict: Verdict,
    ranges: Vec<RangeLink>,
    chart: Chart,
    as_table: bool,
    other_form: String,
    range: &'static str,
    base: String,
    summary: String,
    scopes: Vec<(&'static str, &'static str)>,
    requests: String,
    client_errors: String,
    server_errors: String,
    total: String,
    last_used: String,
    last_address: String,
    secrets: Vec<SecretRow>,
    routes: Vec<(String, String, String)>,
    addresses: Vec<AddressRow>,
    created: Shown,
    created_by: String,
    expires: Option<Shown>,
    networks: String,
    limit: String,
    zone: String,
    may_change: bool,
    status_now: KeyStatus,
}

impl Page {
    const fn is_paused(&self) -> bool {
        matches!(self.status_now, KeyStatus::Paused)
    }

    const fn is_ended(&self) -> bool {
        matches!(self.status_now, KeyStatus::Expired | KeyStatus::Revoked)
    }
}

struct SecretRow {
    id: String,
    mask: String,
    word: &'static str,
    class: &'static str,
    note: String,
    last_used: String,
    can_end: bool,
}

struct AddressRow {
    address: String,
    last: String,
    requests: String,
}

/// Reads the key (1), who created it (1), its usage in the range (4), and its open alerts (1).
pub(super) async fn show(visit: Visit, caller: SignedIn) -> Outcome {
    let key = key_in_path(&visit, &caller).await?;
    let (account, zone, path) = (caller.session.account, visit.zone_of(&caller), path_of(key.id));
    let range = Range::named(visit.query.get("range"), &RANGES, Range::Day);
    let end = visit.now.plus(std::time::Duration::from_secs(1));
    let start = range.start(visit.now);
    let usage = visit.store().key_usage(account, key.id, None, range.span(), start, end).await?;
    let usage = usage.ok_or(Problem::NotFound(NOT_FOUND))?;
    let alerts = OpenAlerts::of(&visit, account, Some(key.id)).await?;
    let classes = requests_chart::totals(&usage.rows);
    let facts =
        Facts { key: &key, alerts: alerts.about(key.id), requests: classes, now: visit.now, zone: &zone };
    let as_table = visit.query.text("as") == "table";
    let at = |range: Range, table: bool| {
        format!("{path}?range={}{}", range.name(), if table { "&as=table" } else { "" })
    };
    let status_now = key.status(visit.now);
    let until = key.expires_at.map(|end| zone.date(end));
    let may_change = may_change(&caller, &key);
    let [good, client, limited, server] = classes;
    Reply::page(&Page {
        mark: Mark::of(key.id),
        id: key.id.to_string(),
        name: key.name.clone(),
        description: key.description.clone(),
        status: status::of_key(&key, alerts.worst(key.id), visit.now),
        done: done(&visit),
        verdict: facts.verdict(),
        ranges: range.links(&RANGES, |one| at(one, as_table)),
        chart: requests_chart::draw((key.id, &key.name), range, &usage.rows, &zone, visit.now),
        as_table,
        other_form: at(range, !as_table),
        range: range.label(),
        base: visit.origin.clone(),
        summary: describe_access(key.scopes, key.rate_limit, &key.allowed_ips, until.as_deref()),
        scopes: Scope::ALL
            .iter()
            .filter(|scope| key.scopes.contains(**scope))
            .map(|scope| (scope.name(), scope.describe()))
            .collect(),
        requests: grouped(good + client + limited + server),
        client_errors: grouped(client + limited),
        server_errors: grouped(server),
        total: grouped(key.request_count),
        last_used: key.last_use.map_or_else(|| "Never".to_owned(), |last| relative(last.at, visit.now)),
        last_address: key.last_use.map_or_else(String::new, |last| last.address.to_string()),
        secrets: secrets(&key, &visit, &zone, may_change),
        routes: routes(&usage),
        addresses: addresses(&usage, &visit),
        created: zone.shown(key.created_at),
        created_by: creator(&visit, &key).await?,
        expires: key.expires_at.map(|end| zone.shown(end)),
        networks: if key.allowed_ips.is_empty() {
            "Any address".to_owned()
        } else {
            key.allowed_ips.to_string().replace(',', ", ")
        },
        limit: format!("{} requests/min", grouped(key.rate_limit.get().into())),
        zone: zone.abbreviation(visit.now),
        may_change,
        status_now,
        shell: Shell::new(&visit, &caller, crumbs(), &key.name).await?,
        path,
    })
}

/// Who created the key: a user by address, everybody else as the audit trail names them.
async fn creator(visit: &Visit, key: &KeyRecord) -> Result<String, Problem> {
    let Actor::User(user) = key.created_by else { return Ok(key.created_by.to_string()) };
    let id = key.created_by.to_string();
    let members = visit.store().names(key.account_id, std::slice::from_ref(&id)).await?;
    if let Some(member) = members.get(&id) {
        return Ok(member.name.clone());
    }
    let user = visit.store().get_user(user).await?;
    Ok(user.map_or(id, |user| format!("{} (left)", user.email)))
}

fn done(visit: &Visit) -> Option<&'static str> {
    match visit.query.get("done") {
        Some("shown") => {
            Some("The form was sent before. The secret cannot be shown again; rotate the key to get another.")
        }
        Some("edited") => Some("The key is changed."),
        Some("ended") => Some("The secret stopped working."),
        Some("paused") => Some("The key is paused. Its requests are refused until it is resumed."),
        Some("resumed") => Some("The key works again."),
        Some("revoked") => Some("The key is revoked. No further request is accepted."),
        Some(_) | None => None,
    }
}

fn secrets(key: &KeyRecord, visit: &Visit, zone: &Zone, may_change: bool) -> Vec<SecretRow> {
    let row = |secret: &telepath_core::key::SecretRecord| {
        let status = secret.status(visit.now);
        let (word, class) = match status {
            SecretStatus::Current => ("Current", "chip-ok"),
            SecretStatus::Grace => ("Previous", "chip-warn"),
            SecretStatus::Ended => ("Ended", ""),
        };
        let note = match (status, secret.expires_at) {
            (SecretStatus::Grace, Some(end)) => {
                let left = span(end.since(visit.now)).unwrap_or_else(|| "a moment".to_owned());
                format!("works for another {left}, until {}", zone.moment(end))
            }
            (SecretStatus::Ended, Some(end)) => format!("ended on {}", zone.moment(end)),
            (SecretStatus::Current | SecretStatus::Grace | SecretStatus::Ended, _) => {
                format!("created on {}", zone.moment(secret.created_at))
            }
        };
        let last = secret
            .last_use
            .map(|last| format!("last used {} from {}", relative(last.at, visit.now), last.address));
        SecretRow {
            id: secret.id.to_string(),
            mask: secret.mask.as_str().to_owned(),
            word,
            class,
            note,
            last_used: last.unwrap_or_else(|| "never used".to_owned()),
            can_end: may_change && status == SecretStatus::Grace,
        }
    };
    key.secrets.iter().map(row).collect()
}

/// The routes with the most requests: name, requests, errors.
fn routes(usage: &KeyUsage) -> Vec<(String, String, String)> {
    let mut sums: std::collections::BTreeMap<&str, (u64, u64)> = std::collections::BTreeMap::new();
    for row in &usage.rows {
        let sum = sums.entry(&row.route).or_default();
        sum.0 += row.sum.requests;
        sum.1 += if row.status >= 400 { row.sum.requests } else { 0 };
    }
    let mut sums: Vec<_> = sums.into_iter().collect();
    sums.sort_by_key(|(_, (requests, _))| std::cmp::Reverse(*requests));
    let shown = |(route, (requests, errors)): (&str, (u64, u64))| {
        (route.to_owned(), grouped(requests), grouped(errors))
    };
    sums.into_iter().take(LISTED).map(shown).collect()
}

fn addresses(usage: &KeyUsage, visit: &Visit) -> Vec<AddressRow> {
    let row = |seen: &telepath_core::usage::SeenAddress| AddressRow {
        address: seen.what.to_string(),
        last: relative(seen.last_seen, visit.now),
        requests: grouped(seen.requests),
    };
    usage.addresses.iter().take(LISTED).map(row).collect()
}
