//! The calls of the list as a file.

use telepath_store::{CallExport, SignedIn};

use super::query::Query;
use crate::pages::export::{self, Source};
use crate::route::Outcome;
use crate::visit::Visit;

pub(super) const PATH: &str = "/calls/export";

/// Reads calls from the store, part by part.
pub(super) async fn download(visit: Visit, caller: SignedIn) -> Outcome {
    let format = export::format_of(&visit)?;
    let filter = Query::read(&visit.query).filter(visit.now);
    let calls = CallExport::new(caller.session.account, filter, format);
    Ok(export::reply(&visit, "calls", format, Source::Calls(calls)))
}
