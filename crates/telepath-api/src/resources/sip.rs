//! `/local/sip/strangers`: who calls without reaching a trunk, for local administration only. The list belongs to the server, not
//! to an account.

use axum::Json;
use axum::extract::State;
use telepath_api_types::sip::SipStrangerList;

use crate::auth::caller::LocalAdministration;
use crate::endpoint::{Endpoints, endpoints};
use crate::state::AppState;

pub(crate) fn endpoints() -> Endpoints {
    endpoints![list_sip_strangers]
}

/// List SIP strangers
///
/// Counts the INVITEs that reached no trunk since this server started, per source and rule. The table is bounded. Available
/// to local administration only, through the Unix socket in the data folder.
#[utoipa::path(get, path = "/local/sip/strangers", tag = "Calls", operation_id = "listSipStrangers",
    responses((status = 200, description = "The strangers.", body = SipStrangerList)))]
async fn list_sip_strangers(
    State(state): State<AppState>,
    LocalAdministration { .. }: LocalAdministration,
) -> Json<SipStrangerList> {
    Json(state.live.sip_strangers().into())
}
