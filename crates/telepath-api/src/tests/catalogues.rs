//! Files that are made from the code and held by a test. `TELEPATH_BLESS=1` writes them anew.

use std::fmt::Write as _;
use std::path::Path;

use telepath_core::error::{Blame, ErrorCode};
use telepath_core::event::EventKind;

use crate::router::routes;

fn hold(file: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    if std::env::var_os("TELEPATH_BLESS").is_some() {
        std::fs::write(&path, text).unwrap();
    }
    let held = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        held == text,
        "{} is out of date; run the tests of telepath-api once with TELEPATH_BLESS=1 and look at the change",
        path.display()
    );
}

#[test]
fn the_openapi_document_is_the_one_in_the_repository() {
    hold("openapi.json", &routes().unwrap().document);
}

#[test]
fn the_errors_reference_is_generated_from_the_table() {
    let mut text = "# Errors\n\n\
        Every error answer has the same form, with `code` for programs and `message` for people:\n\n\
        ```json\n{\"error\": {\"code\": \"INVALID_PARAMS\", \"message\": \"limit must be between 1 and 100\", \
        \"status\": 400,\n           \"request_id\": \"req_01k9v1n2xrf6t8g3m5q7w9y0za\",\n           \
        \"details\": [{\"field\": \"limit\", \"message\": \"must be between 1 and 100\"}]}}\n```\n\n\
        `details` is there only for validation, `required_scope` only for `INSUFFICIENT_SCOPE`. The request id is also in \
        the header\n`X-Request-Id` and in the server's log. *Try again* says whether the same request may succeed later \
        without being changed.\n\n\
        This page is made from the code's own table.\n\n\
        | code | status | cause | remedy | fault | try again |\n|---|---|---|---|---|---|\n"
        .to_owned();
    for code in ErrorCode::ALL {
        let fault = match code.blame() {
            Blame::Caller => "client",
            Blame::Carrier => "carrier",
            Blame::Agent => "agent",
            Blame::Us => "server",
        };
        let retry = if code.retry() { "yes" } else { "no" };
        let (status, cause, remedy) = (code.status(), code.cause(), code.remedy());
        writeln!(text, "| `{code}` | {status} | {cause} | {remedy} | {fault} | {retry} |").unwrap();
    }
    hold("../../docs/reference/errors.md", &text);
}

#[test]
fn the_events_reference_is_generated_from_the_table() {
    let mut text = "# Events\n\n\
        Every event has the members `event`, `id`, `sequence` and `timestamp`; events about one call or one key are \
        numbered\nwithout gaps. The other members stand in this table, which is made from the code's own.\n\n\
        | event | when | members |\n|---|---|---|\n"
        .to_owned();
    for kind in EventKind::ALL {
        let fields: Vec<_> = kind.members().iter().map(|member| format!("`{}`", member.name)).collect();
        writeln!(text, "| `{kind}` | {} | {} |", kind.describe(), fields.join(", ")).unwrap();
    }
    hold("../../docs/reference/events.md", &text);
}
