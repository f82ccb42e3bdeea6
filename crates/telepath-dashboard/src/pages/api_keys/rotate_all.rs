//! Rotating keys together: every key, or those whose secret is from before a leak. The response shows each new secret once.

use askama::Template;
use http::StatusCode;
use telepath_core::clock::Timestamp;
use telepath_core::id::KeyId;
use telepath_core::key::{Bound, GraceSeconds, RotateAll};
use telepath_store::{LeakGuide, RotateAllError, RotatedKeys, SignedIn};

use super::rotate::graces;
use super::{crumbs, leaked, mask_of};
use crate::form::Problems;
use crate::intent::{self, Intent};
use crate::mark::Mark;
use crate::number::counted;
use crate::problem::Problem;
use crate::reply::Reply;
use crate::route::Outcome;
use crate::shell::Shell;
use crate::time::{Shown, Zone};
use crate::visit::Visit;

/// The page that the form leads to when it was sent before.
const HANDLED: &str = "/settings/api-keys?done=rotated";

#[derive(Template)]
#[template(path = "pages/api_keys_rotate.html")]
struct Page {
    shell: Shell,
    problems: Problems,
    intent: String,
    /// How many keys work.
    keys: String,
    graces: Vec<(u32, &'static str, bool)>,
    /// The leaked key whose guide the form belongs to.
    leaked: Option<(String, String)>,
    started: Option<Shown>,
}

#[derive(Template)]
#[template(path = "pages/api_keys_secrets.html")]
struct SecretsPage {
    shell: Shell,
    sentence: String,
    rows: Vec<Row>,
    /// Where the page leads when the secrets are saved.
    next: &'static str,
    leaked: Option<String>,
}

struct Row {
    mark: Mark,
    id: String,
    name: String,
    mask: String,
    secret: String,
}

/// The guide that the form belongs to, if it names a leaked key.
async fn guide(visit: &Visit, caller: &SignedIn) -> Result<Option<LeakGuide>, Problem> {
    let text = visit.form.get("leaked").or_else(|| visit.query.get("leaked")).unwrap_or_default();
    let Ok(key) = text.parse::<KeyId>() else { return Ok(None) };
    Ok(visit.store().leak_guide(caller.session.account, key).await?)
}

/// Reads the number of keys (1) and the guide (1).
async fn page(visit: &Visit, caller: &SignedIn, problems: Problems) -> Result<Reply, Problem> {
    let guide = guide(visit, caller).await?;
    let counts = visit.store().count_keys(caller.session.account).await?;
    let usual = if guide.is_some() { 0 } else { GraceSeconds::default().get() };
    let chosen = visit.form.text("grace_seconds").parse().unwrap_or(usual);
    let zone = visit.zone_of(caller);
    Reply::page(&Page {
        shell: Shell::new(visit, caller, crumbs(), "Rotate all keys").await?,
        problems,
        intent: intent::new(visit)?,
        keys: counted(counts.current, "key", "keys"),
        graces: graces(chosen),
        started: guide.as_ref().map(|guide| zone.shown(guide.started_at)),
        leaked: guide.map(|guide| (guide.key.to_string(), guide.name)),
    })
}

pub(super) async fn show(visit: Visit, caller: SignedIn) -> Outcome {
    page(&visit, &caller, Problems::default()).await
}

pub(super) async fn submit(visit: Visit, caller: SignedIn) -> Outcome {
    let seconds = visit.form.text("grace_seconds").parse().ok().and_then(GraceSeconds::new);
    let Some(grace) = seconds else {
        let problems = Problems::one("grace_seconds", "Choose how long the previous secrets keep working");
        return refused(&visit, &caller, problems).await;
    };
    let guide = guide(&visit, &caller).await?;
    let (claim, origin) = match intent::claim(&visit, &caller).await? {
        Intent::Fresh(claim, origin) => (claim, origin),
        Intent::Handled(_) => return Ok(handled(guide.as_ref())),
    };
    let which = RotateAll { grace, secrets_before: guide.as_ref().map(|guide| guide.started_at) };
    let rotated = visit.store().rotate_all_keys(caller.session.account, which, origin).await;
    intent::finish(&visit, claim).await?;
    match rotated {
        Ok(rotated) if rotated.keys.is_empty() => Ok(handled(guide.as_ref())),
        Ok(rotated) => secrets(&visit, &caller, &rotated, grace, guide.as_ref()).await,
        Err(error) => refused(&visit, &caller, Problems::one("grace_seconds", problem(error)?)).await,
    }
}

async fn refused(visit: &Visit, caller: &SignedIn, problems: Problems) -> Outcome {
    Ok(page(visit, caller, problems).await?.status(StatusCode::UNPROCESSABLE_ENTITY))
}

fn handled(guide: Option<&LeakGuide>) -> Reply {
    Reply::see_other(guide.map_or_else(|| HANDLED.to_owned(), |guide| leaked::path_for(guide.key)))
}

/// Why no key was rotated, as a sentence.
fn problem(error: RotateAllError) -> Result<String, Problem> {
    match error {
        RotateAllError::Escalation(_) => Err(Problem::Forbidden),
        RotateAllError::Beyond { keys, bound: Bound::Role | Bound::Key } => Ok(format!(
            "No key was rotated: your role does not manage {} of them. An owner or an admin can rotate all keys",
            counted(keys.len() as u64, "key", "keys")
        )),
        RotateAllError::TooManySecrets(keys) => Ok(format!(
            "No key was rotated: {} already five secrets that work. Choose not to keep the previous secrets, or end some first",
            counted(keys.len() as u64, "key has", "keys have")
        )),
        RotateAllError::TooManyKeys => {
            Ok("No key was rotated: the account has more than 10,000 keys. Rotate them one by one".to_owned())
        }
        RotateAllError::Store(error) => Err(error.into()),
    }
}

async fn secrets(
    visit: &Visit,
    caller: &SignedIn,
    rotated: &RotatedKeys,
    grace: GraceSeconds,
    guide: Option<&LeakGuide>,
) -> Outcome {
    let row = |created: &telepath_store::CreatedKey| Row {
        mark: Mark::of(created.record.id),
        id: created.record.id.to_string(),
        name: created.record.name.clone(),
        mask: mask_of(&created.record).to_owned(),
        secret: created.secret.reveal().expose().to_owned(),
    };
    let page = SecretsPage {
        shell: Shell::new(visit, caller, crumbs(), "New secrets").await?,
        sentence: sentence(rotated.keys.len(), grace, rotated.at, &visit.zone_of(caller)),
        rows: rotated.keys.iter().map(row).collect(),
        next: if guide.is_some() { leaked::PATH } else { super::PATH },
        leaked: guide.map(|guide| guide.key.to_string()),
    };
    Ok(Reply::page(&page)?.secret())
}

fn sentence(keys: usize, grace: GraceSeconds, at: Timestamp, zone: &Zone) -> String {
    let keys = counted(keys as u64, "key was rotated", "keys were rotated");
    if grace.is_none() {
        return format!("{keys}. The previous secrets no longer work.");
    }
    let until = zone.moment(at.plus(std::time::Duration::from_secs(grace.get().into())));
    format!("{keys}. The previous secrets work until {until} at the latest.")
}
