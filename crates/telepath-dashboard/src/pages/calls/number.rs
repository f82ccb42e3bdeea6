//! `/calls/erase-number`: erases a number from all calls.

use askama::Template;
use http::StatusCode;
use telepath_core::call::ErasedNumber;
use telepath_core::id::CallId;
use telepath_store::{NumberErasure, SignedIn};

use super::crumbs;
use crate::form::Problems;
use crate::number::{counted, grouped};
use crate::problem::Problem;
use crate::reply::Reply;
use crate::route::Outcome;
use crate::shell::Shell;
use crate::visit::Visit;

#[derive(Template)]
#[template(path = "pages/call_number.html")]
struct Page {
    shell: Shell,
    problems: Problems,
    number: String,
    result: Option<Erased>,
}

/// What became of the calls.
struct Erased {
    deleted: String,
    cleared: String,
    /// Live calls, which stay.
    live: Option<String>,
    /// The call behind which calls are still to be looked at.
    next: Option<CallId>,
}

impl Erased {
    fn of(erasure: NumberErasure) -> Self {
        let NumberErasure { erased, cleared, live, next } = erasure;
        Self {
            deleted: counted(erased, "call is", "calls are"),
            cleared: counted(cleared, "other call", "other calls"),
            live: (live > 0).then(|| grouped(live)),
            next,
        }
    }
}

async fn page(
    visit: &Visit,
    caller: &SignedIn,
    problems: Problems,
    result: Option<NumberErasure>,
) -> Result<Reply, Problem> {
    Reply::page(&Page {
        shell: Shell::new(visit, caller, crumbs(), "Erase a number").await?,
        problems,
        number: visit.form.text("number").trim().to_owned(),
        result: result.map(Erased::of),
    })
}

pub(super) async fn show(visit: Visit, caller: SignedIn) -> Outcome {
    page(&visit, &caller, Problems::default(), None).await
}

pub(super) async fn erase(visit: Visit, caller: SignedIn) -> Outcome {
    let typed = visit.form.text("number").trim();
    let mut problems = Problems::default();
    let number = ErasedNumber::parse(typed).map_err(|problem| problems.add("number", problem));
    if visit.form.text("again").trim() != typed {
        problems.add("again", "Type the same number again");
    }
    let (Ok(number), true) = (number, problems.is_empty()) else {
        let reply = page(&visit, &caller, problems, None).await?;
        return Ok(reply.status(StatusCode::UNPROCESSABLE_ENTITY));
    };
    let after = visit.form.get("after").and_then(|text| text.parse::<CallId>().ok());
    let (account, origin) = (caller.session.account, visit.change_by(&caller));
    let erasure = visit.store().erase_number(account, number, after, origin).await?;
    page(&visit, &caller, Problems::default(), Some(erasure)).await
}
