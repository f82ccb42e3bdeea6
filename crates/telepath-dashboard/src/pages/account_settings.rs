//! `/settings/account`: the name of the account and its policies for keys. Members see them, owners change them.

use askama::Template;
use http::{Method, StatusCode};
use telepath_core::account::{Account, AccountPatchDraft, MAX_KEY_LIFETIME_DAYS};
use telepath_core::patch::Patch;
use telepath_core::scope::Scope;
use telepath_core::secret::KeyMode;
use telepath_store::{AccountChangeError, SignedIn};

use crate::form::Problems;
use crate::icon;
use crate::navigation::{Entry, Group};
use crate::number::{counted, grouped};
use crate::problem::Problem;
use crate::reply::Reply;
use crate::route::{Outcome, Route};
use crate::shell::{Crumb, Shell};
use crate::time::Shown;
use crate::visit::Visit;

pub(crate) const ENTRY: Entry = Entry {
    group: Group::Settings,
    place: 4,
    label: "Account",
    path: "/settings/account",
    shortcut: 'p',
    icon: icon::ACCOUNT,
    scope: Scope::AccountRead,
};

pub(crate) fn routes() -> Vec<Route> {
    vec![
        Route::scoped(Method::GET, "/settings/account", Scope::AccountRead, show),
        Route::scoped(Method::POST, "/settings/account", Scope::AccountWrite, change).confirmed(),
    ]
}

/// The policies as the form holds them.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Typed {
    name: String,
    /// Days; empty without a limit.
    max_key_lifetime_days: String,
    keys_must_expire: bool,
    revoke_keys_seen_in_clear: bool,
}

impl Typed {
    fn of(account: &Account) -> Self {
        Self {
            name: account.name.clone(),
            max_key_lifetime_days: account
                .max_key_lifetime_days
                .map_or_else(String::new, |days| days.to_string()),
            keys_must_expire: account.keys_must_expire,
            revoke_keys_seen_in_clear: account.revoke_keys_seen_in_clear,
        }
    }

    fn read(visit: &Visit) -> Self {
        let form = &visit.form;
        Self {
            name: form.text("name").to_owned(),
            max_key_lifetime_days: form.text("max_key_lifetime_days").trim().to_owned(),
            keys_must_expire: form.is_checked("keys_must_expire"),
            revoke_keys_seen_in_clear: form.is_checked("revoke_keys_seen_in_clear"),
        }
    }

    /// The change that the form asks for.
    fn draft(&self) -> Result<AccountPatchDraft, Problems> {
        let days = match self.max_key_lifetime_days.as_str() {
            "" => Patch::Clear,
            text => Patch::Set(text.parse().map_err(|_| {
                let problem = format!(
                    "must be a whole number of days up to {MAX_KEY_LIFETIME_DAYS}, or empty for no limit"
                );
                Problems::one("max_key_lifetime_days", problem)
            })?),
        };
        Ok(AccountPatchDraft {
            name: Some(self.name.clone()),
            revoke_keys_seen_in_clear: Some(self.revoke_keys_seen_in_clear),
            max_key_lifetime_days: days,
            keys_must_expire: Some(self.keys_must_expire),
        })
    }
}

#[derive(Template)]
#[template(path = "pages/account_settings.html")]
struct Page {
    shell: Shell,
    done: bool,
    problems: Problems,
    typed: Typed,
    saved: Typed,
    may_change: bool,
    /// The policies in words, for members who do not change them.
    lifetime: String,
    id: String,
    mode: &'static str,
    max_rate_limit: String,
    created: Shown,
    zone: String,
}

async fn account_of(visit: &Visit, caller: &SignedIn) -> Result<Account, Problem> {
    let account = visit.store().account(caller.session.account).await?;
    let account = account.ok_or(Problem::NotFound("This account does not exist"))?;
    Ok((*account).clone())
}

/// Queries: the account unless it is in memory, and those of the shell.
async fn page(
    visit: &Visit,
    caller: &SignedIn,
    typed: Option<Typed>,
    problems: Problems,
) -> Result<Reply, Problem> {
    let (account, zone) = (account_of(visit, caller).await?, visit.zone_of(caller));
    let lifetime = account.max_key_lifetime_days.map(|days| counted(days.into(), "day", "days"));
    Reply::page(&Page {
        shell: Shell::new(visit, caller, vec![Crumb::group("Settings")], "Account").await?,
        done: visit.query.get("done").is_some(),
        problems,
        saved: Typed::of(&account),
        typed: typed.unwrap_or_else(|| Typed::of(&account)),
        may_change: caller.role.scopes().allows(Scope::AccountWrite),
        lifetime: lifetime.unwrap_or_else(|| "no limit".to_owned()),
        id: account.id.to_string(),
        mode: match account.mode {
            KeyMode::Live => "Live",
            KeyMode::Test => "Test",
        },
        max_rate_limit: grouped(account.max_rate_limit.get().into()),
        created: zone.shown_date(account.created_at),
        zone: zone.abbreviation(visit.now),
    })
}

async fn show(visit: Visit, caller: SignedIn) -> Outcome {
    page(&visit, &caller, None, Problems::default()).await
}

async fn change(visit: Visit, caller: SignedIn) -> Outcome {
    let typed = Typed::read(&visit);
    let checked = typed.draft().and_then(|draft| draft.check().map_err(Problems::from));
    let patch = match checked {
        Ok(patch) => patch,
        Err(problems) => return refused(&visit, &caller, typed, problems).await,
    };
    match visit.store().update_account(caller.session.account, patch, visit.change_by(&caller)).await {
        Ok(Some(_)) => Ok(Reply::see_other("/settings/account?done=saved")),
        Ok(None) => Err(Problem::NotFound("This account does not exist")),
        Err(AccountChangeError::Invalid(invalid)) => refused(&visit, &caller, typed, invalid.into()).await,
        Err(AccountChangeError::Store(error)) => Err(error.into()),
    }
}

/// The page again, with what was typed and what is wrong with it.
async fn refused(visit: &Visit, caller: &SignedIn, typed: Typed, problems: Problems) -> Outcome {
    Ok(page(visit, caller, Some(typed), problems).await?.status(StatusCode::UNPROCESSABLE_ENTITY))
}
