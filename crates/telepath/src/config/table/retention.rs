//! Settings for how long records are kept.

use super::{Kind, Setting};

pub(super) const RETENTION: &[Setting] = &[
    Setting {
        key: "retention.request_log",
        env: "TELEPATH_RETENTION_REQUEST_LOG",
        flag: None,
        kind: Kind::Duration,
        default: Some("30d"),
        example: "\"30d\"",
        about: "How long requests are kept in the request log. Usage counters outlive it: minute buckets are kept for 48 hours, hour buckets for 90 days, day buckets for two years.",
    },
    Setting {
        key: "retention.request_log_megabytes",
        env: "TELEPATH_RETENTION_REQUEST_LOG_MEGABYTES",
        flag: None,
        kind: Kind::Count(1, 1_000_000),
        default: Some("1024"),
        example: "1024",
        about: "The maximum size of the request log. When it is exceeded, the oldest requests are deleted. A request takes about 70 bytes.",
    },
    Setting {
        key: "retention.calls",
        env: "TELEPATH_RETENTION_CALLS",
        flag: None,
        kind: Kind::Duration,
        default: None,
        example: "\"365d\"",
        about: "How long records of calls are kept, at least 1d. Without it, they are kept forever.",
    },
    Setting {
        key: "retention.audit",
        env: "TELEPATH_RETENTION_AUDIT",
        flag: None,
        kind: Kind::Duration,
        default: None,
        example: "\"730d\"",
        about: "How long audit entries are kept, at least 1d. The audit trail stays verifiable from the oldest entry that is kept. Without it, entries are kept forever.",
    },
    Setting {
        key: "retention.analytics",
        env: "TELEPATH_RETENTION_ANALYTICS",
        flag: None,
        kind: Kind::Duration,
        default: Some("730d"),
        example: "\"730d\"",
        about: "How long the statistics of calls are kept by day, at least 1d. They outlive the calls. Statistics by minute are kept for 48 hours, by hour for 90 days.",
    },
];
