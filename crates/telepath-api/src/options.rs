//! What the shell decides about the API.

use std::sync::Arc;
use std::time::Duration;

use telepath_core::id::AccountId;
use telepath_core::leak::SigningKeys;
use telepath_core::limit::RateLimit;
use telepath_egress::Egress;

/// How often local administration may ask.
const LOCAL_LIMIT: RateLimit = match RateLimit::per_minute(60_000) {
    Some(limit) => limit,
    None => unreachable!(),
};

/// What the shell decides about the API.
#[derive(Debug, Clone)]
pub struct ApiOptions {
    /// Host, with its port when it is not the usual one, under which carriers reach the SIP side; the second half of
    /// every `sip_endpoint`.
    pub sip_host: String,
    /// The account that local administration works on.
    pub local_account: AccountId,
    /// How often local administration may ask.
    pub local_limit: RateLimit,
    /// A handler that takes longer is given up.
    pub request_timeout: Duration,
    /// A body that takes longer to arrive is given up.
    pub body_timeout: Duration,
    /// With which keys a secret-scanning partner signs its lists; without them none are taken.
    pub signing_keys: Option<Arc<SigningKeys>>,
    /// Whom to tell of weaknesses, as a URI; without it there is no `security.txt`.
    pub security_contact: Option<String>,
    /// Where webhooks may be: public addresses only, unless told otherwise.
    pub egress: Egress,
}

impl ApiOptions {
    /// The usual values.
    pub fn new(sip_host: String, local_account: AccountId) -> Self {
        Self {
            sip_host,
            local_account,
            local_limit: LOCAL_LIMIT,
            request_timeout: Duration::from_secs(30),
            body_timeout: Duration::from_secs(20),
            signing_keys: None,
            security_contact: None,
            egress: Egress::default(),
        }
    }
}
