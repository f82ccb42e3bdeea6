//! The metrics of the gateway: one table of names, kinds and help texts, and the values of their labels.

use telepath_core::call::{CallStatus, DisconnectReason};
use telepath_media::dialect::TransferFailure;

use crate::transport::{CloseReason, ConnectionLimit};

/// The kind of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricKind {
    /// Never decreases.
    Counter,
    /// Increases and decreases.
    Gauge,
    /// A distribution.
    Histogram,
}

/// One metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metric {
    /// The exported name.
    pub name: &'static str,
    /// Counter, gauge or histogram.
    pub kind: MetricKind,
    /// What is measured, in which unit, and by which labels.
    pub help: &'static str,
}

const fn counter(name: &'static str, help: &'static str) -> Metric {
    Metric { name, kind: MetricKind::Counter, help }
}

const CALLS_ENDED: &str = "telepath_calls_ended_total";
const TRANSFERS_FAILED: &str = "telepath_transfers_failed_total";
const SIP_REJECTED: &str = "telepath_sip_rejected_total";
const SIP_CONNECTIONS_OPEN: &str = "telepath_sip_connections_open";
const SIP_CONNECTIONS: &str = "telepath_sip_connections_total";
const SIP_CONNECTIONS_CLOSED: &str = "telepath_sip_connections_closed_total";
const SIP_CONNECTIONS_REFUSED: &str = "telepath_sip_connections_refused_total";
/// The transports with connections.
const STREAM_TRANSPORTS: [&str; 2] = ["tcp", "tls"];

/// Every metric of the gateway.
pub const METRICS: &[Metric] = &[
    Metric {
        name: "telepath_calls_live",
        kind: MetricKind::Gauge,
        help: "Calls that ring or are connected.",
    },
    Metric {
        name: "telepath_call_setup_seconds",
        kind: MetricKind::Histogram,
        help: "Time from the INVITE to the 200 of answered calls.",
    },
    Metric {
        name: "telepath_gateway_processing_seconds",
        kind: MetricKind::Histogram,
        help: "Median processing time inside Telepath; one value per ended call.",
    },
    Metric {
        name: "telepath_rtp_send_lateness_seconds",
        kind: MetricKind::Histogram,
        help: "99th percentile of the time between when RTP packets to the caller were due and when they were sent; one value per ended call.",
    },
    Metric {
        name: "telepath_agent_latency_seconds",
        kind: MetricKind::Histogram,
        help: "Mean time from the end of the caller's speech to the agent's audio; one value per ended call.",
    },
    Metric {
        name: "telepath_carrier_lag_seconds",
        kind: MetricKind::Histogram,
        help: "Delay of the carrier's leg; one value per ended call.",
    },
    counter(CALLS_ENDED, "Ended calls, by status and reason."),
    counter(
        "telepath_call_records_dropped_total",
        "Call records that could not be written and were dropped.",
    ),
    counter(TRANSFERS_FAILED, "Transfers that did not take place, by reason."),
    counter(SIP_REJECTED, "SIP messages rejected or dropped, by reason."),
    counter(
        "telepath_sip_unrecorded_rejections_total",
        "Refused calls of known trunks without a call record, because too many were refused in a minute.",
    ),
    counter("telepath_sip_challenges_total", "INVITEs challenged for credentials."),
    counter("telepath_sip_keep_alives_total", "SIP keep-alives (RFC 5626)."),
    Metric {
        name: SIP_CONNECTIONS_OPEN,
        kind: MetricKind::Gauge,
        help: "Open SIP connections, by transport.",
    },
    counter(SIP_CONNECTIONS, "SIP connections that were accepted or opened, by transport."),
    counter(SIP_CONNECTIONS_CLOSED, "SIP connections that ended, by reason."),
    counter(
        SIP_CONNECTIONS_REFUSED,
        "SIP connections that were refused because every other one carried a call, by limit.",
    ),
    counter(
        "telepath_sip_unsent_total",
        "SIP messages that were not sent because their connection had ended.",
    ),
    counter("telepath_sip_info_total", "INFO requests with DTMF digits."),
    counter("telepath_sip_socket_errors_total", "Errors of SIP sockets for UDP while sending or receiving."),
    counter("telepath_rtp_received_total", "RTP packets from callers in ended calls."),
    counter("telepath_rtp_sent_total", "RTP packets to callers in ended calls."),
    counter("telepath_rtp_lost_total", "Lost RTP packets from callers in ended calls."),
    counter("telepath_rtp_late_total", "RTP packets that arrived too late in ended calls."),
    counter("telepath_rtp_duplicate_total", "Duplicate RTP packets in ended calls."),
    counter("telepath_rtp_invalid_total", "Datagrams that were not valid RTP of the caller in ended calls."),
    counter(
        "telepath_rtp_unauthenticated_total",
        "Packets in ended calls with SRTP whose authentication failed; they also count as invalid.",
    ),
    counter("telepath_rtp_unsent_total", "RTP and RTCP packets to callers that could not be sent."),
    counter(
        "telepath_playout_overflow_milliseconds_total",
        "Agent audio refused in ended calls because the play-out queue was full.",
    ),
    counter(
        "telepath_playout_cleared_milliseconds_total",
        "Agent audio dropped in ended calls because the caller interrupted it.",
    ),
    counter(
        "telepath_agent_frames_dropped_total",
        "Audio frames dropped in ended calls because the agent read too slowly.",
    ),
    counter(
        "telepath_rtp_sent_late_total",
        "RTP packets to callers in ended calls that were sent more than 20 ms after they were due.",
    ),
    counter(
        "telepath_rtp_telephone_events_ignored_total",
        "Telephone events from callers in ended calls that are not digits, such as flash.",
    ),
];

/// The reasons of `telepath_sip_rejected_total`, in alphabetical order.
const SIP_REJECT_REASONS: &[&str] = &[
    "address_family",
    "agent_unreachable",
    "ambiguous_number",
    "auth_throttled",
    "bad_response",
    "body_too_long",
    "call_table_full",
    "call_transactions_full",
    "control_unavailable",
    "cseq_mismatch",
    "cseq_not_advanced",
    "foreign_nonce",
    "head_too_long",
    "headers_in_request_uri",
    "headers_too_large",
    "lookups_full",
    "looped_request",
    "malformed",
    "malformed_content_length",
    "malformed_credentials",
    "malformed_sdp",
    "merged_request",
    "method_not_allowed",
    "missing_contact",
    "missing_from_tag",
    "multicast",
    "national_number",
    "no_audio",
    "no_common_codec",
    "no_common_suite",
    "no_content_length",
    "no_entropy",
    "not_sip",
    "number_not_listed",
    "reinvite_pending",
    "replayed_credentials",
    "rtp_ports_exhausted",
    "rtp_profile",
    "sdp_not_acceptable",
    "server_full",
    "session_interval_too_small",
    "shutting_down",
    "srtp_off",
    "srtp_required",
    "stray_response",
    "too_long",
    "too_many_hops",
    "transaction_table_full",
    "trunk_full",
    "trunk_inactive",
    "unanswerable_request",
    "unconfirmed_full",
    "unknown_dialog",
    "unknown_info_package",
    "unknown_method",
    "unknown_provisional_response",
    "unknown_subscription",
    "unknown_transaction",
    "unknown_user",
    "unsupported_content",
    "unsupported_extension",
    "unsupported_scheme",
    "uri_mismatch",
    "wrong_password",
];

/// Registers the help texts with the installed metrics recorder, and every series with the value 0, so that the first event
/// is seen as an increase.
pub fn describe_metrics() {
    for metric in METRICS {
        match metric.kind {
            MetricKind::Counter => metrics::describe_counter!(metric.name, metric.help),
            MetricKind::Gauge => metrics::describe_gauge!(metric.name, metric.help),
            MetricKind::Histogram => metrics::describe_histogram!(metric.name, metric.help),
        }
        register(metric);
    }
}

fn register(metric: &Metric) {
    let name = metric.name;
    match metric.kind {
        MetricKind::Counter if name == CALLS_ENDED => {
            for status in [CallStatus::Disconnected, CallStatus::Failed] {
                for reason in DisconnectReason::ALL {
                    metrics::counter!(name, "status" => status.name(), "reason" => reason.name())
                        .increment(0);
                }
            }
        }
        MetricKind::Counter if name == SIP_REJECTED => {
            for reason in SIP_REJECT_REASONS {
                metrics::counter!(name, "reason" => *reason).increment(0);
            }
        }
        MetricKind::Counter if name == TRANSFERS_FAILED => {
            for failure in TransferFailure::ALL {
                metrics::counter!(name, "reason" => failure.code()).increment(0);
            }
        }
        MetricKind::Counter if name == SIP_CONNECTIONS => {
            for transport in STREAM_TRANSPORTS {
                metrics::counter!(name, "transport" => transport).increment(0);
            }
        }
        MetricKind::Counter if name == SIP_CONNECTIONS_CLOSED => {
            for reason in CloseReason::NAMES {
                metrics::counter!(name, "reason" => reason).increment(0);
            }
        }
        MetricKind::Counter if name == SIP_CONNECTIONS_REFUSED => {
            for limit in ConnectionLimit::ALL {
                metrics::counter!(name, "limit" => limit.name()).increment(0);
            }
        }
        MetricKind::Counter => metrics::counter!(name).increment(0),
        MetricKind::Gauge if name == SIP_CONNECTIONS_OPEN => {
            for transport in STREAM_TRANSPORTS {
                metrics::gauge!(name, "transport" => transport).set(0.0);
            }
        }
        MetricKind::Gauge => metrics::gauge!(name).set(0.0),
        MetricKind::Histogram => drop(metrics::histogram!(name)),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    fn collect_names(folder: &Path, names: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                collect_names(&path, names);
            } else if !path.ends_with("metric_catalogue.rs") {
                let text = std::fs::read_to_string(path).unwrap();
                let found = text.split("\"telepath_").skip(1).filter_map(|rest| rest.split('"').next());
                names.extend(found.map(|name| format!("telepath_{name}")));
            }
        }
    }

    #[test]
    fn every_reject_reason_has_a_series_before_the_first_rejection() {
        let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let mut used = BTreeSet::new();
        let files = [
            "telepath-gateway/src/reject_reason.rs",
            "telepath-sip/src/endpoint/reject_reason.rs",
            "telepath-sip/src/message/stream.rs",
        ];
        for file in files {
            let text = std::fs::read_to_string(crates.join(file)).unwrap();
            let names = text.lines().filter_map(|line| line.trim().strip_suffix("\",")?.split_once("=> \""));
            // A text with blanks is the description of a reason.
            used.extend(names.map(|(_, name)| name.to_owned()).filter(|name| !name.contains(' ')));
        }
        // Counted by another metric.
        used.remove("keep_alive");
        assert_eq!(used.into_iter().collect::<Vec<_>>(), SIP_REJECT_REASONS);
    }

    #[test]
    fn the_table_lists_exactly_the_metrics_in_the_code() {
        let mut used = BTreeSet::new();
        collect_names(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut used);
        let listed: BTreeSet<String> = METRICS.iter().map(|metric| metric.name.to_owned()).collect();
        assert_eq!(used, listed);
        assert_eq!(listed.len(), METRICS.len(), "a metric is listed twice");
    }
}
