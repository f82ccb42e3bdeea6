//! `/invitation`: accepts an invitation, as a new user or as one who is signed in.

use askama::Template;
use http::{Method, StatusCode};
use telepath_core::user::{Invitation, SessionStatus, UserName, UserToken};
use telepath_store::{Acceptance, SignedIn, UserError};

use super::session;
use crate::form::Problems;
use crate::problem::Problem;
use crate::reply::Reply;
use crate::route::{Outcome, Route};
use crate::shell::{Head, role_name};
use crate::visit::Visit;
use crate::{cookie, csrf};

pub(crate) fn routes() -> Vec<Route> {
    vec![
        Route::open(Method::GET, "/invitation", show),
        Route::open(Method::POST, "/invitation", accept),
        Route::user(Method::POST, "/invitation/join", join),
    ]
}

/// How the holder of the link can accept.
enum Way {
    /// They become a user.
    NewUser,
    /// A user with the address exists, who signs in first.
    SignIn,
    /// They are signed in with the address.
    Join { form_token: String },
    /// They are signed in with another address.
    OtherUser { form_token: String, email: String },
}

#[derive(Template)]
#[template(path = "pages/invitation.html")]
struct Page {
    head: Head,
    account: String,
    role: &'static str,
    description: &'static str,
    email: String,
    name: String,
    persistent: bool,
    way: Way,
    problems: Problems,
}

/// The invitation of the link that the browser opened last, while it can be accepted.
async fn invitation(visit: &Visit) -> Result<(Invitation, UserToken), Problem> {
    let code = visit.setup_code.as_deref().unwrap_or_default();
    if let Ok(token) = UserToken::parse(code)
        && let Some(found) = visit.store().find_invitation(&token).await?
    {
        return Ok((found, token));
    }
    Err(UserError::InvalidLink.into())
}

async fn way(visit: &Visit, invitation: &Invitation) -> Result<Way, Problem> {
    let caller = visit.session.as_ref();
    let caller = caller.filter(|caller| caller.session.status(visit.now) == SessionStatus::Active);
    let Some(caller) = caller else {
        let known = visit.store().find_user(&invitation.email).await?.is_some();
        return Ok(if known { Way::SignIn } else { Way::NewUser });
    };
    let form_token = csrf::token_of(caller.session.id, visit.store().vault());
    if caller.user.email == invitation.email {
        Ok(Way::Join { form_token })
    } else {
        Ok(Way::OtherUser { form_token, email: caller.user.email.to_string() })
    }
}

async fn page(visit: &Visit, invitation: &Invitation, problems: Problems) -> Result<Reply, Problem> {
    let account = visit.store().account(invitation.account).await?;
    let page = Page {
        head: Head::new(visit, "Invitation"),
        account: account.map_or_else(String::new, |account| account.name.clone()),
        role: role_name(invitation.role),
        description: invitation.role.describe(),
        email: invitation.email.to_string(),
        name: visit.form.text("name").to_owned(),
        persistent: visit.form.is_checked("persistent"),
        way: way(visit, invitation).await?,
        problems,
    };
    Ok(Reply::page(&page)?.secret())
}

/// The code moves from the address into a cookie, so that neither the history nor a screenshot shows it.
async fn show(visit: Visit) -> Outcome {
    if let Some(code) = visit.query.get("code") {
        let cookie = cookie::set_setup(code, visit.https);
        return Ok(Reply::see_other("/invitation").cookie(cookie).secret());
    }
    let (invitation, _) = invitation(&visit).await?;
    page(&visit, &invitation, Problems::default()).await
}

/// Accepts as a new user.
async fn accept(visit: Visit) -> Outcome {
    let (invitation, token) = invitation(&visit).await?;
    let problems = match UserName::check(visit.form.text("name")) {
        Err(problem) => Problems::one("name", problem),
        Ok(name) => {
            let acceptance = Acceptance { name, password: visit.form.secret("password") };
            match visit.store().accept_invitation(&token, acceptance, visit.change_by_nobody()).await {
                Ok(member) => {
                    let persistent = visit.form.is_checked("persistent");
                    let reply = session::start(&visit, &member.user, persistent, "/me/second-factor").await?;
                    return Ok(reply.cookie(cookie::clear_setup(visit.https)));
                }
                Err(UserError::WeakPassword(problem)) => {
                    Problems::one("password", format!("The password {problem}"))
                }
                // They became a user a moment ago; the page says how to go on.
                Err(UserError::EmailTaken) => Problems::default(),
                Err(error) => return Err(error.into()),
            }
        }
    };
    Ok(page(&visit, &invitation, problems).await?.status(StatusCode::UNPROCESSABLE_ENTITY))
}

/// Accepts as the user who is signed in. The session works on the new account from then on.
async fn join(visit: Visit, caller: SignedIn) -> Outcome {
    let (invitation, token) = invitation(&visit).await?;
    let origin = visit.change_by(&caller);
    visit.store().accept_invitation_as(&token, caller.user.id, origin).await?;
    visit.store().switch_session(invitation.account, caller.session.id, origin).await?;
    Ok(Reply::see_other("/").cookie(cookie::clear_setup(visit.https)))
}
