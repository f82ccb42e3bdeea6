//! Waiting for a call. The last page of a new connection: it shows the latest call on record, accepted or refused, with the rule
//! that decided it.

use std::sync::Arc;
use std::time::Duration;

use askama::Template;
use telepath_core::call::{CallFilter, CallStatus};
use telepath_core::id::{AccountId, TrunkId};
use telepath_core::page::PageRequest;
use telepath_store::{SignedIn, Store};

use super::{crumbs_below, path_of, trunk_of, uri_of};
use crate::live::{Event, Feed};
use crate::pages::calls::verdict::{Part, Verdict};
use crate::pages::calls::words::StatusChip;
use crate::problem::Problem;
use crate::reply::Reply;
use crate::route::Outcome;
use crate::shell::Shell;
use crate::time::{Shown, Zone};
use crate::visible::visible;
use crate::visit::Visit;

#[derive(Template)]
#[template(path = "pages/connection_try.html")]
struct Page {
    shell: Shell,
    is_new: bool,
    path: String,
    uri: String,
    /// The part that is replaced when a call arrives.
    found: String,
}

/// The latest call, or that none came yet.
#[derive(Template)]
#[template(path = "pages/connection_try_call.html")]
struct Found {
    call: Option<Latest>,
}

struct Latest {
    path: String,
    chip: StatusChip,
    is_accepted: bool,
    from: String,
    to: String,
    started: Shown,
    verdict: Verdict,
    rule: Option<String>,
}

/// Two statements: the latest call, and its details.
async fn found(store: &Store, account: AccountId, trunk: TrunkId, zone: &Zone) -> Result<String, Problem> {
    let filter = CallFilter { trunk_id: Some(trunk), ..CallFilter::default() };
    let page = PageRequest::new(1, 0).unwrap_or_default();
    let latest = store.list_calls(account, filter, page).await?.items.pop();
    let details = match latest {
        Some(call) => store.get_call(account, call.id).await?,
        None => None,
    };
    let call = details.map(|details| Latest {
        path: format!("/calls/{}", details.call.id),
        chip: StatusChip::of(details.call.status),
        is_accepted: details.call.status != CallStatus::Failed,
        from: visible(details.call.from.as_str()),
        to: visible(details.call.to.as_str()),
        started: zone.shown_second(details.call.start_time),
        rule: details.sip.rule.as_deref().map(visible),
        verdict: Verdict::of(&details),
    });
    Found { call }.render().map_err(|error| Problem::Failed(error.to_string()))
}

pub(super) async fn show(visit: Visit, caller: SignedIn) -> Outcome {
    let trunk = trunk_of(&visit, &caller).await?;
    Reply::page(&Page {
        is_new: visit.query.is_checked("new"),
        path: path_of(trunk.id),
        uri: uri_of(&visit, &trunk.sip_username),
        found: found(visit.store(), caller.session.account, trunk.id, &visit.zone_of(&caller)).await?,
        shell: Shell::new(&visit, &caller, crumbs_below(&trunk), "Try it").await?,
    })
}

struct Waiting {
    store: Arc<Store>,
    account: AccountId,
    trunk: TrunkId,
    zone: Zone,
    /// What the page shows.
    shown: String,
}

impl Feed for Waiting {
    const INTERVAL: Duration = Duration::from_secs(1);

    async fn read(&mut self) -> Result<Vec<Event>, Problem> {
        let html = found(&self.store, self.account, self.trunk, &self.zone).await?;
        if html == self.shown {
            return Ok(Vec::new());
        }
        self.shown.clone_from(&html);
        Ok(vec![Event::html(html)])
    }
}

/// The latest call whenever it changes.
pub(super) async fn live(visit: Visit, caller: SignedIn) -> Outcome {
    let trunk = trunk_of(&visit, &caller).await?;
    let (store, account) = (Arc::clone(visit.store()), caller.session.account);
    Ok(Reply::live(Waiting {
        store,
        account,
        trunk: trunk.id,
        zone: visit.zone_of(&caller),
        shown: String::new(),
    }))
}
