//! The metrics of the gateway: one table of their names, kinds and meanings, which the exporter is told and from which
//! documentation can be made.

/// What a metric is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricKind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// A distribution.
    Histogram,
}

/// One metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metric {
    /// The name, as exported.
    pub name: &'static str,
    /// What it is.
    pub kind: MetricKind,
    /// What it counts, with its labels.
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
        help: "From the INVITE to our 200, of answered calls.",
    },
    Metric {
        name: "telepath_gateway_processing_seconds",
        kind: MetricKind::Histogram,
        help: "Median time inside Telepath, one value for each ended call.",
    },
    counter("telepath_calls_ended_total", "Calls that ended, by status and reason."),
    counter("telepath_call_records_dropped_total", "Records of ended calls that storage never took."),
    counter("telepath_sip_rejected_total", "SIP messages rejected or dropped, by reason."),
    counter("telepath_sip_challenges_total", "INVITEs challenged for credentials."),
    counter("telepath_sip_keep_alives_total", "Empty datagrams that keep a NAT binding open."),
    counter("telepath_sip_info_total", "INFO requests with digits, which are acknowledged and not used."),
    counter("telepath_sip_socket_errors_total", "Datagrams that the SIP socket could not send or receive."),
    counter("telepath_rtp_received_total", "RTP packets from callers, of ended calls."),
    counter("telepath_rtp_sent_total", "RTP packets to callers, of ended calls."),
    counter("telepath_rtp_lost_total", "RTP packets from callers that never came, of ended calls."),
    counter("telepath_rtp_late_total", "RTP packets that came too late to be used, of ended calls."),
    counter("telepath_rtp_duplicate_total", "RTP packets that came twice, of ended calls."),
    counter("telepath_rtp_invalid_total", "Datagrams that were not usable RTP, of ended calls."),
    counter("telepath_rtp_unsent_total", "RTP packets that could not be sent to the caller."),
    counter(
        "telepath_playout_overflow_milliseconds_total",
        "Agent audio dropped because the play-out queue was full, of ended calls.",
    ),
    counter(
        "telepath_playout_cleared_milliseconds_total",
        "Agent audio dropped because it was interrupted, of ended calls.",
    ),
    counter(
        "telepath_agent_frames_dropped_total",
        "Frames dropped because an agent read too slowly, of ended calls.",
    ),
];

/// Tells the installed recorder what each metric means.
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

    fn names_in(folder: &Path, found: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                names_in(&path, found);
            } else if !path.ends_with("metric_catalogue.rs") {
                let text = std::fs::read_to_string(path).unwrap();
                let names = text.split("\"telepath_").skip(1).filter_map(|rest| rest.split('"').next());
                found.extend(names.map(|name| format!("telepath_{name}")));
            }
        }
    }

    #[test]
    fn the_table_names_what_the_code_counts_and_nothing_else() {
        let mut used = BTreeSet::new();
        names_in(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut used);
        let listed: BTreeSet<String> = METRICS.iter().map(|metric| metric.name.to_owned()).collect();
        assert_eq!(used, listed);
        assert_eq!(listed.len(), METRICS.len(), "each once");
    }
}
