//! `/setup` and `/reset`: the one-use links. With the link that the server prints, the first user becomes an owner; with other
//! links, users choose a password, the first one or another.

use askama::Template;
use http::{HeaderValue, Method, StatusCode};
use telepath_core::user::{Email, User, UserName, UserToken};
use telepath_store::{FirstUser, UserError};

use super::session;
use crate::cookie;
use crate::form::Problems;
use crate::problem::Problem;
use crate::reply::Reply;
use crate::route::{Outcome, Route};
use crate::shell::Head;
use crate::time::Zone;
use crate::visit::Visit;

pub(crate) fn routes() -> Vec<Route> {
    vec![
        Route::open(Method::GET, "/setup", show),
        Route::open(Method::POST, "/setup", submit),
        Route::open(Method::GET, "/reset", show),
        Route::open(Method::POST, "/reset", submit),
    ]
}

/// What a code is good for.
enum Purpose {
    /// Creates the first user.
    FirstUser,
    /// Sets the password of this user.
    Password(Box<User>, UserToken),
}

#[derive(Template)]
#[template(path = "pages/setup.html")]
struct Page {
    head: Head,
    /// Where the form is sent.
    link_path: String,
    heading: &'static str,
    sentence: String,
    asks_name: bool,
    asks_email: bool,
    name: String,
    email: String,
    persistent: bool,
    problems: Problems,
}

/// The code moves from the address into a cookie, so that neither the history nor a screenshot shows it.
async fn show(visit: Visit) -> Outcome {
    if let Some(code) = visit.query.get("code") {
        let cookie = cookie::set_setup(code, visit.https);
        return Ok(Reply::see_other(visit.path.as_str()).cookie(cookie).secret());
    }
    let purpose = purpose(&visit).await?;
    Ok(Reply::page(&page(&visit, &purpose, Problems::default()))?.secret())
}

async fn purpose(visit: &Visit) -> Result<Purpose, Problem> {
    let code = visit.setup_code.clone().unwrap_or_default();
    if visit.store().accepts_setup_code(&code).await? {
        return Ok(Purpose::FirstUser);
    }
    if let Ok(token) = UserToken::parse(&code)
        && let Some(user) = visit.store().find_password_link(&token).await?
    {
        return Ok(Purpose::Password(Box::new(user), token));
    }
    if visit.path == "/reset" {
        return Err(UserError::InvalidLink.into());
    }
    Err(Problem::Gone(match visit.store().set_up_at().await? {
        Some(at) => format!(
            "This server was set up on {}. Ask an owner for an invitation, or an administrator of the server for a new link.",
            visit.browser_zone.clone().unwrap_or_else(Zone::utc).date(at)
        ),
        None => {
            "The link was not complete, or is older than an hour. Start the server again to print a new one."
                .to_owned()
        }
    }))
}

fn page(visit: &Visit, purpose: &Purpose, problems: Problems) -> Page {
    let (heading, sentence) = match purpose {
        Purpose::FirstUser => {
            ("Create the first account", "You become the owner of this server's first account.".to_owned())
        }
        Purpose::Password(user, _) if user.has_password => {
            ("Choose a new password", format!("For {}. All your sessions end.", user.email))
        }
        Purpose::Password(user, _) => ("Choose your password", format!("You sign in as {}.", user.email)),
    };
    let is_first = matches!(purpose, Purpose::FirstUser);
    Page {
        head: Head::new(visit, heading),
        link_path: visit.path.clone(),
        heading,
        sentence,
        asks_name: is_first,
        asks_email: is_first,
        name: visit.form.text("name").to_owned(),
        email: match purpose {
            Purpose::FirstUser => visit.form.text("email").to_owned(),
            Purpose::Password(user, _) => user.email.to_string(),
        },
        persistent: visit.form.is_checked("persistent"),
        problems,
    }
}

async fn submit(visit: Visit) -> Outcome {
    let purpose = purpose(&visit).await?;
    match complete(&visit, &purpose).await? {
        Ok(user) => {
            let next = if user.has_second_factor { "/" } else { "/me/second-factor" };
            let reply = session::start(&visit, &user, visit.form.is_checked("persistent"), next).await?;
            Ok(reply.cookie(clear(&visit)))
        }
        Err(problems) => {
            let reply = Reply::page(&page(&visit, &purpose, problems))?.secret();
            Ok(reply.status(StatusCode::UNPROCESSABLE_ENTITY))
        }
    }
}

fn clear(visit: &Visit) -> Option<HeaderValue> {
    cookie::clear_setup(visit.https)
}

/// Uses the code; the inner error is what the form must correct.
async fn complete(visit: &Visit, purpose: &Purpose) -> Result<Result<User, Problems>, Problem> {
    let (form, origin) = (&visit.form, visit.change_by_nobody());
    let done = match purpose {
        Purpose::Password(_, token) => {
            visit.store().use_password_link(token, form.secret("password"), origin).await
        }
        Purpose::FirstUser => {
            let mut problems = Problems::default();
            let name =
                UserName::check(form.text("name")).map_err(|problem| problems.add("name", problem)).ok();
            let email = form.text("email").parse::<Email>();
            let email = email.map_err(|problem| problems.add("email", problem.to_string())).ok();
            let (Some(name), Some(email)) = (name, email) else { return Ok(Err(problems)) };
            let first = FirstUser { email, name, password: form.secret("password") };
            let code = visit.setup_code.clone().unwrap_or_default();
            visit.store().create_first_user(visit.shared.options.account, &code, first, origin).await
        }
    };
    match done {
        Ok(user) => Ok(Ok(user)),
        Err(UserError::WeakPassword(problem)) => {
            Ok(Err(Problems::one("password", format!("The password {problem}"))))
        }
        Err(error) => Err(error.into()),
    }
}
