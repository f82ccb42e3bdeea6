//! Calls to hang up that another server may carry. The request is part of the call's row and is announced with the
//! commit; the server that carries the call ends it.

use telepath_core::clock::Timestamp;
use telepath_core::id::{AccountId, CallId};

use crate::error::StoreError;
use crate::sql::{Connection, binds};

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
