//! Exports of the audit trail, one line for each entry.

use serde::Serialize;
use serde_json::Value;

use super::AuditRecord;
use crate::clock::Timestamp;
use crate::csv::{self, optional};
use crate::export::{self, ExportFormat};
use crate::id::AuditId;

/// An entry on a line of JSON; the members are those of the API.
#[derive(Serialize)]
struct Line<'a> {
    id: AuditId,
    position: u64,
    time: Timestamp,
    actor: String,
    address: Option<std::net::IpAddr>,
    action: &'static str,
    target: &'a str,
    before: &'a Value,
    after: &'a Value,
    hash: String,
}

/// What stands before the first entry.
pub const fn head(format: ExportFormat) -> &'static str {
    match format {
        ExportFormat::Ndjson => "",
        ExportFormat::Csv => "id,position,time,actor,address,action,target,before,after,hash\r\n",
    }
}

/// Appends an entry.
pub fn append(text: &mut Vec<u8>, format: ExportFormat, entry: &AuditRecord) {
    let line = Line {
        id: entry.id,
        position: entry.position,
        time: entry.origin.at,
        actor: entry.origin.actor.to_string(),
        address: entry.origin.address,
        action: entry.action.name(),
        target: &entry.target,
        before: &entry.before,
        after: &entry.after,
        hash: entry.hash.to_string(),
    };
    match format {
        ExportFormat::Ndjson => export::append_json(text, &line),
        ExportFormat::Csv => append_csv(text, &line),
    }
}

fn append_csv(text: &mut Vec<u8>, line: &Line<'_>) {
    let cells: [&str; 10] = [
        &line.id.to_string(),
        &line.position.to_string(),
        &line.time.to_string(),
        &line.actor,
        &optional(line.address),
        line.action,
        line.target,
        &line.before.to_string(),
        &line.after.to_string(),
        &line.hash,
    ];
    csv::append_line(text, cells);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::{AuditAction, ChainHash, Origin};
    use super::*;
    use crate::account::Actor;
    use crate::id::Id as _;

    #[test]
    fn an_entry_is_a_line_that_no_spreadsheet_runs() {
        let at = Timestamp::from_unix_seconds(1_800_000_000);
        let entry = AuditRecord {
            id: AuditId::from_bytes([1; 16]),
            position: 17,
            origin: Origin { actor: Actor::System, address: None, at, idempotency: None },
            action: AuditAction::KeyUpdated,
            target: "=cmd|' /C calc'!A0".to_owned(),
            before: json!({ "name": "a \"quoted\"\nname" }),
            after: json!({}),
            hash: ChainHash([2; 32]),
        };
        let line = |format| {
            let mut text = Vec::new();
            append(&mut text, format, &entry);
            String::from_utf8(text).unwrap()
        };
        let csv = line(ExportFormat::Csv);
        assert!(csv.contains("\"system\",\"\",\"key.updated\",\"'=cmd|' /C calc'!A0\""), "{csv}");
        assert!(csv.ends_with("\r\n") && csv.trim_end().lines().count() == 1, "{csv}");
        let json: Value = serde_json::from_str(&line(ExportFormat::Ndjson)).unwrap();
        assert_eq!((json["position"].as_u64(), &json["before"]), (Some(17), &entry.before));
        assert_eq!(head(ExportFormat::Csv).trim_end().split(',').count(), 10);
    }
}
