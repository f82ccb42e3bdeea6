//! Whether an endpoint receives events, and why not.

use crate::named::named_enum;

named_enum! {
    /// Whether events are sent.
    pub enum WebhookStatus {
        /// Events are sent as they happen.
        Active = "active",
        /// Events are kept as held deliveries and not sent.
        Disabled = "disabled",
    }
}

named_enum! {
    /// Why an endpoint is disabled.
    pub enum DisabledReason {
        /// A request disabled it.
        Requested = "requested",
        /// It answered 410.
        Gone = "gone",
        /// Every attempt failed for days.
        Failing = "failing",
    }
}
