//! `telepath calls`: lists, shows and hangs up calls.

mod erase;
mod trace;

use clap::{Args, Subcommand};
use telepath_client::{Call, CallDetails, CallId, CallsQuery, TrunkId};
use telepath_core::clock::{Clock as _, SystemClock};

use super::reach::{ApiArgs, with_client};
use super::{choices, expiry, output, pages, text};
use crate::exit::Failure;

const LIST_EXAMPLES: &str = "\
Examples:
  telepath calls list --data-dir data --status connected
  telepath calls list --data-dir data --since 24h --reason ai_provider_error
  telepath calls list --data-dir data --since 7d --min-ai-latency 1500 --sort -ai_latency_ms
  telepath calls list --data-dir data --trunk conn_01k9v1n2xrf6t8g3m5q7w9y0za --json";

const SHOW_EXAMPLES: &str = "\
Examples:
  telepath calls show call_01k9v1n2xrf6t8g3m5q7w9y0za --data-dir data
  telepath calls show call_01k9v1n2xrf6t8g3m5q7w9y0za --data-dir data --json | jq -r .sip_trace";

const TRACE_EXAMPLES: &str = "\
Examples:
  telepath calls trace call_01k9v1n2xrf6t8g3m5q7w9y0za --data-dir data
  telepath calls trace call_01k9v1n2xrf6t8g3m5q7w9y0za --data-dir data --full";

const ERASE_EXAMPLES: &str = "\
Examples:
  telepath calls erase call_01k9v1n2xrf6t8g3m5q7w9y0za --data-dir data
  telepath calls erase --number +15550100123 --data-dir data --yes

docs/reference/calls.md says what goes and what stays.";

const HANG_UP_EXAMPLES: &str = "\
Examples:
  telepath calls hangup call_01k9v1n2xrf6t8g3m5q7w9y0za --data-dir data

The call ends on the server that carries it.";

/// Subcommands of `calls`.
#[derive(Debug, Subcommand)]
pub(crate) enum CallsCommand {
    /// List calls, newest first by default
    #[command(after_help = LIST_EXAMPLES)]
    List(Box<ListArgs>),
    /// Show a call with its metrics, turns, DTMF and holds
    #[command(after_help = SHOW_EXAMPLES)]
    Show(Box<ShowArgs>),
    /// Show the SIP messages of a call
    #[command(after_help = TRACE_EXAMPLES)]
    Trace(Box<trace::TraceArgs>),
    /// Erase a call, or a number from all calls
    #[command(after_help = ERASE_EXAMPLES)]
    Erase(Box<erase::EraseArgs>),
    /// Hang up a live call
    #[command(after_help = HANG_UP_EXAMPLES)]
    Hangup(Box<HangUpArgs>),
}

/// Arguments of `calls list`.
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    api: ApiArgs,
    /// Only calls of this trunk
    #[arg(long, value_name = "TRUNK", help_heading = "Filters")]
    trunk: Option<TrunkId>,
    /// Only calls with this status
    #[arg(long, value_parser = choices::call_statuses(), help_heading = "Filters")]
    status: Option<String>,
    /// Only calls that ended for this reason
    #[arg(long, value_parser = choices::disconnect_reasons(), help_heading = "Filters")]
    reason: Option<String>,
    /// Only calls that started after: a duration ago (24h) or an RFC 3339 date-time
    #[arg(long, value_name = "WHEN", help_heading = "Filters")]
    since: Option<String>,
    /// Only calls that started before: a duration ago (1h) or an RFC 3339 date-time
    #[arg(long, value_name = "WHEN", help_heading = "Filters")]
    until: Option<String>,
    /// Only calls from this party
    #[arg(long, value_name = "PARTY", help_heading = "Filters")]
    from: Option<String>,
    /// Only calls to this party
    #[arg(long, value_name = "PARTY", help_heading = "Filters")]
    to: Option<String>,
    /// Only calls at least this long
    #[arg(long, value_name = "SECONDS", help_heading = "Filters")]
    min_duration: Option<u32>,
    /// Only calls with at least this carrier lag
    #[arg(long, value_name = "MS", help_heading = "Filters")]
    min_carrier_lag: Option<u32>,
    /// Only calls with at least this AI latency
    #[arg(long, value_name = "MS", help_heading = "Filters")]
    min_ai_latency: Option<u32>,
    /// Only calls with at least this gateway processing time
    #[arg(long, value_name = "MS", help_heading = "Filters")]
    min_gateway: Option<u32>,
    /// Order; a leading - sorts the largest first
    #[arg(long, value_name = "ORDER", value_parser = choices::call_sorts(), allow_hyphen_values = true)]
    sort: Option<String>,
    /// Maximum number of rows
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    limit: u32,
    /// Print a JSON array
    #[arg(long)]
    json: bool,
}

/// Arguments of `calls show`.
#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    #[command(flatten)]
    api: ApiArgs,
    /// Call id, call_…
    id: CallId,
    /// Print a JSON object, with the SIP trace
    #[arg(long)]
    json: bool,
}

/// Arguments of `calls hangup`.
#[derive(Debug, Args)]
pub(crate) struct HangUpArgs {
    #[command(flatten)]
    api: ApiArgs,
    /// Call id, call_…
    id: CallId,
}

/// Runs a command.
pub(crate) async fn run(command: CallsCommand) -> Result<(), Failure> {
    match command {
        CallsCommand::List(args) => list(*args).await,
        CallsCommand::Show(args) => show(*args).await,
        CallsCommand::Trace(args) => trace::run(*args).await,
        CallsCommand::Erase(args) => erase::run(*args).await,
        CallsCommand::Hangup(args) => hang_up(*args).await,
    }
}

async fn list(args: ListArgs) -> Result<(), Failure> {
    let now = SystemClock.now();
    let query = CallsQuery {
        trunk_id: args.trunk,
        status: args.status,
        reason: args.reason,
        start_date: expiry::past("--since", args.since.as_deref(), now)?,
        end_date: expiry::past("--until", args.until.as_deref(), now)?,
        from: args.from,
        to: args.to,
        min_duration_seconds: args.min_duration,
        min_carrier_lag_ms: args.min_carrier_lag,
        min_ai_latency_ms: args.min_ai_latency,
        min_gateway_ms: args.min_gateway,
        sort: args.sort,
        ..CallsQuery::default()
    };
    let listing = with_client(&args.api, async |client| {
        pages::by_cursor(args.limit, async |size, cursor| {
            client.list_calls(&CallsQuery { limit: Some(size), cursor, ..query.clone() }).await
        })
        .await
    })
    .await?;
    let head = ["ID", "STARTED", "STATUS", "LENGTH", "AI MS", "FROM", "TO", "ENDED BY"];
    pages::print(&listing.items, args.json, "No calls.", head, row)?;
    if !args.json {
        listing.note_more();
    }
    Ok(())
}

fn row(call: &Call) -> [String; 8] {
    [
        call.id.to_string(),
        text::second(call.start_time),
        call.status.clone(),
        format!("{}s", call.duration_seconds),
        call.ai_latency_ms.map_or_else(|| "-".to_owned(), |ms| ms.to_string()),
        call.from.clone(),
        call.to.clone(),
        call.disconnect_reason.clone().unwrap_or_else(|| "-".to_owned()),
    ]
}

async fn show(args: ShowArgs) -> Result<(), Failure> {
    let details = with_client(&args.api, async |client| Ok(client.get_call(args.id).await?)).await?;
    if args.json {
        return output::json(&details);
    }
    output::raw(describe(&details).as_bytes())
}

fn describe(details: &CallDetails) -> String {
    let CallDetails { call, metrics, turns, caller_actions, sip, sip_trace } = details;
    let ms = |value: Option<u32>| value.map_or_else(|| "-".to_owned(), |value| format!("{value} ms"));
    let figure = |value: Option<f64>, unit: &str| {
        value.map_or_else(|| "-".to_owned(), |value| format!("{value:.2}{unit}"))
    };
    let ended = call.disconnect_reason.as_deref().unwrap_or("-");
    let rows = [
        ("Call", call.id.to_string()),
        ("Trunk", call.trunk_id.to_string()),
        ("From", call.from.clone()),
        ("To", call.to.clone()),
        ("Status", call.status.clone()),
        ("Started", call.start_time.to_string()),
        ("Length", format!("{} s", call.duration_seconds)),
        ("Ended", call.reason_text.as_ref().map_or(ended.to_owned(), |text| format!("{ended}: {text}"))),
        ("Rule", sip.rule.clone().unwrap_or_else(|| "-".to_owned())),
        ("Source", sip.source.clone().unwrap_or_else(|| "-".to_owned())),
        ("Call-ID", sip.call_id.clone().unwrap_or_else(|| "-".to_owned())),
        ("Codec", metrics.codec_used.clone().unwrap_or_else(|| "-".to_owned())),
        ("Encryption", metrics.srtp_suite.clone().unwrap_or_else(|| "none".to_owned())),
        ("Carrier lag", ms(metrics.carrier_lag_ms)),
        ("Round trip", figure(metrics.rtt_ms, " ms")),
        ("Gateway processing", ms(metrics.gateway_processing_ms)),
        ("AI latency", ms(metrics.ai_latency_ms)),
        ("Time to first speech", ms(metrics.time_to_first_speech_ms)),
        ("Jitter", figure(metrics.jitter_ms, " ms")),
        ("Packet loss", figure(metrics.packet_loss_percent, " %")),
        ("Estimated MOS", figure(metrics.mos, "")),
        (
            "SIP trace",
            format!("{}; --json shows them", text::count(sip_trace.lines().count() as u64, "line", "lines")),
        ),
    ];
    let mut shown = output::facts(&rows);
    if !turns.is_empty() {
        let head = ["TURN", "SPEAKER", "STARTED", "LENGTH"];
        shown.push('\n');
        shown.push_str(&pages::table(turns, head, |turn| {
            [
                turn.turn_number.to_string(),
                turn.speaker.clone(),
                format!("{} ms", turn.started_ms),
                format!("{} ms", turn.duration_ms),
            ]
        }));
    }
    if !caller_actions.is_empty() {
        let head = ["CALLER", "AT", "DIGIT", "BY"];
        shown.push('\n');
        shown.push_str(&pages::table(caller_actions, head, |action| {
            [
                action.kind.clone(),
                format!("{} ms", action.at_ms),
                action.digit.map_or_else(|| "-".to_owned(), String::from),
                action.method.clone().unwrap_or_else(|| "-".to_owned()),
            ]
        }));
    }
    shown
}

async fn hang_up(args: HangUpArgs) -> Result<(), Failure> {
    with_client(&args.api, async |client| Ok(client.hang_up(args.id).await?)).await?;
    output::line(&format_args!("Hanging up call {}.", args.id))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_call_is_shown_with_its_figures_and_turns() {
        let details: CallDetails = serde_json::from_value(json!({
            "id": "call_01k9v1n2xrf6t8g3m5q7w9y0za", "trunk_id": "conn_01k9v1n2xrf6t8g3m5q7w9y0za",
            "from": "+1555\u{1b}[2J", "to": "support-01", "direction": "inbound", "carrier": null,
            "status": "disconnected", "duration_seconds": 42, "start_time": "2026-01-31T12:00:00Z",
            "answer_time": null, "end_time": null, "disconnect_reason": "agent_hangup", "reason_text": "done",
            "carrier_lag_ms": 12, "ai_latency_ms": null, "gateway_processing_ms": 1,
            "metrics": {"carrier_lag_ms": 12, "ai_latency_ms": null, "gateway_processing_ms": 1, "mos": 4.3,
                "codec_used": "PCMU", "counts": {"rtp_received": 1, "rtp_sent": 1, "rtp_lost": 0, "rtp_late": 0,
                "rtp_duplicate": 0, "rtp_invalid": 0, "playout_overflow_ms": 0, "playout_cleared_ms": 0,
                "agent_frames_dropped": 0}},
            "turns": [{"turn_number": 1, "speaker": "agent", "started_ms": 20, "duration_ms": 900,
                "processing_time_ms": 3, "interrupted": false}],
            "caller_actions": [{"at_ms": 700, "kind": "dtmf", "digit": null, "method": "rtp"},
                {"at_ms": 900, "kind": "hold", "digit": null, "method": null}],
            "sip": {"call_id": "abc@carrier.test", "source": "198.51.100.7:5060", "rule": null, "status": null,
                "peer_reason": null, "headers": {}},
            "sip_trace": "INVITE\nACK\n"
        }))
        .unwrap();
        let shown = describe(&details);
        for part in [
            "agent_hangup: done",
            "PCMU",
            "12 ms",
            "4.30",
            "2 lines",
            "1     agent    20 ms",
            "dtmf    700 ms  -      rtp",
            "hold    900 ms  -      -",
            "abc@carrier.test",
        ] {
            assert!(shown.contains(part), "{part} is missing:\n{shown}");
        }
        assert!(!shown.contains('\u{1b}'), "{shown}");
    }
}
