//! One member: their role, their sessions on the account, a link for a forgotten password, a lost second factor, and their
//! removal.

use askama::Template;
use http::{Method, StatusCode};
use telepath_core::id::{SessionId, UserId};
use telepath_core::mail::Letter;
use telepath_core::scope::Scope;
use telepath_core::user::{Member, PASSWORD_LINK_LIFETIME, Role, UserStatus};
use telepath_store::{LinkRecipient, SignedIn, UserError};

use super::link::{self, LinkPage};
use super::{RoleChoice, choices, crumbs, initial};
use crate::form::Problems;
use crate::letters;
use crate::problem::Problem;
use crate::reply::Reply;
use crate::route::{Outcome, Route};
use crate::shell::{Shell, role_name};
use crate::time::{Shown, Zone, relative};
use crate::user_agent;
use crate::visit::Visit;

const UNKNOWN: &str = "This member does not exist";

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::scoped(Method::GET, "/settings/team/{id}", Scope::AccountRead, show),
        Route::user(Method::POST, "/settings/team/{id}/role", set_role).confirmed(),
        Route::user(Method::POST, "/settings/team/{id}/sign-out", sign_out),
        Route::user(Method::POST, "/settings/team/{id}/password-link", password_link).confirmed(),
        Route::user(Method::POST, "/settings/team/{id}/second-factor", remove_second_factor).confirmed(),
        Route::user(Method::POST, "/settings/team/{id}/remove", remove).confirmed(),
    ]
}

/// A session on the account.
struct SessionRow {
    id: SessionId,
    browser: String,
    address: String,
    since: Shown,
    seen: Shown,
    seen_ago: String,
}

/// What the caller may do about the member.
struct May {
    manage: bool,
    /// Leave the account.
    leave: bool,
    /// Remove the second factor that the member has lost.
    remove_factor: bool,
}

#[derive(Template)]
#[template(path = "pages/team_member.html")]
struct Page {
    shell: Shell,
    done: Option<&'static str>,
    problems: Problems,
    path: String,
    initial: String,
    name: String,
    email: String,
    role: &'static str,
    status: UserStatus,
    second_factor: bool,
    shown_since: Shown,
    last_sign_in: Option<Shown>,
    zone: String,
    sessions: Vec<SessionRow>,
    roles: Vec<RoleChoice>,
    may: May,
    by_mail: bool,
}

async fn member_of(visit: &Visit, caller: &SignedIn) -> Result<Member, Problem> {
    let id: UserId = visit.id_in_path(UNKNOWN)?;
    visit.store().get_member(caller.session.account, id).await?.ok_or(Problem::NotFound(UNKNOWN))
}

fn path_of(user: UserId) -> String {
    format!("/settings/team/{user}")
}

/// Queries: the member, their sessions, and those of the shell.
async fn page(
    visit: &Visit,
    caller: &SignedIn,
    member: Member,
    problems: Problems,
) -> Result<Reply, Problem> {
    let (user, zone) = (&member.user, visit.zone_of(caller));
    let manages = caller.role.manages(member.role);
    let is_self = user.id == caller.user.id;
    let sessions =
        if manages || is_self { sessions(visit, caller, user.id, &zone).await? } else { Vec::new() };
    Reply::page(&Page {
        shell: Shell::new(visit, caller, crumbs(), user.name.as_str()).await?,
        done: done(visit),
        problems,
        path: path_of(user.id),
        initial: initial(user.name.as_str()),
        name: user.name.as_str().to_owned(),
        email: user.email.to_string(),
        role: role_name(member.role),
        status: user.status(),
        second_factor: user.has_second_factor,
        shown_since: zone.shown_date(member.since),
        last_sign_in: user.last_sign_in_at.map(|at| zone.shown(at)),
        zone: zone.abbreviation(visit.now),
        sessions,
        roles: choices(caller.role, Some(member.role)),
        may: May {
            manage: manages,
            leave: is_self,
            remove_factor: caller.role.manages(Role::Owner) && user.has_second_factor && !is_self,
        },
        by_mail: visit.shared.mail.is_some(),
    })
}

/// Sessions on other accounts concern nobody here.
async fn sessions(
    visit: &Visit,
    caller: &SignedIn,
    user: UserId,
    zone: &Zone,
) -> Result<Vec<SessionRow>, Problem> {
    let all = visit.store().list_sessions(user).await?;
    let here = all.into_iter().filter(|session| session.account == caller.session.account);
    let row = |session: telepath_core::user::Session| SessionRow {
        id: session.id,
        browser: user_agent::describe(&session.user_agent),
        address: session.address.map_or_else(|| "unknown".to_owned(), |address| address.to_string()),
        since: zone.shown_date(session.created_at),
        seen: zone.shown(session.last_seen_at),
        seen_ago: relative(session.last_seen_at, visit.now),
    };
    Ok(here.map(row).collect())
}

fn done(visit: &Visit) -> Option<&'static str> {
    match visit.query.get("done")? {
        "role" => Some("The role is changed. It counts from the next request on."),
        "signed-out" => Some("Signed out."),
        "second-factor" => Some(
            "The second factor is removed and the member is signed out. They sign in with their password and add another.",
        ),
        "mailed" => Some("The link is on its way. It works once, within an hour."),
        _ => None,
    }
}

async fn show(visit: Visit, caller: SignedIn) -> Outcome {
    let member = member_of(&visit, &caller).await?;
    page(&visit, &caller, member, Problems::default()).await
}

/// The page again, with what is wrong.
async fn refused(visit: &Visit, caller: &SignedIn, member: Member, problems: Problems) -> Outcome {
    Ok(page(visit, caller, member, problems).await?.status(StatusCode::UNPROCESSABLE_ENTITY))
}

async fn set_role(visit: Visit, caller: SignedIn) -> Outcome {
    let member = member_of(&visit, &caller).await?;
    let role = match visit.form.text("role").parse::<Role>() {
        Ok(role) => role,
        Err(problem) => {
            let problems = Problems::one("role", problem.to_string());
            return refused(&visit, &caller, member, problems).await;
        }
    };
    let (account, user) = (caller.session.account, member.user.id);
    match visit.store().set_role(account, user, role, visit.change_by(&caller)).await {
        Ok(_) => Ok(Reply::see_other(format!("{}?done=role", path_of(user)))),
        Err(UserError::LastOwner) => {
            let problems =
                Problems::one("role", "The account needs an owner. Make another member an owner first.");
            refused(&visit, &caller, member, problems).await
        }
        Err(error) => Err(error.into()),
    }
}

/// Ends one session, or all sessions on the account.
async fn sign_out(visit: Visit, caller: SignedIn) -> Outcome {
    const NONE: &str = "This session does not exist";
    let member = member_of(&visit, &caller).await?;
    let (account, user, origin) = (caller.session.account, member.user.id, visit.change_by(&caller));
    match visit.form.get("session") {
        None => {
            visit.store().revoke_member_sessions(account, user, origin).await?;
        }
        Some(text) => {
            let id: SessionId = text.parse().map_err(|_| Problem::NotFound(NONE))?;
            let sessions = visit.store().list_sessions(user).await?;
            if !sessions.iter().any(|session| session.id == id) {
                return Err(Problem::NotFound(NONE));
            }
            visit.store().revoke_session(account, id, origin).await?;
        }
    }
    Ok(Reply::see_other(format!("{}?done=signed-out", path_of(user))))
}

async fn password_link(visit: Visit, caller: SignedIn) -> Outcome {
    let member = member_of(&visit, &caller).await?;
    let mail = visit.shared.mail.clone();
    let recipient = if mail.is_some() { LinkRecipient::User } else { LinkRecipient::Caller };
    let (account, user, origin) = (caller.session.account, member.user.id, visit.change_by(&caller));
    let token = match visit.store().create_member_password_link(account, user, recipient, origin).await {
        Ok(token) => token,
        Err(UserError::OtherAccounts) => {
            return Err(Problem::Conflict(
                "This user is also a member of accounts in which you do not manage them. An administrator of the server creates \
                 the link with `telepath users reset-password`."
                    .to_owned(),
            ));
        }
        Err(error) => return Err(error.into()),
    };
    let (path, until) = (format!("/reset?code={}", token.expose()), visit.now.plus(PASSWORD_LINK_LIFETIME));
    let Some(mail) = mail else {
        let text = LinkPage {
            heading: format!("New password for {}", member.user.name.as_str()),
            sentence: format!(
                "It lets {} choose a new password. The old one works until then.",
                member.user.email
            ),
            notice: None,
            link: format!("{}{path}", visit.origin),
            until,
            next: path_of(user),
        };
        return link::show(&visit, &caller, text).await;
    };
    let link = format!("{}{path}", visit.shared.options.url);
    let letter = Letter::password_link(&member.user.email, &link, until);
    match letters::send(mail.as_ref(), &letter).await {
        Ok(()) => Ok(Reply::see_other(format!("{}?done=mailed", path_of(user)))),
        Err(error) => Err(Problem::Conflict(format!("The email could not be sent: {error}."))),
    }
}

async fn remove_second_factor(visit: Visit, caller: SignedIn) -> Outcome {
    let member = member_of(&visit, &caller).await?;
    let (account, user) = (caller.session.account, member.user.id);
    match visit.store().remove_member_second_factor(account, user, visit.change_by(&caller)).await {
        Ok(()) => Ok(Reply::see_other(format!("{}?done=second-factor", path_of(user)))),
        Err(UserError::OtherAccounts) => {
            let text = "This user is also a member of accounts in which you do not manage them. An owner of all of them \
                        can do it.";
            refused(&visit, &caller, member, Problems::one("second-factor", text)).await
        }
        Err(UserError::SecondFactorState) => {
            let text = "There is no second factor any more.";
            refused(&visit, &caller, member, Problems::one("second-factor", text)).await
        }
        Err(error) => Err(error.into()),
    }
}

async fn remove(visit: Visit, caller: SignedIn) -> Outcome {
    let member = member_of(&visit, &caller).await?;
    let (account, user) = (caller.session.account, member.user.id);
    match visit.store().remove_member(account, user, visit.change_by(&caller)).await {
        Ok(()) if user == caller.user.id => Ok(Reply::see_other("/login")),
        Ok(()) => Ok(Reply::see_other("/settings/team?done=removed")),
        Err(UserError::LastOwner) => {
            let text = "The account needs an owner. Make another member an owner first.";
            refused(&visit, &caller, member, Problems::one("remove", text)).await
        }
        Err(error) => Err(error.into()),
    }
}
