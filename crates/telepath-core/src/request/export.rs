//! Exports of the request log, one line for each request. The API and the dashboard write them with this code.

use serde::Serialize;

use super::RequestRecord;
use crate::clock::Timestamp;
use crate::csv::{self, optional};
use crate::export::{self, ExportFormat};
use crate::id::{KeyId, RequestId, SecretId, UserId};

/// A request on a line of JSON; the members are those of the API.
#[derive(Serialize)]
struct Line<'a> {
    id: RequestId,
    time: Timestamp,
    key_id: Option<KeyId>,
    secret_id: Option<SecretId>,
    user_id: Option<UserId>,
    method: &'static str,
    route: Option<&'a str>,
    path: &'a str,
    status: u16,
    error_code: Option<&'a str>,
    address: std::net::IpAddr,
    user_agent: Option<&'a str>,
    duration_us: u64,
}

/// What stands before the first request.
pub const fn head(format: ExportFormat) -> &'static str {
    match format {
        ExportFormat::Ndjson => "",
        ExportFormat::Csv => {
            "id,time,key_id,method,route,path,status,error_code,address,user_agent,duration_us,user_id,secret_id\r\n"
        }
    }
}

/// Appends a request.
pub fn append(text: &mut Vec<u8>, format: ExportFormat, request: &RequestRecord) {
    match format {
        ExportFormat::Ndjson => append_json(text, request),
        ExportFormat::Csv => append_csv(text, request),
    }
}

fn append_json(text: &mut Vec<u8>, request: &RequestRecord) {
    let facts = &request.facts;
    let line = Line {
        id: request.id,
        time: facts.at,
        key_id: facts.caller.key(),
        secret_id: request.secret_id,
        user_id: facts.caller.user(),
        method: facts.method.name(),
        route: request.route.as_deref(),
        path: &request.path,
        status: facts.status,
        error_code: request.error.as_deref(),
        address: facts.address,
        user_agent: request.user_agent.as_deref(),
        duration_us: facts.duration_us,
    };
    export::append_json(text, &line);
}

fn append_csv(text: &mut Vec<u8>, request: &RequestRecord) {
    let facts = &request.facts;
    let cells: [&str; 13] = [
        &request.id.to_string(),
        &facts.at.to_string(),
        &optional(facts.caller.key()),
        facts.method.name(),
        request.route.as_deref().unwrap_or_default(),
        &request.path,
        &facts.status.to_string(),
        request.error.as_deref().unwrap_or_default(),
        &facts.address.to_string(),
        request.user_agent.as_deref().unwrap_or_default(),
        &facts.duration_us.to_string(),
        &optional(facts.caller.user()),
        &optional(request.secret_id),
    ];
    csv::append_line(text, cells);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Id as _;
    use crate::request::{RequestCaller, RequestFacts, RequestMethod, SecretMark};

    #[test]
    fn a_user_agent_that_a_spreadsheet_would_run_stays_a_text() {
        let caller = RequestCaller::Key { key: KeyId::from_bytes([1; 16]), secret: SecretMark([2; 8]) };
        let record = RequestRecord {
            id: RequestId::from_bytes([3; 16]),
            facts: RequestFacts {
                at: Timestamp::from_unix_seconds(1_800_000_000),
                caller,
                method: RequestMethod::Get,
                status: 200,
                address: std::net::IpAddr::from([192, 0, 2, 1]),
                duration_us: 1500,
                admitted: true,
            },
            secret_id: None,
            route: None,
            path: "/v1/\"calls\"".to_owned(),
            error: None,
            user_agent: Some("=cmd|' /C calc'!A0".to_owned()),
        };
        let line = |format: ExportFormat| {
            let mut text = Vec::new();
            append(&mut text, format, &record);
            String::from_utf8(text).unwrap()
        };
        assert!(line(ExportFormat::Csv).contains("\"'=cmd|' /C calc'!A0\",\"1500\""));
        assert!(line(ExportFormat::Csv).contains("\"/v1/\"\"calls\"\"\""));
        let json: serde_json::Value = serde_json::from_str(&line(ExportFormat::Ndjson)).unwrap();
        assert_eq!((json["duration_us"].as_u64(), json["user_id"].is_null()), (Some(1500), true));
    }
}
