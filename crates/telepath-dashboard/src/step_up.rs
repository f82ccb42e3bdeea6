//! Asking for the password before what needs a confirmed identity. The form waits on the server.

use telepath_store::SignedIn;

use crate::held::HeldForm;
use crate::reply::Reply;
use crate::route::Outcome;
use crate::visit::Visit;

/// Leads to the page that asks for the password, and then handles the form, which was sent to `path`. Handlers use it that need a
/// confirmed identity only for some of what a form can ask for.
pub(crate) fn confirm_first(visit: &Visit, caller: &SignedIn, path: &str) -> Outcome {
    let form = HeldForm { path: path.to_owned(), fields: visit.form.clone() };
    let entropy = visit.store().entropy().as_ref();
    let id = visit.shared.held.hold(caller.session.id, form, visit.now, entropy)?;
    Ok(Reply::see_other(format!("/confirm?held={id}")))
}
