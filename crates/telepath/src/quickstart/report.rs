//! The texts at the end: the call record, its latency figures, and what to do next.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;
use telepath_client::{CallDetails, TrunkId};
use telepath_gateway::caller::CallOutcome;

use crate::cli::milliseconds;
use crate::exit::Failure;

/// The record as JSON, with only the length of the SIP trace.
pub(super) fn record(details: &CallDetails) -> Result<String, Failure> {
    let unwritable = |error: serde_json::Error| Failure::doing("could not write JSON", &error);
    let mut value = serde_json::to_value(details).map_err(unwritable)?;
    if let Some(trace) = value.get_mut("sip_trace") {
        *trace = Value::String(format!("({} lines, not shown here)", details.sip_trace.lines().count()));
    }
    let text = serde_json::to_string_pretty(&value).map_err(unwritable)?;
    Ok(format!("\nCall record\n{}", indented(&text)))
}

fn indented(text: &str) -> String {
    text.lines().fold(String::new(), |all, line| format!("{all}  {line}\n"))
}

/// Says which server keeps running, and how to use it. `ca` is the option of curl for its certificate authority.
pub(super) fn running(api: &str, ca: &str) -> String {
    format!(
        "\nThe server at {api} keeps running as process {} until Ctrl-C. Try it from another terminal:\n  \
         curl {ca}{api}/v1/trunks -H \"Authorization: Bearer $TELEPATH_API_KEY\"\n",
        std::process::id(),
    )
}

/// What to do after the quickstart has ended.
pub(super) fn next_steps(folder: &str, trunk: Option<TrunkId>, agent: SocketAddr) -> String {
    let mut text = format!(
        "\nThe server has stopped. To start it again, and to create a key that does not expire tomorrow:\n  \
         telepath serve --data-dir {folder}\n  \
         telepath keys create --data-dir {folder} --name App --preset production\n"
    );
    if let Some(trunk) = trunk {
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            "The echo trunk is inactive. To use it again:\n  \
             telepath agent echo\n  \
             telepath serve --data-dir {folder} --egress-allow {agent}\n  \
             telepath trunks update {trunk} --data-dir {folder} --status active\n"
        );
    }
    text
}

/// The figures as a table.
pub(super) fn figures(outcome: &CallOutcome, details: &CallDetails) -> String {
    let seen = &details.metrics;
    let ms = |value: Option<u32>| value.map(|value| format!("{value} ms"));
    let length = |value: Option<Duration>| value.map(|value| format!("{:.2} ms", milliseconds(value)));
    let inside = seen.gateway_processing_us.map(|us| format!("{:.3} ms", f64::from(us) / 1000.0));
    let rows = [
        ("answered after", length(Some(outcome.answered_after)), "from INVITE to 200 OK, including digest"),
        ("echo delay, median", length(outcome.echo.p50), "caller to agent and back"),
        ("echo delay, 99th percentile", length(outcome.echo.p99), "caller to agent and back"),
        ("time inside Telepath", inside, "median, both directions"),
        ("carrier lag", ms(seen.carrier_lag_ms), "network between caller and Telepath"),
        ("AI latency", ms(seen.ai_latency_ms), "from end of caller speech to first agent audio"),
        (
            "time to first speech",
            ms(seen.time_to_first_speech_ms),
            "from end of caller speech to first packet of the response",
        ),
        ("jitter", seen.jitter_ms.map(|value| format!("{value:.2} ms")), "of the caller's packets"),
        (
            "packet loss",
            seen.packet_loss_percent.map(|value| format!("{value:.2} %")),
            "of the caller's packets",
        ),
        ("estimated MOS", seen.mos.map(|value| format!("{value:.2}")), "1.0 to 4.5"),
    ];
    let mut table = "\nFigures\n".to_owned();
    for (name, value, meaning) in rows {
        let value = value.unwrap_or_else(|| "not measured".to_owned());
        // Writing to a String cannot fail.
        let _ = writeln!(table, "  {name:<28}{value:>14}   {meaning}");
    }
    if seen.ai_latency_ms.is_none() {
        table
            .push_str("  An echo speaks while its caller does: there is no pause between them to measure.\n");
    }
    table
}
