//! Inviting somebody: by email, or with a link that the inviter passes on.

use askama::Template;
use http::{Method, StatusCode};
use telepath_core::mail::Letter;
use telepath_core::user::{Email, Role};
use telepath_store::{CreatedInvitation, NewInvitation, SignedIn, UserError};

use super::link::{self, LinkPage};
use super::{RoleChoice, choices, crumbs, require_manager};
use crate::form::Problems;
use crate::letters;
use crate::problem::Problem;
use crate::reply::Reply;
use crate::route::{Outcome, Route};
use crate::shell::{Shell, role_name};
use crate::visit::Visit;

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::user(Method::GET, "/settings/team/invite", show),
        Route::user(Method::POST, "/settings/team/invite", invite).confirmed(),
    ]
}

#[derive(Template)]
#[template(path = "pages/team_invite.html")]
struct Page {
    shell: Shell,
    problems: Problems,
    email: String,
    roles: Vec<RoleChoice>,
    by_mail: bool,
}

async fn page(visit: &Visit, caller: &SignedIn, problems: Problems) -> Result<Reply, Problem> {
    let chosen = Role::from_name(visit.form.text("role")).unwrap_or(Role::Viewer);
    Reply::page(&Page {
        shell: Shell::new(visit, caller, crumbs(), "Invite a member").await?,
        problems,
        email: visit.form.text("email").to_owned(),
        roles: choices(caller.role, Some(chosen)),
        by_mail: visit.shared.mail.is_some(),
    })
}

async fn show(visit: Visit, caller: SignedIn) -> Outcome {
    require_manager(&caller)?;
    page(&visit, &caller, Problems::default()).await
}

async fn invite(visit: Visit, caller: SignedIn) -> Outcome {
    require_manager(&caller)?;
    let mut problems = Problems::default();
    let email = visit.form.text("email").parse::<Email>();
    let email = email.map_err(|problem| problems.add("email", problem.to_string())).ok();
    let role = visit.form.text("role").parse::<Role>();
    let role = role.map_err(|problem| problems.add("role", problem.to_string())).ok();
    let made = match email.zip(role) {
        Some((email, role)) => {
            let new = NewInvitation { email, role };
            visit.store().create_invitation(caller.session.account, new, visit.change_by(&caller)).await
        }
        None => return Ok(page(&visit, &caller, problems).await?.status(StatusCode::UNPROCESSABLE_ENTITY)),
    };
    match made {
        Ok(made) => deliver(&visit, &caller, made).await,
        Err(UserError::AlreadyMember) => {
            let problems = Problems::one("email", "This user is a member of the account already.");
            Ok(page(&visit, &caller, problems).await?.status(StatusCode::UNPROCESSABLE_ENTITY))
        }
        Err(error) => Err(error.into()),
    }
}

/// Sends the link if there is a mail server, and otherwise shows it.
async fn deliver(visit: &Visit, caller: &SignedIn, made: CreatedInvitation) -> Outcome {
    let CreatedInvitation { invitation, link } = made;
    let path = format!("/invitation?code={}", link.expose());
    let mut notice = None;
    if let Some(mail) = &visit.shared.mail {
        let account = visit.store().account(invitation.account).await?;
        let account = account.map_or_else(String::new, |account| account.name.clone());
        let letter = Letter::invitation(
            &invitation.email,
            &account,
            invitation.role,
            caller.user.name.as_str(),
            &format!("{}{path}", visit.shared.options.url),
            invitation.expires_at,
        );
        match letters::send(mail.as_ref(), &letter).await {
            Ok(()) => return Ok(Reply::see_other("/settings/team?done=invited")),
            Err(error) => {
                notice = Some(format!("The email could not be sent: {error}. Pass the link on yourself."));
            }
        }
    }
    let text = LinkPage {
        heading: format!("Invitation for {}", invitation.email),
        sentence: format!("It lets {} join as {}.", invitation.email, role_name(invitation.role)),
        notice,
        link: format!("{}{path}", visit.origin),
        until: invitation.expires_at,
        next: super::ENTRY.path.to_owned(),
    };
    link::show(visit, caller, text).await
}
