//! Starting a session, handing out its cookie, and staying signed in.

use http::{Method, StatusCode};
use telepath_core::account::Actor;
use telepath_core::audit::Origin;
use telepath_core::user::{Session, User, UserToken};
use telepath_store::{NewSession, SignedIn, StartedSession};

use crate::cookie::{self, Keep};
use crate::problem::Problem;
use crate::reply::Reply;
use crate::route::{Outcome, Route};
use crate::visit::Visit;

pub(crate) fn routes() -> Vec<Route> {
    vec![Route::user(Method::POST, "/session", stay)]
}

/// The use of the session has been recorded before; the answer is how many seconds are left now.
async fn stay(visit: Visit, caller: SignedIn) -> Outcome {
    let left = caller.session.expires_at().since(visit.now).as_secs();
    Ok(Reply::plain(StatusCode::OK, left.to_string()))
}

/// How long the browser keeps the cookie of a session.
pub(super) const fn keep(session: &Session) -> Keep {
    if session.persistent { Keep::Persistently } else { Keep::UntilClosed }
}

/// Starts a session of a user who has given the password, on the first account that they are a member of, and leads to the
/// second factor or to `next`.
pub(super) async fn start(
    visit: &Visit,
    user: &User,
    persistent: bool,
    next: &str,
) -> Result<Reply, Problem> {
    let memberships = visit.store().list_memberships(user.id).await?;
    let (account, _) = memberships.first().ok_or(Problem::Forbidden)?;
    let new = NewSession { persistent, user_agent: visit.user_agent.clone() };
    let origin = Origin { actor: Actor::User(user.id), ..visit.change_by_nobody() };
    let started: StartedSession = visit.store().create_session(*account, user.id, new, origin).await?;
    let path = if started.session.signed_in_at.is_some() {
        next.to_owned()
    } else if next == "/" {
        "/login/code".to_owned()
    } else {
        format!("/login/code?next={}", crate::form::encoded(next))
    };
    Ok(Reply::see_other(path).cookie(set(visit, &started.session, &started.token)))
}

/// The field that hands out the cookie of a session.
pub(super) fn set(visit: &Visit, session: &Session, token: &UserToken) -> Option<http::HeaderValue> {
    cookie::set_session(token, visit.https, keep(session))
}
