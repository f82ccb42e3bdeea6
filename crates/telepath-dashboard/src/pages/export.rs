//! Exports of lists as files, with the filter of their page.

use std::sync::Arc;

use telepath_core::export::ExportFormat;
use telepath_store::{AuditExport, CallExport, RequestExport, Store};

use crate::download::Parts;
use crate::problem::Problem;
use crate::reply::Reply;
use crate::visit::Visit;

/// What is exported.
pub(crate) enum Source {
    Requests(RequestExport),
    Audit(AuditExport),
    Calls(CallExport),
}

struct Exporting {
    store: Arc<Store>,
    source: Source,
}

impl Parts for Exporting {
    async fn next(&mut self) -> Result<Option<Vec<u8>>, Problem> {
        Ok(match &mut self.source {
            Source::Requests(export) => export.next(&self.store).await?,
            Source::Audit(export) => export.next(&self.store).await?,
            Source::Calls(export) => export.next(&self.store).await?,
        })
    }
}

/// A form of the export that a page offers.
pub(crate) struct FormatLink {
    pub(crate) label: &'static str,
    pub(crate) path: String,
}

/// The forms that a page offers, with their addresses: that of the list, behind `path` instead.
pub(crate) fn links(path: &'static str, list: &str) -> [FormatLink; 2] {
    let query = list.split_once('?').map(|(_, query)| format!("&{query}")).unwrap_or_default();
    [("CSV", ExportFormat::Csv), ("NDJSON", ExportFormat::Ndjson)]
        .map(|(label, format)| FormatLink { label, path: format!("{path}?format={}{query}", format.name()) })
}

/// The form that the address names.
pub(crate) fn format_of(visit: &Visit) -> Result<ExportFormat, Problem> {
    ExportFormat::from_name(visit.query.text("format"))
        .ok_or(Problem::Malformed("The format of an export must be csv or ndjson."))
}

/// What is answered for a filter that its page refuses.
pub(crate) const REFUSED: Problem = Problem::Malformed("The filter of the export cannot be read.");

/// An export. `name` is that of the file.
pub(crate) fn reply(visit: &Visit, name: &'static str, format: ExportFormat, source: Source) -> Reply {
    Reply::export(name, format, Exporting { store: Arc::clone(visit.store()), source })
}
