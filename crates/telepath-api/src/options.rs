//! The settings of the API.

use std::sync::Arc;
use std::time::Duration;

use telepath_core::id::AccountId;
use telepath_core::leak::SigningKeys;
use telepath_core::limit::RateLimit;
use telepath_egress::Egress;
use telepath_store::AlertPost;

/// The rate limit of local administration.
const LOCAL_LIMIT: RateLimit = match RateLimit::per_minute(60_000) {
    Some(limit) => limit,
    None => unreachable!(),
};

/// The settings of the API.
#[derive(Debug, Clone)]
pub struct ApiOptions {
    /// Host, with its port when it is not the usual one, under which carriers reach the SIP side; the second half of
    /// every `sip_endpoint`.
    pub sip_host: String,
    /// The account of local administration.
    pub local_account: AccountId,
    /// The rate limit of local administration.
    pub local_limit: RateLimit,
    /// The time limit of a handler.
    pub request_timeout: Duration,
    /// The time limit for a request body to arrive.
    pub body_timeout: Duration,
    /// The keys that a secret-scanning partner signs its lists with; without them no list is accepted.
    pub signing_keys: Option<Arc<SigningKeys>>,
    /// The security contact as a URI; without it there is no `security.txt`.
    pub security_contact: Option<String>,
    /// Which addresses webhooks may have; only public ones by default.
    pub egress: Egress,
    /// The way of emails about alerts, for tests of it.
    pub alert_post: AlertPost,
}

impl ApiOptions {
    /// The default settings.
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
            alert_post: AlertPost::default(),
        }
    }
}
