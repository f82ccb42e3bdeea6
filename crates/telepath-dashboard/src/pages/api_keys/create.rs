//! Create New Key: a form with a summary in one sentence, and the key with its secret as the response.

use askama::Template;
use http::StatusCode;
use telepath_core::account::Account;
use telepath_core::key::{KeyDraft, NewKey, Preset, describe_access, describe_preset};
use telepath_core::scope::{Scope, ScopeSet};
use telepath_core::validation::Invalid;
use telepath_store::{KeyChangeError, SignedIn};

use super::expiry::{self, Expiry};
use super::{crumbs, path_of, reveal, scopes};
use crate::form::{self, Fields, Problems};
use crate::intent::{self, Intent};
use crate::number::grouped;
use crate::problem::Problem;
use crate::reply::Reply;
use crate::route::Outcome;
use crate::shell::Shell;
use crate::time::Zone;
use crate::visit::Visit;

#[derive(Template)]
#[template(path = "pages/api_key_new.html")]
struct Page {
    shell: Shell,
    problems: Problems,
    intent: String,
    name: String,
    description: String,
    presets: Vec<PresetChoice>,
    scopes: Vec<scopes::Row>,
    rate_limit: String,
    most: String,
    expiry: Expiry,
    allowed_ips: String,
    client: String,
    manages_keys: bool,
    summary: Summary,
}

/// The part of the page that follows what is typed.
#[derive(Template)]
#[template(path = "pages/api_key_summary.html")]
struct Fragment {
    summary: Summary,
}

/// What the key will be able to do.
struct Summary {
    /// In one sentence; `None` while the form is not complete.
    sentence: Option<String>,
    checks: Vec<Check>,
    /// The command that creates the same key.
    command: Option<String>,
}

/// A piece of advice, and whether the key follows it.
#[derive(Clone, Copy)]
struct Check {
    good: bool,
    text: &'static str,
}

impl Summary {
    fn of(new: Option<&NewKey>, zone: &Zone) -> Self {
        let checks = new.map(|new| {
            let writes_keys = new.scopes.contains(Scope::KeysWrite);
            [
                (new.expires_at.is_some(), "Expires by itself", "Never expires"),
                (
                    !new.allowed_ips.is_empty(),
                    "Works from the given addresses only",
                    "Works from any address",
                ),
                (!writes_keys, "Cannot create other keys", "Can create other keys"),
            ]
            .map(|(good, yes, no)| Check { good, text: if good { yes } else { no } })
            .to_vec()
        });
        Self {
            sentence: new.map(|new| sentence(new, zone)),
            checks: checks.unwrap_or_default(),
            command: new.map(command),
        }
    }
}

struct PresetChoice {
    name: &'static str,
    label: String,
    text: String,
    limit: String,
    chosen: bool,
}

pub(super) async fn show(visit: Visit, caller: SignedIn) -> Outcome {
    page(&visit, &caller, Problems::default(), None).await
}

async fn page(
    visit: &Visit,
    caller: &SignedIn,
    problems: Problems,
    checked: Option<&NewKey>,
) -> Result<Reply, Problem> {
    let account = account_of(visit, caller).await?;
    let presets = visit.store().presets(caller.session.account).await?;
    let (form, grantable) = (&visit.form, caller.role.grantable_scopes());
    let text = |name: &str| form.text(name).to_owned();
    let chosen = form.get("preset").unwrap_or(Preset::Production.name());
    let choices = presets.iter().map(|(preset, terms)| PresetChoice {
        name: preset.name(),
        label: capitalized(preset.name()),
        text: describe_preset(preset, terms),
        limit: format!("{} requests/min", grouped(terms.rate_limit.get().into())),
        chosen: preset.name() == chosen,
    });
    let zone = visit.zone_of(caller);
    Reply::page(&Page {
        problems,
        intent: match form.get(intent::FIELD) {
            Some(intent) => intent.to_owned(),
            None => intent::new(visit)?,
        },
        name: text("name"),
        description: text("description"),
        presets: choices.collect(),
        scopes: scopes::table(form, None, grantable),
        rate_limit: text("rate_limit_per_minute"),
        most: grouped(account.max_rate_limit.get().into()),
        expiry: Expiry::new(form, &account, &zone, visit.now),
        allowed_ips: text("allowed_ips"),
        client: visit.client.to_string(),
        manages_keys: checked.is_some_and(|new| new.scopes.contains(Scope::KeysWrite)),
        summary: Summary::of(checked, &zone),
        shell: Shell::new(visit, caller, crumbs(), "Create New Key").await?,
    })
}

pub(super) async fn account_of(visit: &Visit, caller: &SignedIn) -> Result<std::sync::Arc<Account>, Problem> {
    let account = visit.store().account(caller.session.account).await?;
    account.ok_or_else(|| Problem::Failed("the account of the session is missing".to_owned()))
}

pub(super) fn capitalized(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map(char::to_uppercase).into_iter().flatten().chain(letters).collect()
}

pub(super) fn sentence(new: &NewKey, zone: &Zone) -> String {
    let until = new.expires_at.map(|end| zone.date(end));
    describe_access(new.scopes, new.rate_limit, &new.allowed_ips, until.as_deref())
}

/// The command of the command line that creates the same key. What could end a word is quoted.
fn command(new: &NewKey) -> String {
    let quoted = |text: &str| format!("'{}'", text.replace('\'', "'\\''"));
    let mut words = vec![
        "telepath keys create".to_owned(),
        format!("--name {}", quoted(&new.name)),
        format!("--preset {}", new.preset.name()),
        format!("--scopes {}", new.scopes.iter().map(Scope::name).collect::<Vec<_>>().join(",")),
        format!("--rate-limit {}", new.rate_limit.get()),
    ];
    words.extend(new.expires_at.map(|end| format!("--expires-at {end}")));
    words.extend(new.allowed_ips.iter().map(|network| format!("--allow-ip {network}")));
    words.join(" \\\n  ")
}

/// Reads the form into the draft that the API reads from JSON.
fn draft(form: &Fields, visit: &Visit, of_preset: ScopeSet, zone: &Zone) -> Result<KeyDraft, Problems> {
    let (given, lines) =
        (|name: &str| form::given(form.text(name)), |name: &str| form::lines(form.text(name)));
    let expires_at = expiry::chosen(form, zone, visit.now)?;
    Ok(KeyDraft {
        name: given("name"),
        description: given("description"),
        preset: given("preset"),
        scopes: scopes::chosen(form, of_preset),
        // A text that is no number is refused like a limit of zero.
        rate_limit_per_minute: given("rate_limit_per_minute").map(|text| text.parse().unwrap_or(0)),
        allowed_ips: Some(lines("allowed_ips")),
        expires_at: expires_at.map(|end| end.to_string()),
        ..KeyDraft::default()
    })
}

async fn check(visit: &Visit, caller: &SignedIn) -> Result<Result<NewKey, Problems>, Problem> {
    let account = account_of(visit, caller).await?;
    let presets = visit.store().presets(caller.session.account).await?;
    let authority = visit.store().authority(caller.session.account, visit.change_by(caller)).await?;
    let chosen = visit.form.text("preset");
    let of_preset = presets.iter().find(|(preset, _)| preset.name() == chosen);
    let of_preset = of_preset.map_or(ScopeSet::EMPTY, |(_, terms)| terms.scopes);
    let draft = match draft(&visit.form, visit, of_preset, &visit.zone_of(caller)) {
        Ok(draft) => draft,
        Err(problems) => return Ok(Err(problems)),
    };
    let checked = draft.check(&account, &presets, &authority, visit.now).and_then(|new| {
        account.check_expiry(new.expires_at, visit.now)?;
        Ok(new)
    });
    Ok(checked.map_err(problems_of))
}

/// The summary of what is typed, for the script of the page.
pub(super) async fn preview(visit: Visit, caller: SignedIn) -> Outcome {
    let checked = check(&visit, &caller).await?.ok();
    let zone = visit.zone_of(&caller);
    Reply::page(&Fragment { summary: Summary::of(checked.as_ref(), &zone) })
}

/// The problems by the fields of the form: an entry of a list belongs to the field of the list.
pub(super) fn problems_of(invalid: Invalid) -> Problems {
    let mut problems = Problems::default();
    for detail in invalid.into_details() {
        let (field, place) = match detail.field.split_once('[') {
            Some((field, rest)) => (field, rest.trim_end_matches(']').parse::<usize>().ok()),
            None => (detail.field.as_str(), None),
        };
        let message = match place {
            Some(place) => format!("Line {}: {}", place + 1, detail.message),
            None if detail.message.starts_with("Missing required field") => "Enter a value".to_owned(),
            None => detail.message.clone(),
        };
        problems.add(field, message);
    }
    problems
}

pub(super) async fn submit(visit: Visit, caller: SignedIn) -> Outcome {
    let new = match check(&visit, &caller).await? {
        Ok(new) => new,
        Err(problems) => {
            let reply = page(&visit, &caller, problems, None).await?;
            return Ok(reply.status(StatusCode::UNPROCESSABLE_ENTITY));
        }
    };
    if visit.form.text("step") == "check" {
        return page(&visit, &caller, Problems::default(), Some(&new)).await;
    }
    if new.scopes.contains(Scope::KeysWrite) && !visit.form.is_checked("confirm_keys") {
        let problem = "This key can create other keys. Tick the box below to confirm it";
        let reply = page(&visit, &caller, Problems::one("confirm_keys", problem), Some(&new)).await?;
        return Ok(reply.status(StatusCode::UNPROCESSABLE_ENTITY));
    }
    let (claim, origin) = match intent::claim(&visit, &caller).await? {
        Intent::Fresh(claim, origin) => (claim, origin),
        Intent::Handled(key) => return Ok(handled(key)),
    };
    let created = visit.store().create_key(caller.session.account, new, origin).await;
    intent::finish(&visit, claim).await?;
    match created {
        Ok(created) => reveal::page(&visit, &caller, &created, reveal::Cause::Created).await,
        Err(KeyChangeError::Beyond(invalid)) => {
            let reply = page(&visit, &caller, problems_of(invalid), None).await?;
            Ok(reply.status(StatusCode::UNPROCESSABLE_ENTITY))
        }
        Err(error) => Err(error.into()),
    }
}

/// A form that was sent a second time: the secret cannot be shown again.
pub(super) fn handled(key: Option<String>) -> Reply {
    let path = key.and_then(|key| key.parse().ok()).map_or_else(|| super::PATH.to_owned(), path_of);
    Reply::see_other(format!("{path}?done=shown"))
}
