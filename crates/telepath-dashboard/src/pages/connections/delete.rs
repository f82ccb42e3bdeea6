//! Deleting a connection. Its name is typed, because carriers get no answer any more.

use std::sync::Arc;

use askama::Template;
use http::StatusCode;
use telepath_core::call::DisconnectReason;
use telepath_core::trunk::Trunk;
use telepath_store::{SignedIn, TrunkChangeError};

use super::{PATH, crumbs_below, path_of, trunk_of, uri_of};
use crate::form::Problems;
use crate::number::counted;
use crate::problem::Problem;
use crate::reply::Reply;
use crate::route::Outcome;
use crate::shell::Shell;
use crate::visit::Visit;

#[derive(Template)]
#[template(path = "pages/connection_delete.html")]
struct Page {
    shell: Shell,
    problems: Problems,
    path: String,
    name: String,
    uri: String,
    /// What happens to live calls, if there are any.
    live: Option<String>,
}

async fn page(visit: &Visit, caller: &SignedIn, trunk: &Trunk, problems: Problems) -> Result<Reply, Problem> {
    let activity = visit.store().trunk_activity(caller.session.account, &[trunk.id]).await?;
    let live = activity.get(&trunk.id).map_or(0, |activity| activity.live_calls);
    Reply::page(&Page {
        shell: Shell::new(visit, caller, crumbs_below(trunk), "Delete").await?,
        problems,
        path: path_of(trunk.id),
        name: trunk.name.clone(),
        uri: uri_of(visit, &trunk.sip_username),
        live: (live > 0).then(|| counted(live, "live call ends", "live calls end")),
    })
}

pub(super) async fn show(visit: Visit, caller: SignedIn) -> Outcome {
    let trunk = trunk_of(&visit, &caller).await?;
    page(&visit, &caller, &trunk, Problems::default()).await
}

pub(super) async fn delete(visit: Visit, caller: SignedIn) -> Outcome {
    let trunk = trunk_of(&visit, &caller).await?;
    if visit.form.text("name").trim() != trunk.name {
        let problems = Problems::one("name", format!("Type the name of the connection: {}", trunk.name));
        let reply = page(&visit, &caller, &trunk, problems).await?;
        return Ok(reply.status(StatusCode::UNPROCESSABLE_ENTITY));
    }
    // Spawned, so that it completes when the browser leaves: otherwise a deleted connection could keep live calls.
    let (store, live) = (Arc::clone(visit.store()), Arc::clone(&visit.shared.live));
    let (account, origin) = (caller.session.account, visit.change_by(&caller));
    let work = tokio::spawn(async move {
        store.delete_trunk(account, trunk.id, origin).await?;
        live.hang_up_trunk(trunk.id, DisconnectReason::TrunkDeleted);
        Ok::<(), TrunkChangeError>(())
    });
    work.await.map_err(|error| Problem::Failed(error.to_string()))??;
    Ok(Reply::see_other(format!("{PATH}?done=deleted")))
}
