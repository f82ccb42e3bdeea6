//! Editing a key. Taking something away is as fast as revoking; giving the key more asks who the user is.

mod changes;

use askama::Template;
use http::StatusCode;
use telepath_core::account::Account;
use telepath_core::key::{KeyPatch, KeyPatchDraft, KeyRecord};
use telepath_core::patch::Patch;
use telepath_core::scope::ScopeSet;
use telepath_store::{KeyChangeError, SignedIn};

use super::create::{account_of, problems_of};
use super::expiry::{self, Expiry};
use super::{changeable_key, crumbs_below, path_of, scopes};
use crate::form::{self, Fields, Problems};
use crate::number::grouped;
use crate::problem::Problem;
use crate::reply::Reply;
use crate::route::Outcome;
use crate::shell::Shell;
use crate::step_up::confirm_first;
use crate::time::Zone;
use crate::visit::Visit;
use changes::Change;

#[derive(Template)]
#[template(path = "pages/api_key_edit.html")]
struct Page {
    shell: Shell,
    problems: Problems,
    path: String,
    key_name: String,
    name: String,
    description: String,
    rate_limit: String,
    most: String,
    expiry: Expiry,
    allowed_ips: String,
    client: String,
    scopes: Vec<scopes::Row>,
    /// What would change; `None` before it was checked.
    changes: Option<Vec<Change>>,
    /// Whether the key would get more than it has.
    widens: bool,
}

pub(super) async fn show(visit: Visit, caller: SignedIn) -> Outcome {
    let key = changeable_key(&visit, &caller).await?;
    page(&visit, &caller, &key, Problems::default(), None).await
}

/// Reads the account (1, cached) beside the key.
async fn page(
    visit: &Visit,
    caller: &SignedIn,
    key: &KeyRecord,
    problems: Problems,
    patch: Option<&KeyPatch>,
) -> Result<Reply, Problem> {
    let (account, zone, form) = (account_of(visit, caller).await?, visit.zone_of(caller), &visit.form);
    let typed = |field: &str, held: String| form.get(field).map_or(held, str::to_owned);
    let networks = key.allowed_ips.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    Reply::page(&Page {
        shell: Shell::new(visit, caller, crumbs_below(key), "Edit").await?,
        problems,
        path: path_of(key.id),
        key_name: key.name.clone(),
        name: typed("name", key.name.clone()),
        description: typed("description", key.description.clone().unwrap_or_default()),
        rate_limit: typed("rate_limit_per_minute", key.rate_limit.get().to_string()),
        most: grouped(account.max_rate_limit.get().into()),
        expiry: Expiry::of_key(form, key.expires_at, &account, &zone, visit.now),
        allowed_ips: typed("allowed_ips", networks),
        client: visit.client.to_string(),
        scopes: scopes::table(form, Some(key.scopes), caller.role.grantable_scopes()),
        changes: patch.map(|patch| changes::list(key, patch, &zone)),
        widens: patch.is_some_and(|patch| changes::widens(key, patch)),
    })
}

/// Reads the form into the draft that the API reads from JSON. What is as it was is left out.
fn draft(form: &Fields, key: &KeyRecord, visit: &Visit, zone: &Zone) -> Result<KeyPatchDraft, Problems> {
    let description = form.text("description").trim();
    let chosen: ScopeSet = scopes::held(form, key.scopes);
    let same = chosen.covers(key.scopes) && key.scopes.covers(chosen);
    Ok(KeyPatchDraft {
        name: Some(form.text("name").trim().to_owned()),
        description: match (description, &key.description) {
            ("", None) => Patch::Keep,
            ("", Some(_)) => Patch::Clear,
            (text, _) => Patch::Set(text.to_owned()),
        },
        scopes: (!same).then(|| chosen.iter().map(|scope| scope.name().to_owned()).collect()),
        // A text that is no number is refused like a limit of zero.
        rate_limit_per_minute: Some(form.text("rate_limit_per_minute").trim().parse().unwrap_or(0)),
        allowed_ips: Some(form::lines(form.text("allowed_ips"))),
        expires_at: expiry::chosen_of_key(form, zone, visit.now)?.map(|end| end.to_string()),
        ..KeyPatchDraft::default()
    })
}

fn check(visit: &Visit, key: &KeyRecord, account: &Account, zone: &Zone) -> Result<KeyPatch, Problems> {
    let patch = draft(&visit.form, key, visit, zone)?.check(account, visit.now).map_err(problems_of)?;
    if patch.expires_at.is_given() {
        account.check_expiry(patch.expires_at.apply(key.expires_at), visit.now).map_err(problems_of)?;
    }
    Ok(patch)
}

pub(super) async fn submit(visit: Visit, caller: SignedIn) -> Outcome {
    let key = changeable_key(&visit, &caller).await?;
    let account = account_of(&visit, &caller).await?;
    let patch = match check(&visit, &key, &account, &visit.zone_of(&caller)) {
        Ok(patch) => patch,
        Err(problems) => return refused(&visit, &caller, &key, problems).await,
    };
    if visit.form.text("step") == "check" {
        return page(&visit, &caller, &key, Problems::default(), Some(&patch)).await;
    }
    if changes::widens(&key, &patch) && !caller.session.is_confirmed(visit.now) {
        return confirm_first(&visit, &caller, &visit.path);
    }
    let changed = visit.store().update_key(caller.session.account, key.id, patch, visit.change_by(&caller));
    match changed.await {
        Ok(_) => Ok(Reply::see_other(format!("{}?done=edited", path_of(key.id)))),
        Err(KeyChangeError::Beyond(invalid)) => refused(&visit, &caller, &key, problems_of(invalid)).await,
        Err(error) => Err(error.into()),
    }
}

async fn refused(visit: &Visit, caller: &SignedIn, key: &KeyRecord, problems: Problems) -> Outcome {
    let reply = page(visit, caller, key, problems, None).await?;
    Ok(reply.status(StatusCode::UNPROCESSABLE_ENTITY))
}
