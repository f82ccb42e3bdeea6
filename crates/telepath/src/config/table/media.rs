//! Settings for RTP.

use super::{Kind, Setting};

pub(super) const RTP_PORTS: Setting = Setting {
    key: "media.rtp_ports",
    env: "TELEPATH_MEDIA_RTP_PORTS",
    flag: Some("--rtp-ports"),
    kind: Kind::PortRange,
    default: Some("20000-29999"),
    example: "\"20000-29999\"",
    about: "The UDP port range for RTP audio. Each call uses two ports.",
};

pub(super) const TIMEOUT: Setting = Setting {
    key: "media.timeout",
    env: "TELEPATH_MEDIA_TIMEOUT",
    flag: None,
    kind: Kind::Duration,
    default: Some("30s"),
    example: "\"30s\"",
    about: "A call ends when neither RTP nor RTCP arrives from the caller for this long, unless the caller is on hold or announced that it does not send.",
};

pub(super) const DTMF_IN_RECORDS: Setting = Setting {
    key: "media.dtmf_in_records",
    env: "TELEPATH_MEDIA_DTMF_IN_RECORDS",
    flag: None,
    kind: Kind::Choice(&["masked", "digits"]),
    default: Some("masked"),
    example: "\"masked\"",
    about: "What call records say of the DTMF digits that callers press: `masked` records when and how a digit arrived but not which, because digits may be a PIN or a card number; `digits` records them. Agents always get them.",
};

pub(super) const ALLOW: Setting = Setting {
    key: "media.allow",
    env: "TELEPATH_MEDIA_ALLOW",
    flag: None,
    kind: Kind::Networks,
    default: None,
    example: "[\"10.30.0.0/16\"]",
    about: "Networks to which audio may be sent although they are not public, for carriers whose media is in a private network but whose signalling is not. See [how a call flows](../explanation/calls.md#where-audio-may-be-sent).",
};
