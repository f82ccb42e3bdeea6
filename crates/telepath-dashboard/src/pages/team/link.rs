//! The page that shows a one-use link once. It is the response to the form, so the link has no address of its own.

use askama::Template;
use telepath_core::clock::Timestamp;
use telepath_store::SignedIn;

use super::crumbs;
use crate::problem::Problem;
use crate::reply::Reply;
use crate::shell::Shell;
use crate::time::Shown;
use crate::visit::Visit;

/// What the page says about a link.
pub(super) struct LinkPage {
    pub(super) heading: String,
    /// What the link does, and for whom.
    pub(super) sentence: String,
    /// Why it is shown although there is a mail server.
    pub(super) notice: Option<String>,
    pub(super) link: String,
    pub(super) until: Timestamp,
    /// Where to go from here.
    pub(super) next: String,
}

#[derive(Template)]
#[template(path = "pages/team_link.html")]
struct Page {
    shell: Shell,
    text: LinkPage,
    shown_until: Shown,
    zone: String,
}

pub(super) async fn show(visit: &Visit, caller: &SignedIn, text: LinkPage) -> Result<Reply, Problem> {
    let zone = visit.zone_of(caller);
    let page = Page {
        shell: Shell::new(visit, caller, crumbs(), &text.heading).await?,
        shown_until: zone.shown(text.until),
        zone: zone.abbreviation(visit.now),
        text,
    };
    Ok(Reply::page(&page)?.secret())
}
