//! Files that are generated from the code. These tests fail when a file is out of date; `TELEPATH_BLESS=1` regenerates it.

use std::fmt::Write as _;
use std::path::Path;

use telepath_core::error::{ErrorCode, Fault};
use telepath_core::event::EventKind;

use crate::router::{local_document, routes};

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
fn the_openapi_documents_match_the_files_in_the_repository() {
    hold("openapi.json", &routes().unwrap().document);
    hold("openapi-local.json", &local_document());
}

#[test]
fn the_errors_reference_is_generated_from_the_table() {
    let mut text = "# Errors\n\n\
        Every error response has the same form, with `code` for programs and `message` for people:\n\n\
        ```json\n{\"error\": {\"code\": \"INVALID_PARAMS\", \"message\": \"limit must be between 1 and 100\", \
        \"status\": 400,\n           \"request_id\": \"req_01k9v1n2xrf6t8g3m5q7w9y0za\",\n           \
        \"details\": [{\"field\": \"limit\", \"message\": \"must be between 1 and 100\"}]}}\n```\n\n\
        `details` is present only for validation errors, `required_scope` only for `INSUFFICIENT_SCOPE`. The request id is \
        also in the\nheader `X-Request-Id` and in the server's log. *Fault* is the side that causes the error. *Retry* says \
        whether the same request\ncan succeed later, unchanged.\n\n\
        This page is generated from the error codes in the source.\n\n\
        | code | status | cause | remedy | fault | retry |\n|---|---|---|---|---|---|\n"
        .to_owned();
    for code in ErrorCode::ALL {
        let fault = match code.fault() {
            Fault::Client => "client",
            Fault::Carrier => "carrier",
            Fault::Agent => "agent",
            Fault::Server => "server",
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
