//! Rotating the SIP password. The new one is shown once, in the response to the form.

use askama::Template;
use telepath_core::trunk::{SipPassword, Trunk};
use telepath_store::SignedIn;

use super::{crumbs_below, path_of, trunk_of, uri_of};
use crate::intent::{self, Intent};
use crate::number::counted;
use crate::problem::Problem;
use crate::reply::Reply;
use crate::route::Outcome;
use crate::shell::Shell;
use crate::time::relative;
use crate::visit::Visit;

#[derive(Template)]
#[template(path = "pages/connection_rotate.html")]
struct Form {
    shell: Shell,
    intent: String,
    path: String,
    name: String,
    age: String,
    live: String,
}

/// `3 live calls continue.`
async fn live_calls(visit: &Visit, caller: &SignedIn, trunk: &Trunk) -> Result<(String, String), Problem> {
    let activity = visit.store().trunk_activity(caller.session.account, &[trunk.id]).await?;
    let activity = activity.get(&trunk.id).ok_or(Problem::NotFound(super::NONE))?;
    let live = match activity.live_calls {
        0 => "No call is live.".to_owned(),
        calls => format!("{}.", counted(calls, "live call continues", "live calls continue")),
    };
    Ok((live, relative(activity.password_at, visit.now)))
}

pub(super) async fn show(visit: Visit, caller: SignedIn) -> Outcome {
    let trunk = trunk_of(&visit, &caller).await?;
    let (live, age) = live_calls(&visit, &caller, &trunk).await?;
    Reply::page(&Form {
        intent: intent::new(&visit)?,
        path: path_of(trunk.id),
        name: trunk.name.clone(),
        age,
        live,
        shell: Shell::new(&visit, &caller, crumbs_below(&trunk), "Rotate SIP password").await?,
    })
}

pub(super) async fn rotate(visit: Visit, caller: SignedIn) -> Outcome {
    let trunk = trunk_of(&visit, &caller).await?;
    let (claim, origin) = match intent::claim(&visit, &caller).await? {
        Intent::Fresh(claim, origin) => (claim, origin),
        Intent::Handled(_) => return Ok(Reply::see_other(format!("{}?done=shown", path_of(trunk.id)))),
    };
    let rotated = visit.store().rotate_sip_password(caller.session.account, trunk.id, origin).await;
    intent::finish(&visit, claim).await?;
    let rotated = rotated?;
    let (live, _) = live_calls(&visit, &caller, &trunk).await?;
    let sentence = format!("Password rotated. The old password has stopped working. {live}");
    revealed(&visit, &caller, &rotated.trunk, &rotated.password, sentence, Next::Connection).await
}

#[derive(Template)]
#[template(path = "pages/connection_password.html")]
struct Page {
    shell: Shell,
    sentence: String,
    secret: String,
    username: String,
    uri: String,
    next: String,
    is_new: bool,
}

/// Where the page leads.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    Connection,
    /// The fourth page of a new connection.
    Carrier,
}

/// The page that shows a password once.
pub(super) async fn revealed(
    visit: &Visit,
    caller: &SignedIn,
    trunk: &Trunk,
    password: &SipPassword,
    sentence: String,
    next: Next,
) -> Result<Reply, Problem> {
    let page = Page {
        shell: Shell::new(visit, caller, crumbs_below(trunk), "SIP password").await?,
        sentence,
        secret: password.secret().expose().to_owned(),
        username: trunk.sip_username.to_string(),
        uri: uri_of(visit, &trunk.sip_username),
        next: match next {
            Next::Connection => path_of(trunk.id),
            Next::Carrier => format!("{}/carrier", path_of(trunk.id)),
        },
        is_new: next == Next::Carrier,
    };
    Ok(Reply::page(&page)?.secret())
}
