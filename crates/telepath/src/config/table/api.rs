//! Settings for the listeners of the API and of the metrics.

use super::{Kind, Setting};

pub(super) const API: &[Setting] = &[
    Setting {
        key: "api.listen",
        env: "TELEPATH_API_LISTEN",
        flag: Some("--api-listen"),
        kind: Kind::Address,
        default: Some("127.0.0.1:8443"),
        example: "\"0.0.0.0:8443\"",
        about: "Where the API listens for HTTPS (HTTP/1.1 and HTTP/2).",
    },
    Setting {
        key: "api.insecure_http_listen",
        env: "TELEPATH_API_INSECURE_HTTP_LISTEN",
        flag: Some("--insecure-http-listen"),
        kind: Kind::LoopbackAddress,
        default: None,
        example: "\"127.0.0.1:8080\"",
        about: "Where the API also listens for plain HTTP. Loopback addresses only, for programs on this machine.",
    },
    Setting {
        key: "api.trusted_proxies",
        env: "TELEPATH_API_TRUSTED_PROXIES",
        flag: None,
        kind: Kind::Networks,
        default: None,
        example: "[\"192.0.2.0/24\"]",
        about: "Networks of the load balancers and reverse proxies in front of the API. Their forwarding headers name the client and its protocol; without them, the address and the protocol of the proxy's own connection count. The limit of connections per address does not apply to them. See [Put the API behind a load balancer](../how-to/load-balancers.md).",
    },
    Setting {
        key: "api.forwarding_headers",
        env: "TELEPATH_API_FORWARDING_HEADERS",
        flag: None,
        kind: Kind::Choice(&["any", "x-forwarded", "forwarded"]),
        default: Some("any"),
        example: "\"any\"",
        about: "Which headers of `api.trusted_proxies` are used: `X-Forwarded-For` and `X-Forwarded-Proto`, or `Forwarded` (RFC 7239). With `any`, a request in which the two contradict each other is refused with 400.",
    },
    Setting {
        key: "api.proxy_protocol",
        env: "TELEPATH_API_PROXY_PROTOCOL",
        flag: None,
        kind: Kind::Choice(&["off", "v2"]),
        default: Some("off"),
        example: "\"off\"",
        about: "Whether `api.trusted_proxies` begin each connection to `api.listen` with a PROXY protocol header. `v2` requires a header of version 2 from them; other peers connect without one.",
    },
    Setting {
        key: "api.security_contact",
        env: "TELEPATH_API_SECURITY_CONTACT",
        flag: None,
        kind: Kind::Contact,
        default: None,
        example: "\"mailto:security@voice.example\"",
        about: "The security contact, published in `/.well-known/security.txt`. Without it, that file is not served.",
    },
    Setting {
        key: "metrics.listen",
        env: "TELEPATH_METRICS_LISTEN",
        flag: None,
        kind: Kind::AddressOrOff,
        default: Some("127.0.0.1:9464"),
        example: "\"127.0.0.1:9464\"",
        about: "Where `/metrics` is served over plain HTTP, without authentication. The metrics contain no secrets and no names, but they show what the server does; use another than a loopback address only in a network that you trust. If the default address is in use, the server starts without this listener and logs a warning. `off` serves the metrics only on the API, to keys with the scope `metrics:read`.",
    },
];
