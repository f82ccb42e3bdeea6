//! Settings for the dashboard.

use super::{Kind, Setting};

pub(super) const DASHBOARD: &[Setting] = &[
    Setting {
        key: "dashboard.enabled",
        env: "TELEPATH_DASHBOARD_ENABLED",
        flag: None,
        kind: Kind::Choice(&["on", "off"]),
        default: Some("on"),
        example: "\"on\"",
        about: "Whether the dashboard is served on `api.listen`, beside the API.",
    },
    Setting {
        key: "dashboard.public_url",
        env: "TELEPATH_DASHBOARD_PUBLIC_URL",
        flag: None,
        kind: Kind::Origin,
        default: None,
        example: "\"https://voice.example\"",
        about: "The address of the dashboard as users type it. Links begin with it. Requests for other host names than this one, `localhost` and those in `tls.hostnames` are refused, so set it when the certificate comes from files or a proxy is in front.",
    },
];
