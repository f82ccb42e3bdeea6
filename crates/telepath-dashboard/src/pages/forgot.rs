//! `/login/forgot`: sends a link for a new password. The answer is the same whether or not the address belongs to a user.

use std::sync::Arc;

use askama::Template;
use http::{Method, StatusCode};
use telepath_core::mail::Letter;
use telepath_core::user::{Email, PASSWORD_LINK_LIFETIME};
use telepath_store::UserError;

use super::login::wait_text;
use crate::form::Problems;
use crate::letters;
use crate::problem::Problem;
use crate::reply::Reply;
use crate::route::{Outcome, Route};
use crate::shell::Head;
use crate::visit::Visit;

pub(crate) fn routes() -> Vec<Route> {
    vec![Route::open(Method::GET, "/login/forgot", show), Route::open(Method::POST, "/login/forgot", request)]
}

#[derive(Template)]
#[template(path = "pages/forgot.html")]
struct Page {
    head: Head,
    /// Whether a link can be sent.
    by_mail: bool,
    /// Whether one was asked for.
    asked: bool,
    refusal: Option<String>,
    problems: Problems,
    email: String,
}

fn page(visit: &Visit, asked: bool, refusal: Option<String>, problems: Problems) -> Result<Reply, Problem> {
    Reply::page(&Page {
        head: Head::new(visit, "Forgotten password"),
        by_mail: visit.shared.mail.is_some(),
        asked,
        refusal,
        problems,
        email: visit.form.text("email").to_owned(),
    })
}

async fn show(visit: Visit) -> Outcome {
    page(&visit, false, None, Problems::default())
}

async fn request(visit: Visit) -> Outcome {
    let Some(mail) = visit.shared.mail.clone() else {
        return Err(Problem::Conflict("No mail server is configured. Ask an owner for a link.".to_owned()));
    };
    let email = visit.form.text("email").to_owned();
    if let Err(problem) = email.parse::<Email>() {
        let reply = page(&visit, false, None, Problems::one("email", problem.to_string()))?;
        return Ok(reply.status(StatusCode::UNPROCESSABLE_ENTITY));
    }
    let origin = visit.change_by_nobody();
    match visit.store().begin_password_request(&email, origin).await {
        Ok(()) => {}
        Err(UserError::Wait(wait)) => {
            let reply = page(&visit, false, Some(wait_text(wait)), Problems::default())?;
            return Ok(reply.status(StatusCode::TOO_MANY_REQUESTS));
        }
        Err(error) => return Err(error.into()),
    }
    // Whether there is such a user is looked up after the answer, so that its time does not tell.
    let (store, url) = (Arc::clone(visit.store()), visit.shared.options.url.clone());
    letters::send_later(&visit, mail, async move {
        let found = store.forgotten_password_link(&email, origin).await?;
        Ok(found.map(|(user, token)| {
            let link = format!("{url}/reset?code={}", token.expose());
            Letter::password_link(&user.email, &link, origin.at.plus(PASSWORD_LINK_LIFETIME))
        }))
    })?;
    page(&visit, true, None, Problems::default())
}
