//! `/connections`: what carriers call, and the agents that answer. The API calls them trunks.

mod act;
mod agent_test;
mod carrier;
mod carriers;
mod credentials;
mod delete;
mod edit;
mod fields;
mod latency;
mod list;
mod new;
mod password;
mod show;
mod try_it;
mod verdict;
mod words;

use http::Method;
use telepath_core::id::TrunkId;
use telepath_core::scope::Scope;
use telepath_core::trunk::{SipUsername, Trunk, TrunkMetrics};
use telepath_store::{SignedIn, TrunkChangeError};

use crate::icon;
use crate::navigation::{Entry, Group};
use crate::problem::Problem;
use crate::route::Route;
use crate::shell::Crumb;
use crate::visit::Visit;

const PATH: &str = "/connections";
/// What the error page says about an unknown connection.
const NONE: &str = "This connection does not exist";

pub(crate) const ENTRY: Entry = Entry {
    group: Group::Voice,
    place: 1,
    label: "Connections",
    path: PATH,
    shortcut: 'n',
    icon: icon::CONNECTIONS,
    scope: Scope::TrunksRead,
};

pub(crate) fn routes() -> Vec<Route> {
    const WRITE: Scope = Scope::TrunksWrite;
    let mut routes = vec![
        Route::scoped(Method::GET, PATH, Scope::TrunksRead, list::show),
        Route::scoped(Method::GET, "/connections/{id}", Scope::TrunksRead, show::show),
        Route::scoped(Method::POST, "/connections/{id}/status", WRITE, act::set_status),
        Route::scoped(Method::GET, "/connections/{id}/edit", WRITE, edit::show),
        Route::scoped(Method::POST, "/connections/{id}/edit", WRITE, edit::save),
        Route::scoped(Method::GET, "/connections/{id}/credentials", WRITE, credentials::show),
        Route::scoped(Method::POST, "/connections/{id}/credentials", WRITE, credentials::save),
        Route::scoped(Method::GET, "/connections/{id}/test", WRITE, agent_test::show),
        Route::scoped(Method::POST, "/connections/{id}/test", WRITE, agent_test::run),
        Route::scoped(Method::GET, "/connections/{id}/password", WRITE, password::show),
        Route::scoped(Method::POST, "/connections/{id}/password", WRITE, password::rotate).confirmed(),
        Route::scoped(Method::GET, "/connections/{id}/delete", WRITE, delete::show),
        Route::scoped(Method::POST, "/connections/{id}/delete", WRITE, delete::delete),
        Route::scoped(Method::GET, "/connections/{id}/carrier", Scope::TrunksRead, carrier::show),
        Route::scoped(Method::GET, "/connections/{id}/try", Scope::CallsRead, try_it::show),
        Route::scoped(Method::GET, "/connections/{id}/try/live", Scope::CallsRead, try_it::live),
    ];
    routes.extend(new::routes());
    routes
}

/// The page of a connection.
fn path_of(id: TrunkId) -> String {
    format!("{PATH}/{id}")
}

/// The breadcrumb of pages below the list.
fn crumbs() -> Vec<Crumb> {
    vec![Crumb::page("Connections", PATH)]
}

/// The breadcrumb of pages below a connection.
fn crumbs_below(trunk: &Trunk) -> Vec<Crumb> {
    let mut crumbs = crumbs();
    crumbs.push(Crumb::page(&trunk.name, path_of(trunk.id)));
    crumbs
}

/// The connection that the path names, with today's metrics: three statements.
async fn with_metrics(visit: &Visit, caller: &SignedIn) -> Result<(Trunk, TrunkMetrics), Problem> {
    let id: TrunkId = visit.id_in_path(NONE)?;
    visit.store().get_trunk(caller.session.account, id).await?.ok_or(Problem::NotFound(NONE))
}

async fn trunk_of(visit: &Visit, caller: &SignedIn) -> Result<Trunk, Problem> {
    Ok(with_metrics(visit, caller).await?.0)
}

/// Where carriers send calls.
fn uri_of(visit: &Visit, username: &SipUsername) -> String {
    format!("sip:{username}@{}", visit.shared.options.sip_host)
}

/// What a form does not show beside one of its fields.
impl From<TrunkChangeError> for Problem {
    fn from(error: TrunkChangeError) -> Self {
        match error {
            TrunkChangeError::NotFound => Problem::NotFound(NONE),
            TrunkChangeError::UsernameTaken => {
                Problem::Conflict("Another connection of this server has the SIP user name.".to_owned())
            }
            TrunkChangeError::Invalid(problems) => Problem::Conflict(problems.to_string()),
            TrunkChangeError::Store(error) => error.into(),
        }
    }
}
