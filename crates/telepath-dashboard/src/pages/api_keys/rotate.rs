//! Rotating a key, and ending a previous secret.

use askama::Template;
use http::StatusCode;
use telepath_core::id::SecretId;
use telepath_core::key::{GraceSeconds, KeyRecord};
use telepath_store::{KeyChangeError, SignedIn};

use super::{changeable_key, create, crumbs_below, mask_of, path_of, reveal};
use crate::form::Problems;
use crate::intent::{self, Intent};
use crate::problem::Problem;
use crate::reply::Reply;
use crate::route::Outcome;
use crate::shell::Shell;
use crate::time::relative;
use crate::visit::Visit;

/// The grace periods that can be chosen, in seconds.
const GRACES: [(u32, &str); 5] = [
    (0, "Not at all: it leaked"),
    (3600, "1 hour"),
    (86_400, "1 day"),
    (259_200, "3 days"),
    (604_800, "7 days"),
];

#[derive(Template)]
#[template(path = "pages/api_key_rotate.html")]
struct Page {
    shell: Shell,
    problems: Problems,
    intent: String,
    path: String,
    name: String,
    mask: String,
    last_used: String,
    graces: Vec<(u32, &'static str, bool)>,
}

/// The grace periods with the one that is chosen.
pub(super) fn graces(chosen: u32) -> Vec<(u32, &'static str, bool)> {
    GRACES.iter().map(|(seconds, label)| (*seconds, *label, *seconds == chosen)).collect()
}

async fn page(
    visit: &Visit,
    caller: &SignedIn,
    key: &KeyRecord,
    problems: Problems,
) -> Result<Reply, Problem> {
    let chosen = GraceSeconds::default().get();
    let last = key.secrets.first().and_then(|secret| secret.last_use);
    Reply::page(&Page {
        shell: Shell::new(visit, caller, crumbs_below(key), "Rotate").await?,
        problems,
        intent: intent::new(visit)?,
        path: path_of(key.id),
        name: key.name.clone(),
        mask: mask_of(key).to_owned(),
        last_used: last.map_or_else(
            || "It was never used.".to_owned(),
            |last| format!("It was last used {} from {}.", relative(last.at, visit.now), last.address),
        ),
        graces: graces(chosen),
    })
}

pub(super) async fn show(visit: Visit, caller: SignedIn) -> Outcome {
    let key = changeable_key(&visit, &caller).await?;
    page(&visit, &caller, &key, Problems::default()).await
}

pub(super) async fn submit(visit: Visit, caller: SignedIn) -> Outcome {
    let key = changeable_key(&visit, &caller).await?;
    let seconds = visit.form.text("grace_seconds").parse().ok().and_then(GraceSeconds::new);
    let Some(grace) = seconds else {
        let problems = Problems::one("grace_seconds", "Choose how long the previous secret keeps working");
        let reply = page(&visit, &caller, &key, problems).await?;
        return Ok(reply.status(StatusCode::UNPROCESSABLE_ENTITY));
    };
    let (claim, origin) = match intent::claim(&visit, &caller).await? {
        Intent::Fresh(claim, origin) => (claim, origin),
        Intent::Handled(_) => return Ok(create::handled(Some(key.id.to_string()))),
    };
    let rotated = visit.store().rotate_key(caller.session.account, key.id, grace, origin).await;
    intent::finish(&visit, claim).await?;
    match rotated {
        Ok(rotated) => reveal::page(&visit, &caller, &rotated, reveal::Cause::Rotated).await,
        Err(KeyChangeError::TooManySecrets) => {
            let problem = "The key has five secrets that work. End one of them on the page of the key first";
            let reply = page(&visit, &caller, &key, Problems::one("grace_seconds", problem)).await?;
            Ok(reply.status(StatusCode::UNPROCESSABLE_ENTITY))
        }
        Err(error) => Err(error.into()),
    }
}

/// Ends a previous secret. No confirmation is asked for, because stopping must be fast.
pub(super) async fn end(visit: Visit, caller: SignedIn) -> Outcome {
    let id = changeable_key(&visit, &caller).await?.id;
    let secret: SecretId = visit.part_of_path("secret", "This secret does not exist")?;
    visit.store().end_secret(caller.session.account, id, secret, visit.change_by(&caller)).await?;
    Ok(Reply::see_other(format!("{}?done=ended", path_of(id))))
}
