//! Error pages: in the shell for users who are signed in, otherwise on a page of their own.

use askama::Template;
use telepath_core::clock::Timestamp;
use telepath_core::page::{MAX_LIMIT, PageRequest};
use telepath_core::user::{Role, SessionStatus};
use telepath_store::SignedIn;

use crate::problem::Problem;
use crate::reply::Reply;
use crate::shell::{Head, Shell};
use crate::visit::Visit;

/// The most owners that a page names.
const NAMED_OWNERS: usize = 3;

struct Message {
    heading: String,
    explanation: String,
    /// Who can do what the user may not.
    owners: Vec<String>,
    request_id: String,
    status: u16,
}

#[derive(Template)]
#[template(path = "error.html")]
struct InShell {
    shell: Shell,
    message: Message,
}

#[derive(Template)]
#[template(path = "error_bare.html")]
struct Bare {
    head: Head,
    message: Message,
}

/// The page for a problem.
pub(crate) async fn render(visit: &Visit, problem: &Problem) -> Result<Reply, Problem> {
    let message = Message {
        heading: problem.heading().to_owned(),
        explanation: problem.explanation(),
        owners: Vec::new(),
        request_id: visit.id.to_string(),
        status: problem.status().as_u16(),
    };
    let reply = match visit.session.as_ref().filter(|session| is_active(session, visit.now)) {
        Some(caller) if !matches!(problem, Problem::Unavailable(_) | Problem::Failed(_)) => {
            let is_forbidden = matches!(problem, Problem::Forbidden);
            let owners = if is_forbidden { owners(visit, caller).await? } else { Vec::new() };
            let shell = Shell::new(visit, caller, Vec::new(), problem.heading()).await?;
            Reply::page(&InShell { shell, message: Message { owners, ..message } })?
        }
        // While the store fails, the shell cannot be filled.
        Some(_) | None => Reply::page(&Bare { head: Head::new(visit, problem.heading()), message })?,
    };
    Ok(reply.status(problem.status()))
}

fn is_active(session: &SignedIn, now: Timestamp) -> bool {
    session.session.status(now) == SessionStatus::Active
}

/// The first owners of the account.
async fn owners(visit: &Visit, caller: &SignedIn) -> Result<Vec<String>, Problem> {
    let page = PageRequest::new(MAX_LIMIT, 0).unwrap_or_default();
    let members = visit.store().list_members(caller.session.account, page).await?;
    let owners = members.items.into_iter().filter(|member| member.role == Role::Owner);
    Ok(owners.take(NAMED_OWNERS).map(|owner| owner.user.email.to_string()).collect())
}
