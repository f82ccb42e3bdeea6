//! Revoking, pausing and resuming a key. Stopping a key needs no confirmed identity, because it must be fast.

use askama::Template;
use http::StatusCode;
use telepath_core::key::KeyRecord;
use telepath_core::validation::bounded_text;
use telepath_store::SignedIn;

use super::{changeable_key, crumbs_below, leaked, path_of};
use crate::form::Problems;
use crate::problem::Problem;
use crate::reply::Reply;
use crate::route::Outcome;
use crate::shell::Shell;
use crate::time::relative;
use crate::visit::Visit;

/// Reasons that can be chosen instead of typing one.
const REASONS: [&str; 3] = ["No longer needed", LEAKED, "Its owner left"];
/// The reason that continues to the guide.
const LEAKED: &str = "Leaked";
/// A key that was used within this time is revoked only after its name was typed.
const RECENT: std::time::Duration = std::time::Duration::from_hours(24);

#[derive(Template)]
#[template(path = "pages/api_key_revoke.html")]
struct Page {
    shell: Shell,
    problems: Problems,
    path: String,
    name: String,
    last_used: String,
    reasons: [&'static str; 3],
    reason: String,
    other: String,
    types_name: bool,
}

fn is_recent(key: &KeyRecord, visit: &Visit) -> bool {
    key.last_use.is_some_and(|last| visit.now.since(last.at) < RECENT)
}

async fn page(
    visit: &Visit,
    caller: &SignedIn,
    key: &KeyRecord,
    problems: Problems,
) -> Result<Reply, Problem> {
    Reply::page(&Page {
        shell: Shell::new(visit, caller, crumbs_below(key), "Revoke").await?,
        problems,
        path: path_of(key.id),
        name: key.name.clone(),
        last_used: key.last_use.map_or_else(
            || "It was never used.".to_owned(),
            |last| format!("It was last used {} from {}.", relative(last.at, visit.now), last.address),
        ),
        reasons: REASONS,
        reason: visit.form.get("reason").or_else(|| visit.query.get("reason")).unwrap_or_default().to_owned(),
        other: visit.form.text("other").to_owned(),
        types_name: is_recent(key, visit),
    })
}

pub(super) async fn show(visit: Visit, caller: SignedIn) -> Outcome {
    let key = changeable_key(&visit, &caller).await?;
    page(&visit, &caller, &key, Problems::default()).await
}

pub(super) async fn submit(visit: Visit, caller: SignedIn) -> Outcome {
    let key = changeable_key(&visit, &caller).await?;
    let mut problems = Problems::default();
    let chosen = visit.form.text("reason");
    let text = if chosen == "other" { visit.form.text("other") } else { chosen };
    let reason = bounded_text(text.trim().to_owned(), 1, 500, &[]);
    let reason = reason
        .map_err(|_| problems.add("reason", "Choose a reason, or enter one of up to 500 characters"))
        .ok();
    if is_recent(&key, &visit) && visit.form.text("name").trim() != key.name.trim() {
        problems.add("name", "Type the name of the key as it is shown");
    }
    if !problems.is_empty() {
        let reply = page(&visit, &caller, &key, problems).await?;
        return Ok(reply.status(StatusCode::UNPROCESSABLE_ENTITY));
    }
    let (account, origin) = (caller.session.account, visit.change_by(&caller));
    visit.store().revoke_key(account, key.id, reason, origin).await?;
    if chosen == LEAKED {
        visit.store().start_leak_guide(account, key.id, origin).await?;
        return Ok(Reply::see_other(leaked::path_for(key.id)));
    }
    Ok(Reply::see_other(format!("{}?done=revoked", path_of(key.id))))
}

pub(super) async fn pause(visit: Visit, caller: SignedIn) -> Outcome {
    let id = changeable_key(&visit, &caller).await?.id;
    visit.store().pause_key(caller.session.account, id, visit.change_by(&caller)).await?;
    Ok(Reply::see_other(format!("{}?done=paused", path_of(id))))
}

pub(super) async fn resume(visit: Visit, caller: SignedIn) -> Outcome {
    let id = changeable_key(&visit, &caller).await?.id;
    visit.store().resume_key(caller.session.account, id, visit.change_by(&caller)).await?;
    Ok(Reply::see_other(format!("{}?done=resumed", path_of(id))))
}
