//! Forms that must not be handled twice. The form carries a random text, and the store claims it in the transaction of the
//! change, as it does for an `Idempotency-Key` of the API.

use telepath_core::account::Actor;
use telepath_core::audit::Origin;
use telepath_core::id::IdempotencyId;
use telepath_core::idempotency::{ClaimDecision, IdempotencyKey, RequestHash};
use telepath_core::user::UserToken;
use telepath_store::{IdempotencyClaim, IdempotentRequest, SignedIn};

use crate::problem::Problem;
use crate::visit::Visit;

/// The field that carries the text.
pub(crate) const FIELD: &str = "intent";

/// Whether a form was handled before.
pub(crate) enum Intent {
    /// No: the claim for [`finish`] and the origin of the change.
    Fresh(IdempotencyId, Origin),
    /// Yes: what was changed, as far as it is known.
    Handled(Option<String>),
}

/// A text for a form.
pub(crate) fn new(visit: &Visit) -> Result<String, Problem> {
    Ok(UserToken::generate(visit.store().entropy().as_ref())?.expose().to_owned())
}

/// Claims the form of a visit, whose fields were checked before.
pub(crate) async fn claim(visit: &Visit, caller: &SignedIn) -> Result<Intent, Problem> {
    let malformed = || Problem::Malformed("The form is incomplete. Open the page again.");
    let key = IdempotencyKey::parse(visit.form.text(FIELD).as_bytes()).map_err(|_| malformed())?;
    let request = IdempotentRequest {
        account: caller.session.account,
        caller: Actor::User(caller.user.id),
        key,
        // The text is used for one form only, so the fields need no hash.
        request: RequestHash::of("POST", &visit.path, b""),
    };
    match visit.store().begin_idempotent_request(request, visit.now).await? {
        IdempotencyClaim::Fresh(id) => {
            let origin = Origin { idempotency: Some(id), ..visit.change_by(caller) };
            Ok(Intent::Fresh(id, origin))
        }
        IdempotencyClaim::Before(ClaimDecision::Lost(target)) => Ok(Intent::Handled(target)),
        IdempotencyClaim::Before(ClaimDecision::Replay(_) | ClaimDecision::Reused) => {
            Ok(Intent::Handled(None))
        }
        IdempotencyClaim::Before(ClaimDecision::InUse | ClaimDecision::TakeOver) => {
            Err(Problem::Conflict("The same form is being handled. Look at the list in a moment.".to_owned()))
        }
    }
}

/// Ends the claim of a form. Whether it changed anything decides whether it can be sent again.
pub(crate) async fn finish(visit: &Visit, claim: IdempotencyId) -> Result<(), Problem> {
    Ok(visit.store().end_idempotent_request(claim, None).await?)
}
