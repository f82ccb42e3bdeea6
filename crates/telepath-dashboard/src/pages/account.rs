//! The account switcher in the sidebar.

use http::Method;
use telepath_core::id::AccountId;
use telepath_store::SignedIn;

use crate::problem::Problem;
use crate::reply::Reply;
use crate::route::{Outcome, Route};
use crate::visit::Visit;

pub(crate) fn routes() -> Vec<Route> {
    vec![Route::user(Method::POST, "/account", switch)]
}

/// Lets the session work on another account of the user. It begins at the first page, because what was shown belongs to the
/// other account.
async fn switch(visit: Visit, caller: SignedIn) -> Outcome {
    let unknown = Problem::NotFound("This account does not exist");
    let Ok(account) = visit.form.text("account").parse::<AccountId>() else { return Err(unknown) };
    if !caller.memberships.iter().any(|(known, _)| *known == account) {
        return Err(unknown);
    }
    visit.store().switch_session(account, caller.session.id, visit.change_by(&caller)).await?;
    Ok(Reply::see_other("/"))
}
