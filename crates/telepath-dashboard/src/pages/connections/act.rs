//! Switching a connection on and off.

use telepath_core::trunk::{TrunkPatchDraft, TrunkStatus};
use telepath_store::SignedIn;

use super::{path_of, trunk_of};
use crate::problem::Problem;
use crate::reply::Reply;
use crate::route::Outcome;
use crate::visit::Visit;

pub(super) async fn set_status(visit: Visit, caller: SignedIn) -> Outcome {
    let trunk = trunk_of(&visit, &caller).await?;
    let (status, done) = match TrunkStatus::from_name(visit.form.text("status")) {
        Some(TrunkStatus::Active) => (TrunkStatus::Active, "activated"),
        Some(TrunkStatus::Inactive) => (TrunkStatus::Inactive, "deactivated"),
        Some(TrunkStatus::Error) | None => {
            return Err(Problem::Malformed("The status must be active or inactive."));
        }
    };
    let draft = TrunkPatchDraft { status: Some(status.name().to_owned()), ..TrunkPatchDraft::default() };
    let (account, origin) = (caller.session.account, visit.change_by(&caller));
    visit.store().update_trunk(account, trunk.id, draft, origin).await?;
    let back = visit.next_path().unwrap_or_else(|| path_of(trunk.id));
    let sign = if back.contains('?') { '&' } else { '?' };
    Ok(Reply::see_other(format!("{back}{sign}done={done}")))
}
