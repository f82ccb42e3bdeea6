//! `/settings/api-keys`: the keys of the account.

mod create;
mod edit;
mod expiry;
mod first_request;
mod leaked;
mod list;
mod people;
mod presets;
mod requests_chart;
mod reveal;
mod revoke;
mod rotate;
mod rotate_all;
mod safety;
mod scopes;
mod show;
mod status;
mod verdict;

use http::Method;
use telepath_core::account::Actor;
use telepath_core::id::KeyId;
use telepath_core::key::KeyRecord;
use telepath_core::scope::Scope;
use telepath_store::SignedIn;

use crate::icon;
use crate::navigation::{Entry, Group};
use crate::problem::Problem;
use crate::route::Route;
use crate::shell::Crumb;
use crate::visit::Visit;

const PATH: &str = "/settings/api-keys";
const NOT_FOUND: &str = "This key does not exist";

pub(crate) const ENTRY: Entry = Entry {
    group: Group::Settings,
    place: 1,
    label: "API keys",
    path: PATH,
    shortcut: 'k',
    icon: icon::KEYS,
    scope: Scope::KeysRead,
};

pub(crate) fn routes() -> Vec<Route> {
    let read = Scope::KeysRead;
    let write = Scope::KeysWrite;
    vec![
        Route::scoped(Method::GET, PATH, read, list::show),
        Route::scoped(Method::GET, "/settings/api-keys/new", write, create::show),
        Route::scoped(Method::POST, "/settings/api-keys/new", write, create::submit).confirmed(),
        Route::scoped(Method::POST, "/settings/api-keys/new/preview", write, create::preview),
        Route::scoped(Method::GET, leaked::PATH, read, leaked::show),
        Route::scoped(Method::GET, "/settings/api-keys/leaked/report", Scope::AuditRead, leaked::report),
        Route::scoped(Method::POST, "/settings/api-keys/leaked/start", write, leaked::start),
        Route::scoped(Method::POST, "/settings/api-keys/leaked/review", write, leaked::review),
        Route::scoped(Method::POST, "/settings/api-keys/leaked/keep", write, leaked::keep),
        Route::scoped(Method::GET, "/settings/api-keys/rotate-all", write, rotate_all::show),
        Route::scoped(Method::POST, "/settings/api-keys/rotate-all", write, rotate_all::submit).confirmed(),
        Route::scoped(Method::GET, safety::PATH, read, safety::show),
        Route::scoped(Method::GET, presets::PATH, read, presets::show),
        Route::scoped(Method::GET, "/settings/api-keys/presets/{preset}", write, presets::edit),
        Route::scoped(Method::POST, "/settings/api-keys/presets/{preset}", write, presets::submit)
            .confirmed(),
        Route::scoped(Method::POST, "/settings/api-keys/presets/{preset}/reset", write, presets::reset)
            .confirmed(),
        Route::scoped(Method::GET, "/settings/api-keys/{id}/edit", write, edit::show),
        Route::scoped(Method::POST, "/settings/api-keys/{id}/edit", write, edit::submit),
        Route::scoped(Method::GET, "/settings/api-keys/{id}", read, show::show),
        Route::scoped(Method::GET, "/settings/api-keys/{id}/first-request", read, first_request::follow),
        Route::scoped(Method::GET, "/settings/api-keys/{id}/rotate", write, rotate::show),
        Route::scoped(Method::POST, "/settings/api-keys/{id}/rotate", write, rotate::submit).confirmed(),
        Route::scoped(Method::POST, "/settings/api-keys/{id}/secrets/{secret}/end", write, rotate::end),
        Route::scoped(Method::GET, "/settings/api-keys/{id}/revoke", write, revoke::show),
        Route::scoped(Method::POST, "/settings/api-keys/{id}/revoke", write, revoke::submit),
        Route::scoped(Method::POST, "/settings/api-keys/{id}/pause", write, revoke::pause),
        Route::scoped(Method::POST, "/settings/api-keys/{id}/resume", write, revoke::resume).confirmed(),
    ]
}

/// The breadcrumb of the pages below the list.
fn crumbs() -> Vec<Crumb> {
    vec![Crumb::group("Settings"), Crumb::page("API keys", PATH)]
}

/// The breadcrumb of the pages below a key.
fn crumbs_below(key: &KeyRecord) -> Vec<Crumb> {
    let mut above = crumbs();
    above.push(Crumb::page(&key.name, path_of(key.id)));
    above
}

fn path_of(id: KeyId) -> String {
    format!("{PATH}/{id}")
}

/// The key that the path names.
async fn key_in_path(visit: &Visit, caller: &SignedIn) -> Result<KeyRecord, Problem> {
    let id: KeyId = visit.id_in_path(NOT_FOUND)?;
    visit.store().get_key(caller.session.account, id).await?.ok_or(Problem::NotFound(NOT_FOUND))
}

/// The key that the path names, if the user may change it. The store checks it again in the transaction of the change.
async fn changeable_key(visit: &Visit, caller: &SignedIn) -> Result<KeyRecord, Problem> {
    let key = key_in_path(visit, caller).await?;
    if may_change(caller, &key) { Ok(key) } else { Err(Problem::Forbidden) }
}

/// Whether the role of the user may change the key: developers change the keys that they created.
fn may_change(caller: &SignedIn, key: &KeyRecord) -> bool {
    let is_own = key.created_by == Actor::User(caller.user.id);
    caller.role.scopes().allows(Scope::KeysWrite) && (caller.role.manages_all_keys() || is_own)
}

/// The first of a key's secrets as it may be shown.
fn mask_of(key: &KeyRecord) -> &str {
    key.secrets.first().map_or("", |secret| secret.mask.as_str())
}
