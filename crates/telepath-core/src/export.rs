//! Exports of records as lines: their forms, and what all of them share. Each kind of record has an `export` module with its line.

use serde::Serialize;

use crate::csv;
use crate::named::named_enum;

named_enum! {
    /// The form of an export.
    pub enum ExportFormat {
        /// A JSON object on each line.
        Ndjson = "ndjson",
        /// Comma-separated values.
        Csv = "csv",
    }
}

impl ExportFormat {
    /// The media type.
    pub const fn media_type(self) -> &'static str {
        match self {
            ExportFormat::Ndjson => "application/x-ndjson",
            ExportFormat::Csv => csv::MEDIA_TYPE,
        }
    }
}

/// Appends a record as a line of JSON. Nothing in a record can fail to be written as JSON.
pub(crate) fn append_json(text: &mut Vec<u8>, line: &impl Serialize) {
    if serde_json::to_writer(&mut *text, line).is_ok() {
        text.push(b'\n');
    }
}
