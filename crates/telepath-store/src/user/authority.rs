//! Who may change users, read in the transaction of the change: a role that was withdrawn a moment ago counts no longer.

use telepath_core::account::Actor;
use telepath_core::audit::Origin;
use telepath_core::id::AccountId;
use telepath_core::user::Role;

use super::{UserError, row};
use crate::sql::Connection;

/// Refuses a caller whose role does not manage all of `roles`. API keys manage no users.
pub(super) async fn require_manages(
    db: &mut Connection,
    account: AccountId,
    origin: Origin,
    roles: &[Role],
) -> Result<(), UserError> {
    let caller = match origin.actor {
        Actor::Local { .. } | Actor::System => return Ok(()),
        Actor::Key(_) => return Err(UserError::Forbidden),
        Actor::User(id) => id,
    };
    let role = row::role(db, account, caller).await?.ok_or(UserError::Forbidden)?;
    let user = row::user(db, caller).await?.ok_or(UserError::Forbidden)?;
    let manages = user.disabled_at.is_none() && roles.iter().all(|other| role.manages(*other));
    if manages { Ok(()) } else { Err(UserError::Forbidden) }
}

/// Refuses everybody but local administration and the server itself: what is asked for reaches beyond one account.
pub(super) const fn require_local(origin: Origin) -> Result<(), UserError> {
    match origin.actor {
        Actor::Local { .. } | Actor::System => Ok(()),
        Actor::Key(_) | Actor::User(_) => Err(UserError::Forbidden),
    }
}
