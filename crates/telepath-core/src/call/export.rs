//! Exports of the call log, one line for each call.

use serde::Serialize;

use super::CallRecord;
use crate::clock::Timestamp;
use crate::csv::{self, optional};
use crate::export::{self, ExportFormat};
use crate::id::{CallId, TrunkId};

/// A call on a line of JSON; the members are those of the API's list.
#[derive(Serialize)]
struct Line<'a> {
    id: CallId,
    trunk_id: TrunkId,
    from: &'a str,
    to: &'a str,
    direction: &'static str,
    carrier: Option<&'a str>,
    status: &'static str,
    duration_seconds: u32,
    start_time: Timestamp,
    answer_time: Option<Timestamp>,
    end_time: Option<Timestamp>,
    disconnect_reason: Option<&'static str>,
    reason_text: Option<&'a str>,
    carrier_lag_ms: Option<u32>,
    ai_latency_ms: Option<u32>,
    gateway_processing_ms: Option<u32>,
}

/// What stands before the first call.
pub const fn head(format: ExportFormat) -> &'static str {
    match format {
        ExportFormat::Ndjson => "",
        ExportFormat::Csv => {
            "id,trunk_id,from,to,direction,carrier,status,duration_seconds,start_time,answer_time,end_time,disconnect_reason,reason_text,carrier_lag_ms,ai_latency_ms,gateway_processing_ms\r\n"
        }
    }
}

/// Appends a call.
pub fn append(text: &mut Vec<u8>, format: ExportFormat, call: &CallRecord) {
    let line = Line {
        id: call.id,
        trunk_id: call.trunk_id,
        from: call.from.as_str(),
        to: call.to.as_str(),
        direction: call.direction.name(),
        carrier: call.carrier.as_deref(),
        status: call.status.name(),
        duration_seconds: call.duration_seconds,
        start_time: call.start_time,
        answer_time: call.answer_time,
        end_time: call.end_time,
        disconnect_reason: call.disconnect_reason.map(super::DisconnectReason::name),
        reason_text: call.reason_text.as_deref(),
        carrier_lag_ms: call.metrics.carrier_lag_ms,
        ai_latency_ms: call.metrics.ai_latency_ms,
        gateway_processing_ms: call.metrics.gateway_processing_ms,
    };
    match format {
        ExportFormat::Ndjson => export::append_json(text, &line),
        ExportFormat::Csv => append_csv(text, &line),
    }
}

fn append_csv(text: &mut Vec<u8>, line: &Line<'_>) {
    let cells: [&str; 16] = [
        &line.id.to_string(),
        &line.trunk_id.to_string(),
        line.from,
        line.to,
        line.direction,
        line.carrier.unwrap_or_default(),
        line.status,
        &line.duration_seconds.to_string(),
        &line.start_time.to_string(),
        &optional(line.answer_time),
        &optional(line.end_time),
        line.disconnect_reason.unwrap_or_default(),
        line.reason_text.unwrap_or_default(),
        &optional(line.carrier_lag_ms),
        &optional(line.ai_latency_ms),
        &optional(line.gateway_processing_ms),
    ];
    csv::append_line(text, cells);
}

#[cfg(test)]
mod tests {
    use super::super::{CallMetrics, CallStatus, Direction, Party};
    use super::*;
    use crate::id::Id as _;

    #[test]
    fn a_call_is_a_line_that_no_spreadsheet_runs() {
        let call = CallRecord {
            id: CallId::from_bytes([1; 16]),
            trunk_id: TrunkId::from_bytes([2; 16]),
            from: Party::from_sip_user("=HYPERLINK(\"https://x.example\")"),
            to: Party::from_sip_user("+15550100123"),
            direction: Direction::Inbound,
            carrier: None,
            status: CallStatus::Failed,
            duration_seconds: 0,
            start_time: Timestamp::from_unix_seconds(1_800_000_000),
            answer_time: None,
            end_time: None,
            disconnect_reason: None,
            reason_text: Some("@SUM(1)".to_owned()),
            metrics: CallMetrics { ai_latency_ms: Some(412), ..CallMetrics::default() },
        };
        let line = |format| {
            let mut text = Vec::new();
            append(&mut text, format, &call);
            String::from_utf8(text).unwrap()
        };
        let csv = line(ExportFormat::Csv);
        assert!(csv.contains("\"'=HYPERLINK(\"\"https://x.example\"\")\",\"'+15550100123\""), "{csv}");
        assert!(csv.contains("\"'@SUM(1)\",\"\",\"412\",\"\"\r\n"), "{csv}");
        let json: serde_json::Value = serde_json::from_str(&line(ExportFormat::Ndjson)).unwrap();
        assert_eq!((json["to"].as_str(), json["ai_latency_ms"].as_u64()), (Some("+15550100123"), Some(412)));
        assert_eq!(head(ExportFormat::Csv).trim_end().split(',').count(), 16);
    }
}
