//! Settings for SIP.

use super::{Kind, Setting};

pub(super) const LISTEN: Setting = Setting {
    key: "sip.listen",
    env: "TELEPATH_SIP_LISTEN",
    flag: Some("--sip-listen"),
    kind: Kind::Addresses,
    default: Some("127.0.0.1:5060"),
    example: "\"0.0.0.0:5060\"",
    about: "Where SIP listens over UDP: an address or a list of addresses. `[::]:5060` serves IPv4 and IPv6. RTP uses the IP address of the first one.",
};

pub(super) const TCP_LISTEN: Setting = Setting {
    key: "sip.tcp_listen",
    env: "TELEPATH_SIP_TCP_LISTEN",
    flag: Some("--sip-tcp-listen"),
    kind: Kind::Addresses,
    default: None,
    example: "\"0.0.0.0:5060\"",
    about: "Where SIP listens over TCP: an address or a list of addresses. Without it, SIP is not served over TCP.",
};

pub(super) const TLS_LISTEN: Setting = Setting {
    key: "sip.tls_listen",
    env: "TELEPATH_SIP_TLS_LISTEN",
    flag: Some("--sip-tls-listen"),
    kind: Kind::Addresses,
    default: None,
    example: "\"0.0.0.0:5061\"",
    about: "Where SIP listens over TLS: an address or a list of addresses. It serves the same certificate as the API (`tls.certificate_file`), and a new one as soon as it is loaded. Without it, SIP is not served over TLS.",
};

pub(super) const CLIENT_CA_FILE: Setting = Setting {
    key: "sip.client_ca_file",
    env: "TELEPATH_SIP_CLIENT_CA_FILE",
    flag: None,
    kind: Kind::Path,
    default: None,
    example: "\"/etc/telepath/carriers.pem\"",
    about: "Certificate authorities in PEM form. With it, every SIP connection over TLS needs a client certificate that one of them has issued. Read when the server starts. Without it, clients need no certificate.",
};

pub(super) const PUBLIC_HOST: Setting = Setting {
    key: "sip.public_host",
    env: "TELEPATH_SIP_PUBLIC_HOST",
    flag: Some("--sip-public-host"),
    kind: Kind::Host,
    default: None,
    example: "\"voice.example\"",
    about: "The host that carriers call. It appears in `sip_endpoint`, and its address in SIP and SDP; a name is resolved when the server starts. Without it, the address that SIP listens on.",
};

pub(super) const DIGEST_ALGORITHMS: Setting = Setting {
    key: "sip.digest_algorithms",
    env: "TELEPATH_SIP_DIGEST_ALGORITHMS",
    flag: None,
    kind: Kind::Choice(&["both", "md5", "sha-256"]),
    default: Some("both"),
    example: "\"md5\"",
    about: "The algorithms of digest challenges. `md5` is for carriers and phones that give up at a second challenge or at an algorithm that they do not know; `sha-256` refuses clients that know only MD5.",
};
