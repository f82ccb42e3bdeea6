//! `/confirm`: asks for the password before what needs a confirmed identity, and then does it.

use askama::Template;
use http::{Method, StatusCode};
use telepath_core::user::UserToken;
use telepath_store::{SignedIn, UserError};

use super::provider_link::ProviderLink;
use super::session;
use crate::form::Problems;
use crate::problem::Problem;
use crate::reply::Reply;
use crate::route::{Outcome, Route};
use crate::shell::Shell;
use crate::visit::Visit;

pub(crate) fn routes() -> Vec<Route> {
    vec![Route::user(Method::GET, "/confirm", show), Route::user(Method::POST, "/confirm", confirm)]
}

#[derive(Template)]
#[template(path = "pages/confirm.html")]
struct Page {
    shell: Shell,
    /// The id of the form that waits.
    held: String,
    next: String,
    cancel: String,
    problems: Problems,
    /// Whether the user has a password.
    has_password: bool,
    /// Where users may confirm beside the password.
    provider: Option<ProviderLink>,
}

async fn page(visit: &Visit, caller: &SignedIn, problems: Problems) -> Result<Reply, Problem> {
    let held = visit.form.get("held").or_else(|| visit.query.get("held")).unwrap_or_default().to_owned();
    let next = visit.next_path().unwrap_or_else(|| "/".to_owned());
    let shell = Shell::new(visit, caller, Vec::new(), "Confirm your identity").await?;
    let provider = ProviderLink::to_confirm(visit, &held, &next);
    let has_password = caller.user.has_password;
    Reply::page(&Page { shell, held, cancel: "/".to_owned(), next, problems, has_password, provider })
}

async fn show(visit: Visit, caller: SignedIn) -> Outcome {
    page(&visit, &caller, Problems::default()).await
}

async fn confirm(visit: Visit, caller: SignedIn) -> Outcome {
    let (id, password) = (caller.session.id, visit.form.secret("password"));
    let token = match visit.store().confirm_session(id, password, visit.change_by(&caller)).await {
        Ok(token) => token,
        Err(UserError::WrongPassword) => {
            let reply = page(&visit, &caller, Problems::one("password", "The password is wrong.")).await?;
            return Ok(reply.status(StatusCode::UNPROCESSABLE_ENTITY));
        }
        Err(error) => return Err(error.into()),
    };
    let (held, next) = (visit.form.text("held"), visit.next_path());
    Ok(confirmed(&visit, &caller, token, held, next))
}

/// Goes on with what waited for the confirmation.
pub(super) fn confirmed(
    visit: &Visit,
    caller: &SignedIn,
    token: UserToken,
    held: &str,
    next: Option<String>,
) -> Reply {
    let cookie = session::set(visit, &caller.session, &token);
    if held.is_empty() {
        return Reply::see_other(next.unwrap_or_else(|| "/".to_owned())).cookie(cookie);
    }
    match visit.shared.held.take(caller.session.id, held, visit.now) {
        Some(form) => Reply::resume(form, token).cookie(cookie),
        // It waited too long, or was sent already. The confirmation counts.
        None => Reply::see_other("/").cookie(cookie),
    }
}
