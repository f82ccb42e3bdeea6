//! `telepath calls trace`: the SIP messages of a call.

use clap::Args;
use telepath_client::{CallId, SipMessage};

use crate::cli::reach::{ApiArgs, with_client};
use crate::cli::{output, pages, text};
use crate::exit::Failure;

/// Arguments of `calls trace`.
#[derive(Debug, Args)]
pub(crate) struct TraceArgs {
    #[command(flatten)]
    api: ApiArgs,
    /// Call id, call_…
    id: CallId,
    /// Print whole messages
    #[arg(long, conflicts_with = "json")]
    full: bool,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: TraceArgs) -> Result<(), Failure> {
    let trace = with_client(&args.api, async |client| Ok(client.get_sip_trace(args.id).await?)).await?;
    if args.json {
        return output::json(&trace);
    }
    if args.full {
        let whole = trace.messages.iter().map(whole).collect::<String>();
        return output::raw(whole.as_bytes());
    }
    let head = ["MS", "DIRECTION", "PEER", "MESSAGE"];
    pages::print(&trace.messages, false, "No SIP messages; those of a live call are not shown.", head, row)
}

fn row(message: &SipMessage) -> [String; 4] {
    let omitted = match message.omitted_before {
        0 => String::new(),
        omitted => format!("(after {omitted} left out) "),
    };
    [
        message.at_ms.to_string(),
        message.direction.clone(),
        message.peer.to_string(),
        format!("{omitted}{}", text::printable(&message.first_line)),
    ]
}

fn whole(message: &SipMessage) -> String {
    let [ms, direction, peer, _] = row(message);
    let lines: Vec<_> = message.text.lines().map(text::printable).collect();
    format!("+{ms} ms {direction} {peer}\n{}\n\n", lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_shown_without_control_characters() {
        let message: SipMessage = serde_json::from_value(serde_json::json!({
            "at_ms": 42, "direction": "received", "peer": "198.51.100.7:5060", "method": "INVITE", "status": null,
            "first_line": "INVITE sip:a\u{1b}[2J@b SIP/2.0", "text": "INVITE sip:a@b SIP/2.0\r\nFrom: \u{1b}[2Jx",
            "is_cut": false, "omitted_before": 3
        }))
        .unwrap();
        let shown = row(&message);
        assert_eq!(shown[..3], ["42", "received", "198.51.100.7:5060"].map(str::to_owned));
        assert!(shown[3].starts_with("(after 3 left out) INVITE sip:a"), "{shown:?}");
        assert!(!shown[3].contains('\u{1b}') && !whole(&message).contains('\u{1b}'));
        assert!(
            whole(&message).starts_with("+42 ms received 198.51.100.7:5060\nINVITE sip:a@b SIP/2.0\nFrom: ")
        );
    }
}
