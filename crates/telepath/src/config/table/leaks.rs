//! Settings for reports of leaked keys.

use super::{Kind, Setting};

pub(super) const SIGNING_KEYS_FILE: Setting = Setting {
    key: "leaks.signing_keys_file",
    env: "TELEPATH_LEAKS_SIGNING_KEYS_FILE",
    flag: None,
    kind: Kind::Path,
    default: None,
    example: "\"/etc/telepath/secret-scanning-keys.json\"",
    about: "The public keys with which a secret-scanning partner signs the reports that it sends to `/v1/keys/secret-scanning`, in the form that the partner publishes. Read at start. Without it, these reports are rejected.",
};
