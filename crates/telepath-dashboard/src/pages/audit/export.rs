//! The entries of the list as a file.

use telepath_store::{AuditExport, SignedIn};

use super::{Form, filter_of};
use crate::pages::export::{self, Source};
use crate::route::Outcome;
use crate::visit::Visit;

pub(super) const PATH: &str = "/audit/export";

/// Reads from the store: the actor that an address names (at most 2), then the entries, part by part.
pub(super) async fn download(visit: Visit, caller: SignedIn) -> Outcome {
    let format = export::format_of(&visit)?;
    let (filter, _) = filter_of(&visit, &caller, &Form::read(&visit.query)).await?;
    let Some(filter) = filter else { return Err(export::REFUSED) };
    let entries = AuditExport::new(caller.session.account, filter, format);
    Ok(export::reply(&visit, "audit", format, Source::Audit(entries)))
}
