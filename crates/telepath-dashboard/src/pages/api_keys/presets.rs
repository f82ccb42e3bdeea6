//! The presets of the account: what each gives to new keys. Keys that exist are not changed.

use askama::Template;
use http::StatusCode;
use telepath_core::key::{Preset, PresetPatch, PresetPatchDraft, PresetTerms, describe_preset};
use telepath_core::scope::ScopeSet;
use telepath_store::{KeyChangeError, SignedIn};

use super::create::{account_of, capitalized, problems_of};
use super::{crumbs, scopes};
use crate::form::Problems;
use crate::number::grouped;
use crate::problem::Problem;
use crate::reply::Reply;
use crate::route::Outcome;
use crate::shell::{Crumb, Shell};
use crate::visit::Visit;

pub(super) const PATH: &str = "/settings/api-keys/presets";
const NOT_FOUND: &str = "This preset does not exist";

#[derive(Template)]
#[template(path = "pages/key_presets.html")]
struct ListPage {
    shell: Shell,
    rows: Vec<Row>,
    may_edit: bool,
    done: Option<&'static str>,
}

struct Row {
    name: &'static str,
    label: String,
    text: String,
    limit: String,
    edited: bool,
}

#[derive(Template)]
#[template(path = "pages/key_preset_edit.html")]
struct EditPage {
    shell: Shell,
    problems: Problems,
    name: &'static str,
    label: String,
    edited: bool,
    built_in: String,
    rate_limit: String,
    most: String,
    scopes: Vec<scopes::Row>,
}

/// Reads the presets (1).
pub(super) async fn show(visit: Visit, caller: SignedIn) -> Outcome {
    let presets = visit.store().presets(caller.session.account).await?;
    let row = |(preset, terms): (Preset, PresetTerms)| Row {
        name: preset.name(),
        label: capitalized(preset.name()),
        text: describe_preset(preset, terms),
        limit: format!("{} requests/min", grouped(terms.rate_limit.get().into())),
        edited: terms.modified,
    };
    let is_edited = |preset: &Preset| *preset != Preset::Custom;
    Reply::page(&ListPage {
        rows: presets.iter().filter(|(preset, _)| is_edited(preset)).map(row).collect(),
        may_edit: caller.role.manages_all_keys(),
        done: match visit.query.get("done") {
            Some("edited") => Some("The preset is edited. Keys that exist keep what they have."),
            Some("reset") => Some("The preset is the built-in one again."),
            Some(_) | None => None,
        },
        shell: Shell::new(&visit, &caller, crumbs(), "Presets").await?,
    })
}

/// The preset that the path names and that can be edited.
fn preset_in_path(visit: &Visit) -> Result<Preset, Problem> {
    let name = visit.params.iter().find(|(name, _)| name == "preset").map(|(_, value)| value.as_str());
    let preset = name.and_then(Preset::from_name).filter(|preset| *preset != Preset::Custom);
    preset.ok_or(Problem::NotFound(NOT_FOUND))
}

pub(super) async fn edit(visit: Visit, caller: SignedIn) -> Outcome {
    let preset = preset_in_path(&visit)?;
    if !caller.role.manages_all_keys() {
        return Err(Problem::Forbidden);
    }
    page(&visit, &caller, preset, Problems::default()).await
}

async fn page(
    visit: &Visit,
    caller: &SignedIn,
    preset: Preset,
    problems: Problems,
) -> Result<Reply, Problem> {
    let account = account_of(visit, caller).await?;
    let terms = visit.store().presets(caller.session.account).await?.get(preset);
    let mut crumbs = crumbs();
    crumbs.push(Crumb::page("Presets", PATH));
    let limit = visit.form.get("rate_limit_per_minute").map(str::to_owned);
    Reply::page(&EditPage {
        shell: Shell::new(visit, caller, crumbs, &capitalized(preset.name())).await?,
        problems,
        name: preset.name(),
        label: capitalized(preset.name()),
        edited: terms.modified,
        built_in: describe_preset(preset, PresetTerms::built_in(preset)),
        rate_limit: limit.unwrap_or_else(|| terms.rate_limit.get().to_string()),
        most: grouped(account.max_rate_limit.get().into()),
        scopes: scopes::table(&visit.form, Some(terms.scopes), caller.role.grantable_scopes()),
    })
}

async fn check(
    visit: &Visit,
    caller: &SignedIn,
    preset: Preset,
) -> Result<Result<PresetPatch, Problems>, Problem> {
    let account = account_of(visit, caller).await?;
    let held = visit.store().presets(caller.session.account).await?.get(preset).scopes;
    let chosen: ScopeSet = scopes::held(&visit.form, held);
    let draft = PresetPatchDraft {
        scopes: Some(chosen.iter().map(|scope| scope.name().to_owned()).collect()),
        // A text that is no number is refused like a limit of zero.
        rate_limit_per_minute: Some(visit.form.text("rate_limit_per_minute").trim().parse().unwrap_or(0)),
    };
    Ok(draft.check(preset, &account).map_err(problems_of))
}

pub(super) async fn submit(visit: Visit, caller: SignedIn) -> Outcome {
    let preset = preset_in_path(&visit)?;
    let changed = match check(&visit, &caller, preset).await? {
        Ok(patch) => {
            let (account, origin) = (caller.session.account, visit.change_by(&caller));
            visit.store().update_preset(account, preset, patch, origin).await.map(drop)
        }
        Err(problems) => return refused(&visit, &caller, preset, problems).await,
    };
    match changed {
        Ok(()) => Ok(Reply::see_other(format!("{PATH}?done=edited"))),
        Err(KeyChangeError::Beyond(invalid)) => refused(&visit, &caller, preset, problems_of(invalid)).await,
        Err(error) => Err(error.into()),
    }
}

async fn refused(visit: &Visit, caller: &SignedIn, preset: Preset, problems: Problems) -> Outcome {
    Ok(page(visit, caller, preset, problems).await?.status(StatusCode::UNPROCESSABLE_ENTITY))
}

pub(super) async fn reset(visit: Visit, caller: SignedIn) -> Outcome {
    let preset = preset_in_path(&visit)?;
    visit.store().reset_preset(caller.session.account, preset, visit.change_by(&caller)).await?;
    Ok(Reply::see_other(format!("{PATH}?done=reset")))
}
