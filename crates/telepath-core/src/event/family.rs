//! Families of events: the part of an event's name before the dot. A subscription can name a family, and needs its read
//! scope.

use super::EventKind;
use crate::named::named_enum;
use crate::scope::Scope;

named_enum! {
    /// The part of an event's name before the dot.
    pub enum EventFamily {
        /// Calls.
        Call = "call",
        /// The sockets to agents in calls.
        Agent = "agent",
        /// API keys.
        Key = "key",
        /// Webhook endpoints.
        Webhook = "webhook",
    }
}

impl EventFamily {
    /// Whether each of its events is about a trunk.
    pub const fn concerns_trunks(self) -> bool {
        match self {
            EventFamily::Call | EventFamily::Agent => true,
            EventFamily::Key | EventFamily::Webhook => false,
        }
    }

    /// The scope that reads what the events are about.
    pub const fn read_scope(self) -> Scope {
        match self {
            EventFamily::Call | EventFamily::Agent => Scope::CallsRead,
            EventFamily::Key => Scope::KeysRead,
            EventFamily::Webhook => Scope::WebhooksRead,
        }
    }
}

impl EventKind {
    /// The family of the event.
    pub const fn family(self) -> EventFamily {
        match self {
            EventKind::CallStarted | EventKind::CallError | EventKind::CallEnded => EventFamily::Call,
            EventKind::AgentConnected | EventKind::AgentDisconnected => EventFamily::Agent,
            EventKind::KeyCreated
            | EventKind::KeyRotated
            | EventKind::KeyPaused
            | EventKind::KeyResumed
            | EventKind::KeyRevoked
            | EventKind::KeyAlert => EventFamily::Key,
            EventKind::WebhookDisabled | EventKind::WebhookTest => EventFamily::Webhook,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_family_is_the_part_of_the_name_before_the_dot() {
        for kind in EventKind::ALL {
            let (family, _) = kind.name().split_once('.').unwrap();
            assert_eq!(kind.family().name(), family, "{kind}");
        }
    }
}
