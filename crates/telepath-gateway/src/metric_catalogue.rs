//! The metrics of the gateway: one table of names, kinds and help texts. The exporter and the documentation use it.

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
    counter("telepath_calls_ended_total", "Ended calls, by status and reason."),
    counter(
        "telepath_call_records_dropped_total",
        "Call records that could not be written and were dropped.",
    ),
    counter("telepath_sip_rejected_total", "SIP messages rejected or dropped, by reason."),
    counter(
        "telepath_sip_unrecorded_rejections_total",
        "Refused calls of known trunks without a call record, because too many were refused in a minute.",
    ),
    counter("telepath_sip_challenges_total", "INVITEs challenged for credentials."),
    counter("telepath_sip_keep_alives_total", "SIP keep-alives (RFC 5626)."),
    counter("telepath_sip_info_total", "INFO requests with DTMF digits."),
    counter("telepath_sip_socket_errors_total", "Errors of the SIP socket while sending or receiving."),
    counter("telepath_rtp_received_total", "RTP packets from callers in ended calls."),
    counter("telepath_rtp_sent_total", "RTP packets to callers in ended calls."),
    counter("telepath_rtp_lost_total", "Lost RTP packets from callers in ended calls."),
    counter("telepath_rtp_late_total", "RTP packets that arrived too late in ended calls."),
    counter("telepath_rtp_duplicate_total", "Duplicate RTP packets in ended calls."),
    counter("telepath_rtp_invalid_total", "Datagrams that were not valid RTP of the caller in ended calls."),
    counter("telepath_rtp_unsent_total", "RTP packets to callers that could not be sent."),
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

/// Registers the help texts with the installed metrics recorder.
pub fn describe_metrics() {
    for metric in METRICS {
        match metric.kind {
            MetricKind::Counter => metrics::describe_counter!(metric.name, metric.help),
            MetricKind::Gauge => metrics::describe_gauge!(metric.name, metric.help),
            MetricKind::Histogram => metrics::describe_histogram!(metric.name, metric.help),
        }
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
    fn the_table_lists_exactly_the_metrics_in_the_code() {
        let mut used = BTreeSet::new();
        collect_names(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut used);
        let listed: BTreeSet<String> = METRICS.iter().map(|metric| metric.name.to_owned()).collect();
        assert_eq!(used, listed);
        assert_eq!(listed.len(), METRICS.len(), "a metric is listed twice");
    }
}
