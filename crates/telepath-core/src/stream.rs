//! What a stream of an account's activity shows.

use crate::named::named_enum;
use crate::scope::Scope;

named_enum! {
    /// A kind of activity.
    pub enum StreamKind {
        /// Requests to the API, as the request log has them.
        Requests = "requests",
        /// Events of calls and their agents.
        Calls = "calls",
        /// Alerts that are raised.
        Alerts = "alerts",
        /// Attempts to deliver events to webhook endpoints.
        Deliveries = "deliveries",
    }
}

impl StreamKind {
    /// The scope that it needs.
    pub const fn read_scope(self) -> Scope {
        match self {
            StreamKind::Requests => Scope::AuditRead,
            StreamKind::Calls => Scope::CallsRead,
            StreamKind::Alerts => Scope::UsageRead,
            StreamKind::Deliveries => Scope::WebhooksRead,
        }
    }

    /// Whether a key that is limited to trunks may see it.
    pub const fn concerns_trunks(self) -> bool {
        match self {
            StreamKind::Calls | StreamKind::Deliveries => true,
            StreamKind::Requests | StreamKind::Alerts => false,
        }
    }
}
