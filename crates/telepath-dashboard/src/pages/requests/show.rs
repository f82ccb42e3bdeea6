//! `/requests/{id}`: one request with everything that belongs to it.

mod key_state;
mod links;

use std::time::Duration;

use askama::Template;
use telepath_core::account::Actor;
use telepath_core::audit::AuditFilter;
use telepath_core::error::ErrorCode;
use telepath_core::id::RequestId;
use telepath_core::page::PageRequest;
use telepath_core::request::{RequestCaller, RequestFilter, RequestMethod, RequestRecord};
use telepath_store::{Names, RequestOrder, SignedIn};

use self::key_state::KeyStates;
use self::links::Link;
use super::row::{self, Row, Sender, Status};
use crate::number;
use crate::problem::Problem;
use crate::reply::Reply;
use crate::route::Outcome;
use crate::shell::{Crumb, Shell};
use crate::time::{Shown, relative};
use crate::visit::Visit;

/// How far requests of the same key are shown around this one.
const AROUND: Duration = Duration::from_secs(10);
/// The most requests around this one.
const NEIGHBOURS: usize = 20;
/// Reads of the log after which a request counts as unknown; each is bounded.
const READS: usize = 8;
/// How long after a request the entries of its changes are looked for: as long as it took, and this.
const AUDIT_AFTER: Duration = Duration::from_secs(1);

#[derive(Template)]
#[template(path = "pages/request.html")]
struct Page {
    shell: Shell,
    request: RequestRecord,
    status: Status,
    sender: Sender,
    took: String,
    time: Shown,
    ago: String,
    zone: String,
    error: Option<ErrorCode>,
    key: Option<KeyStates>,
    links: Vec<Link>,
    around: Vec<Row>,
    curl: Option<String>,
}

/// Reads from the store: the request and its secret (2), the key (1), the requests around it (2), the audit trail of its
/// sender (1), the names (1).
pub(super) async fn show(visit: Visit, caller: SignedIn) -> Outcome {
    const NONE: &str = "This request does not exist";
    let id: RequestId = visit.id_in_path(NONE)?;
    let request = find(&visit, &caller, id).await?.ok_or(Problem::NotFound(NONE))?;
    let (account, facts) = (caller.session.account, request.facts);
    let key = match facts.caller {
        RequestCaller::Key { key, .. } => visit.store().get_key(account, key).await?,
        RequestCaller::User(_) => None,
    };
    let around = around(&visit, &caller, &request).await?;
    let names = visit.store().names(account, &row::senders([&request])).await?;
    let zone = visit.zone_of(&caller);
    let links = links::of(&request, &changes(&visit, &caller, &request).await?);
    let page = Page {
        shell: Shell::new(&visit, &caller, vec![Crumb::page("Requests", "/requests")], &id.to_string())
            .await?,
        status: Status::of(facts.status),
        sender: Sender::of(facts.caller, &names),
        took: number::microseconds(facts.duration_us),
        time: zone.shown_second(facts.at),
        ago: relative(facts.at, visit.now),
        zone: zone.abbreviation(visit.now),
        error: request.error.as_deref().and_then(error_named),
        key: key.map(|key| KeyStates::of(&key, &request, visit.now)),
        links,
        around: rows(around, &names, &visit, &caller),
        curl: links::curl(&request, &visit.origin),
        request,
    };
    Reply::page(&page)
}

fn error_named(name: &str) -> Option<ErrorCode> {
    ErrorCode::ALL.iter().copied().find(|code| code.name() == name)
}

fn rows(requests: Vec<RequestRecord>, names: &Names, visit: &Visit, caller: &SignedIn) -> Vec<Row> {
    let zone = visit.zone_of(caller);
    requests.into_iter().map(|request| Row::of(request, names, &zone, visit.now)).collect()
}

/// The log is read forward from the moment in the id, so the request is in the first segments.
async fn find(visit: &Visit, caller: &SignedIn, id: RequestId) -> Result<Option<RequestRecord>, Problem> {
    let filter = RequestFilter { id: Some(id), ..RequestFilter::default() };
    let mut cursor = None;
    for _ in 0..READS {
        let order = RequestOrder::Oldest;
        let page = visit.store().list_requests(caller.session.account, &filter, order, 1, cursor).await?;
        if let Some(request) = page.requests.into_iter().next() {
            return Ok(Some(request));
        }
        if page.next == cursor {
            break;
        }
        cursor = page.next;
    }
    Ok(None)
}

/// Requests of the same key or user shortly before and after.
async fn around(
    visit: &Visit,
    caller: &SignedIn,
    request: &RequestRecord,
) -> Result<Vec<RequestRecord>, Problem> {
    let facts = request.facts;
    let filter = RequestFilter {
        key_id: facts.caller.key(),
        user_id: facts.caller.user(),
        start: Some(facts.at.minus(AROUND)),
        end: Some(facts.at.plus(AROUND)),
        ..RequestFilter::default()
    };
    let (account, order) = (caller.session.account, RequestOrder::Newest);
    let page = visit.store().list_requests(account, &filter, order, NEIGHBOURS + 1, None).await?;
    Ok(page.requests.into_iter().filter(|other| other.id != request.id).take(NEIGHBOURS).collect())
}

/// The entries of the audit trail that its sender caused while the request was handled.
async fn changes(
    visit: &Visit,
    caller: &SignedIn,
    request: &RequestRecord,
) -> Result<Vec<telepath_core::audit::AuditRecord>, Problem> {
    let facts = request.facts;
    if matches!(facts.method, RequestMethod::Get | RequestMethod::Head | RequestMethod::Options) {
        return Ok(Vec::new());
    }
    let actor = match facts.caller {
        RequestCaller::Key { key, .. } => Actor::Key(key),
        RequestCaller::User(user) => Actor::User(user),
    };
    let end = facts.at.plus(Duration::from_micros(facts.duration_us)).plus(AUDIT_AFTER);
    let filter =
        AuditFilter { actor: Some(actor), start: Some(facts.at), end: Some(end), ..AuditFilter::default() };
    Ok(visit.store().list_audit(caller.session.account, filter, PageRequest::default()).await?.items)
}
