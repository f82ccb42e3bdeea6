//! Settings for the server certificate.

use super::{Kind, Setting};

pub(super) const CERTIFICATE_FILE: Setting = Setting {
    key: "tls.certificate_file",
    env: "TELEPATH_TLS_CERTIFICATE_FILE",
    flag: None,
    kind: Kind::Path,
    default: None,
    example: "\"/etc/telepath/fullchain.pem\"",
    about: "The certificate chain in PEM form, server certificate first. Reloaded on SIGHUP. Without it, Telepath creates a local certificate authority and a certificate; clients trust it through `tls/ca.pem` in the data folder.",
};

pub(super) const KEY_FILE: Setting = Setting {
    key: "tls.key_file",
    env: "TELEPATH_TLS_KEY_FILE",
    flag: None,
    kind: Kind::Path,
    default: None,
    example: "\"/etc/telepath/privkey.pem\"",
    about: "The private key of the certificate, in PEM form.",
};

pub(super) const HOSTNAMES: Setting = Setting {
    key: "tls.hostnames",
    env: "TELEPATH_TLS_HOSTNAMES",
    flag: None,
    kind: Kind::Hosts,
    default: None,
    example: "[\"voice.example\", \"203.0.113.7\"]",
    about: "Additional names in the local certificate, beside localhost, 127.0.0.1 and ::1.",
};
