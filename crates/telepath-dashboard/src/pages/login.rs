//! Signing in and out.

use std::time::Duration;

use askama::Template;
use http::{Method, StatusCode};
use telepath_core::user::SessionStatus;
use telepath_store::{SignIn, SignInAttempt, SignedIn, UserError};

use super::provider_link::ProviderLink;
use super::session;
use crate::cookie;
use crate::form::Problems;
use crate::problem::Problem;
use crate::reply::Reply;
use crate::route::{Outcome, Route};
use crate::shell::Head;
use crate::visit::Visit;

pub(crate) fn routes() -> Vec<Route> {
    vec![
        Route::open(Method::GET, "/login", show),
        Route::open(Method::POST, "/login", sign_in),
        Route::open(Method::GET, "/login/code", show_code),
        Route::open(Method::POST, "/login/code", check_code),
        Route::user(Method::POST, "/logout", sign_out),
    ]
}

#[derive(Template)]
#[template(path = "pages/login.html")]
struct Page {
    head: Head,
    next: Option<String>,
    refusal: Option<String>,
    done: Option<&'static str>,
    problems: Problems,
    email: String,
    persistent: bool,
    /// Where users may sign in beside the password.
    provider: Option<ProviderLink>,
}

async fn show(visit: Visit) -> Outcome {
    if let Some(session) = &visit.session {
        let active = session.session.status(visit.now) == SessionStatus::Active;
        let code = if active { "/" } else { "/login/code" };
        return Ok(Reply::see_other(visit.next_path().unwrap_or_else(|| code.to_owned())));
    }
    let done = match visit.query.get("done") {
        Some("signed-out") => Some("You are signed out."),
        Some(_) | None => None,
    };
    Reply::page(&page(&visit, None, done))
}

fn page(visit: &Visit, refusal: Option<String>, done: Option<&'static str>) -> Page {
    Page {
        head: Head::new(visit, "Sign in"),
        next: visit.next_path(),
        refusal,
        done,
        problems: Problems::default(),
        email: visit.form.text("email").to_owned(),
        persistent: visit.form.is_checked("persistent"),
        provider: ProviderLink::to_sign_in(visit),
    }
}

/// The page after a sign-in at the identity provider that failed.
pub(super) fn refused(visit: &Visit, refusal: String) -> Result<Reply, Problem> {
    Reply::page(&page(visit, Some(refusal), None))
}

async fn sign_in(visit: Visit) -> Outcome {
    let attempt =
        SignInAttempt { email: visit.form.text("email").to_owned(), password: visit.form.secret("password") };
    match visit.store().sign_in(attempt, visit.change_by_nobody()).await? {
        SignIn::Accepted(user) => {
            let next = visit.next_path().unwrap_or_else(|| "/".to_owned());
            session::start(&visit, &user, visit.form.is_checked("persistent"), &next).await
        }
        SignIn::Refused => {
            let refusal = "The email address or the password is wrong.".to_owned();
            let reply = Reply::page(&page(&visit, Some(refusal), None))?;
            Ok(reply.status(StatusCode::UNPROCESSABLE_ENTITY))
        }
        SignIn::Wait(wait) => {
            let reply = Reply::page(&page(&visit, Some(wait_text(wait)), None))?;
            Ok(reply.status(StatusCode::TOO_MANY_REQUESTS))
        }
    }
}

pub(super) fn wait_text(wait: Duration) -> String {
    // Rounded up, so that the next attempt is not too early.
    let seconds = wait.as_millis().div_ceil(1000).max(1);
    format!("Too many attempts. Try again in {seconds} s.")
}

#[derive(Template)]
#[template(path = "pages/login_code.html")]
struct CodePage {
    head: Head,
    next: Option<String>,
    refusal: Option<String>,
    /// Whether a recovery code is asked for.
    recovery: bool,
}

fn code_page(visit: &Visit, refusal: Option<String>) -> CodePage {
    let recovery = visit.query.is_checked("recovery") || visit.form.is_checked("recovery");
    CodePage { head: Head::new(visit, "Enter your code"), next: visit.next_path(), refusal, recovery }
}

/// The session that awaits its second factor; otherwise where to go.
fn awaiting(visit: &Visit) -> Result<SignedIn, Reply> {
    match &visit.session {
        Some(session) if session.session.status(visit.now) == SessionStatus::AwaitingSecondFactor => {
            Ok(session.clone())
        }
        Some(_) => Err(Reply::see_other("/")),
        None => Err(Reply::see_other("/login")),
    }
}

async fn show_code(visit: Visit) -> Outcome {
    match awaiting(&visit) {
        Ok(_) => Reply::page(&code_page(&visit, None)),
        Err(elsewhere) => Ok(elsewhere),
    }
}

async fn check_code(visit: Visit) -> Outcome {
    let caller = match awaiting(&visit) {
        Ok(caller) => caller,
        Err(elsewhere) => return Ok(elsewhere),
    };
    let (id, code) = (caller.session.id, visit.form.text("code"));
    let passed = visit.store().pass_second_factor(id, code, visit.change_by_nobody()).await;
    let (refusal, status) = match passed {
        Ok(token) => {
            let next = visit.next_path().unwrap_or_else(|| "/".to_owned());
            return Ok(Reply::see_other(next).cookie(session::set(&visit, &caller.session, &token)));
        }
        Err(UserError::WrongCode) => {
            ("The code is wrong, or was used before.".to_owned(), StatusCode::UNPROCESSABLE_ENTITY)
        }
        Err(UserError::Wait(wait)) => (wait_text(wait), StatusCode::TOO_MANY_REQUESTS),
        Err(error) => return Err(error.into()),
    };
    Ok(Reply::page(&code_page(&visit, Some(refusal)))?.status(status))
}

async fn sign_out(visit: Visit, caller: SignedIn) -> Outcome {
    let (account, id) = (caller.session.account, caller.session.id);
    visit.store().revoke_session(account, id, visit.change_by(&caller)).await?;
    Ok(Reply::see_other("/login?done=signed-out").cookie(cookie::clear_session(visit.https)))
}
