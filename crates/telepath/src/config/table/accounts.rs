//! Settings for how much each account can store.

use super::{Kind, Setting};

pub(super) const ACCOUNTS: &[Setting] = &[
    Setting {
        key: "limits.account_keys",
        env: "TELEPATH_LIMITS_ACCOUNT_KEYS",
        flag: None,
        kind: Kind::Count(1, 1_000_000),
        default: Some("10000"),
        example: "10000",
        about: "The maximum number of API keys of one account; revoked keys do not count, but only as many of them are kept. Beyond 10,000, `rotate-all` cannot rotate them in one request.",
    },
    Setting {
        key: "limits.account_trunks",
        env: "TELEPATH_LIMITS_ACCOUNT_TRUNKS",
        flag: None,
        kind: Kind::Count(1, 100_000),
        default: Some("1000"),
        example: "1000",
        about: "The maximum number of trunks of one account.",
    },
    Setting {
        key: "limits.account_webhooks",
        env: "TELEPATH_LIMITS_ACCOUNT_WEBHOOKS",
        flag: None,
        kind: Kind::Count(1, 500),
        default: Some("500"),
        example: "500",
        about: "The maximum number of webhook endpoints of one account.",
    },
    Setting {
        key: "limits.account_stored_responses",
        env: "TELEPATH_LIMITS_ACCOUNT_STORED_RESPONSES",
        flag: None,
        kind: Kind::Count(1, 100_000_000),
        default: Some("1000000"),
        example: "1000000",
        about: "The maximum number of responses to requests with an `Idempotency-Key` that one account has stored at a time. Each is stored for 24 hours.",
    },
    Setting {
        key: "limits.account_stored_response_megabytes",
        env: "TELEPATH_LIMITS_ACCOUNT_STORED_RESPONSE_MEGABYTES",
        flag: None,
        kind: Kind::Count(1, 1_000_000),
        default: Some("1024"),
        example: "1024",
        about: "The maximum size of these responses together. A request that is still running counts with 65 KiB, and one that rotates all keys with 4 KiB for each key.",
    },
    Setting {
        key: "limits.account_audit_megabytes",
        env: "TELEPATH_LIMITS_ACCOUNT_AUDIT_MEGABYTES",
        flag: None,
        kind: Kind::Count(1, 1_000_000),
        default: Some("4096"),
        example: "4096",
        about: "The maximum size of one account's audit trail. Beyond it, keys and users get `409 LIMIT_REACHED` for changes; what stops or removes something, signing in, and local administration still work and are recorded. `retention.audit` makes room.",
    },
    Setting {
        key: "limits.account_webhook_response_megabytes",
        env: "TELEPATH_LIMITS_ACCOUNT_WEBHOOK_RESPONSE_MEGABYTES",
        flag: None,
        kind: Kind::Count(1, 1_000_000),
        default: Some("1024"),
        example: "1024",
        about: "How much of what webhook endpoints answered is kept for one account. Beyond it, the oldest responses are deleted; the attempts stay on record.",
    },
];
