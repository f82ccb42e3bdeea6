//! Calls to hang up that another server may carry. The request is part of the call's row and is announced with the
//! commit; the server that carries the call ends it.

use telepath_core::audit::Origin;
use telepath_core::call::{CallStatus, DisconnectReason};
use telepath_core::clock::Timestamp;
use telepath_core::id::{AccountId, CallId};
use telepath_core::ports::LiveCalls;
use telepath_core::reach::Reach;

use crate::error::StoreError;
use crate::sql::{Connection, binds};
use crate::store::Store;

/// Why a call is not hung up.
#[derive(Debug, thiserror::Error)]
pub enum HangUpError {
    /// There is no such call of a trunk within reach.
    #[error("no such call")]
    NotFound,
    /// The call is over.
    #[error("the call is not live")]
    NotLive,
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Store {
    /// Hangs up a live call of a trunk within reach, on whichever server carries it. The request is recorded first: what
    /// cannot be written down is not done.
    pub async fn hang_up_call(
        &self,
        reach: impl Into<Reach>,
        call: CallId,
        live: &dyn LiveCalls,
        origin: Origin,
    ) -> Result<(), HangUpError> {
        let reach = reach.into();
        let account = reach.account;
        let found = self.get_call(reach, call).await?.ok_or(HangUpError::NotFound)?;
        match found.call.status {
            CallStatus::Connected => {}
            CallStatus::Disconnected | CallStatus::Failed => return Err(HangUpError::NotLive),
        }
        // Asked before the request is recorded: its announcement may end the call before this function goes on.
        if !live.is_live(call) && !self.is_carried_elsewhere(account, call).await? {
            return Err(HangUpError::NotLive);
        }
        self.record_hangup_request(account, call, origin).await?;
        live.hang_up(call, DisconnectReason::ApiHangup);
        Ok(())
    }
}

/// The channel on which PostgreSQL announces, with the commit, that calls are to be hung up.
pub(crate) const CHANNEL: &str = "telepath_hangups";

/// Requests the end of a live call.
pub(super) async fn request(
    db: &mut Connection,
    account: AccountId,
    call: CallId,
    now: Timestamp,
) -> Result<(), StoreError> {
    let sql = "UPDATE calls SET hangup_requested_at = $3 \
               WHERE id = $1 AND account_id = $2 AND status = 'connected' AND hangup_requested_at IS NULL";
    db.execute(sql, binds![call.to_string(), account.to_string(), now]).await?;
    db.announce(CHANNEL).await
}
