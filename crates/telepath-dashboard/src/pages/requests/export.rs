//! The requests of the list as a file.

use telepath_store::{RequestExport, RequestOrder, SignedIn};

use super::filter_of;
use super::query::Query;
use crate::pages::export::{self, Source};
use crate::route::Outcome;
use crate::visit::Visit;

pub(super) const PATH: &str = "/requests/export";

/// Reads from the store: the key that a name means (1), then the requests, part by part.
pub(super) async fn download(visit: Visit, caller: SignedIn) -> Outcome {
    let format = export::format_of(&visit)?;
    let (query, line) = Query::read(&visit.query);
    let Ok(filter) = filter_of(&visit, &caller, &query, &line).await? else { return Err(export::REFUSED) };
    let filter = query.within(filter, visit.now);
    let (account, order) = (caller.session.account, RequestOrder::Newest);
    let requests = RequestExport::new(account, filter, order, None, format);
    Ok(export::reply(&visit, "requests", format, Source::Requests(requests)))
}
