//! `/calls`: the log of calls, and one call.

mod act;
mod export;
mod list;
mod number;
mod query;
mod show;
pub(crate) mod verdict;
pub(crate) mod words;

use http::Method;
use telepath_core::id::CallId;
use telepath_core::scope::Scope;
use telepath_store::{EraseError, HangUpError};

use crate::icon;
use crate::navigation::{Entry, Group};
use crate::problem::Problem;
use crate::route::Route;
use crate::shell::Crumb;

const PATH: &str = "/calls";
/// What the error page says about an unknown call.
const NONE: &str = "This call does not exist";

pub(crate) const ENTRY: Entry = Entry {
    group: Group::Voice,
    place: 2,
    label: "Calls",
    path: PATH,
    shortcut: 'c',
    icon: icon::CALLS,
    scope: Scope::CallsRead,
};

pub(crate) fn routes() -> Vec<Route> {
    vec![
        Route::scoped(Method::GET, PATH, Scope::CallsRead, list::show),
        Route::scoped(Method::GET, export::PATH, Scope::CallsRead, export::download),
        Route::scoped(Method::GET, "/calls/erase-number", Scope::CallsWrite, number::show),
        Route::scoped(Method::POST, "/calls/erase-number", Scope::CallsWrite, number::erase),
        Route::scoped(Method::GET, "/calls/{id}", Scope::CallsRead, show::show),
        Route::scoped(Method::GET, "/calls/{id}/sip-trace", Scope::CallsRead, show::trace),
        Route::scoped(Method::POST, "/calls/{id}/hang-up", Scope::CallsWrite, act::hang_up),
        Route::scoped(Method::POST, "/calls/{id}/resend", Scope::WebhooksWrite, act::resend),
        Route::scoped(Method::GET, "/calls/{id}/erase", Scope::CallsWrite, act::confirm_erasure),
        Route::scoped(Method::POST, "/calls/{id}/erase", Scope::CallsWrite, act::erase),
    ]
}

/// The page of a call.
fn path_of(id: CallId) -> String {
    format!("{PATH}/{id}")
}

/// The breadcrumb of pages below the log.
fn crumbs() -> Vec<Crumb> {
    vec![Crumb::page("Calls", PATH)]
}

impl From<HangUpError> for Problem {
    fn from(error: HangUpError) -> Self {
        match error {
            HangUpError::NotFound => Problem::NotFound(NONE),
            HangUpError::NotLive => Problem::Conflict("The call is over.".to_owned()),
            HangUpError::Store(error) => error.into(),
        }
    }
}

impl From<EraseError> for Problem {
    fn from(error: EraseError) -> Self {
        match error {
            EraseError::NotFound => Problem::NotFound(NONE),
            EraseError::Live => Problem::Conflict("The call is live. Hang up first.".to_owned()),
            EraseError::Store(error) => error.into(),
        }
    }
}
