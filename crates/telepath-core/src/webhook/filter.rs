//! Which events an endpoint wants: all, single ones, or families such as `call.*`.

use std::fmt;
use std::str::FromStr;

use crate::event::EventKind;
use crate::event::family::EventFamily;
use crate::scope::{Scope, ScopeSet};

/// One item of a subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventPattern {
    /// One kind of event.
    Kind(EventKind),
    /// Every kind of a family, those of later versions too.
    Family(EventFamily),
}

impl EventPattern {
    fn wants(self, kind: EventKind) -> bool {
        match self {
            Self::Kind(wanted) => wanted == kind,
            Self::Family(family) => family == kind.family(),
        }
    }

    const fn family(self) -> EventFamily {
        match self {
            Self::Kind(kind) => kind.family(),
            Self::Family(family) => family,
        }
    }
}

impl fmt::Display for EventPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kind(kind) => write!(f, "{kind}"),
            Self::Family(family) => write!(f, "{family}.*"),
        }
    }
}

impl FromStr for EventPattern {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text.strip_suffix(".*") {
            Some(family) => EventFamily::from_name(family).map(Self::Family).ok_or(()),
            None => EventKind::from_name(text).map(Self::Kind).ok_or(()),
        }
    }
}

/// Which kinds of events an endpoint wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EventFilter {
    /// Every kind, those of later versions too.
    All,
    /// These.
    Only(Vec<EventPattern>),
}

impl EventFilter {
    /// These kinds.
    pub fn of(kinds: &[EventKind]) -> Self {
        Self::Only(kinds.iter().copied().map(EventPattern::Kind).collect())
    }

    /// Whether events of this kind are wanted.
    pub fn wants(&self, kind: EventKind) -> bool {
        match self {
            Self::All => true,
            Self::Only(patterns) => patterns.iter().any(|pattern| pattern.wants(kind)),
        }
    }

    /// The names as the API shows them.
    pub fn names(&self) -> Vec<String> {
        match self {
            Self::All => vec!["*".to_owned()],
            Self::Only(patterns) => patterns.iter().map(ToString::to_string).collect(),
        }
    }

    /// Whether every event is about a trunk.
    pub fn concern_only_trunks(&self) -> bool {
        match self {
            Self::All => false,
            Self::Only(patterns) => patterns.iter().all(|pattern| pattern.family().concerns_trunks()),
        }
    }

    /// The first scope that is needed to receive these events and is not among `scopes`.
    pub fn missing_scope(&self, scopes: ScopeSet) -> Option<Scope> {
        let wanted = |family: &&EventFamily| match self {
            Self::All => true,
            Self::Only(patterns) => patterns.iter().any(|pattern| pattern.family() == **family),
        };
        EventFamily::ALL
            .iter()
            .filter(wanted)
            .map(|family| family.read_scope())
            .find(|scope| !scopes.allows(*scope))
    }
}

/// Comma-separated, the form of the database.
impl fmt::Display for EventFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.names().join(","))
    }
}

impl FromStr for EventFilter {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        if text == "*" {
            return Ok(Self::All);
        }
        text.split(',').map(str::parse).collect::<Result<_, _>>().map(Self::Only)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(text: &str) -> EventFilter {
        text.parse().unwrap()
    }

    #[test]
    fn a_pattern_matches_every_event_of_its_family() {
        let calls = filter("call.*,key.revoked");
        assert_eq!(calls.to_string(), "call.*,key.revoked");
        for kind in EventKind::ALL {
            let wanted = kind.name().starts_with("call.") || *kind == EventKind::KeyRevoked;
            assert_eq!(calls.wants(*kind), wanted, "{kind}");
        }
        for wrong in [
            "", "call.", "call*", ".*", "*.*", "*.ended", "calls.*", "call.**", "call.*.x", "Call.*",
            "call.*,",
        ] {
            assert!(wrong.parse::<EventFilter>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn only_events_of_calls_and_agents_concern_trunks() {
        for (text, concern) in [
            ("call.*,agent.connected", true),
            ("call.ended", true),
            ("call.*,key.revoked", false),
            ("*", false),
        ] {
            assert_eq!(filter(text).concern_only_trunks(), concern, "{text}");
        }
    }

    #[test]
    fn a_subscription_needs_the_read_scope_of_each_family() {
        let scopes = ScopeSet::of(&[Scope::WebhooksWrite, Scope::CallsRead]);
        for allowed in ["call.*", "call.ended,agent.connected", "webhook.*", "webhook.disabled"] {
            assert_eq!(filter(allowed).missing_scope(scopes), None, "{allowed}");
        }
        for refused in ["key.*", "key.revoked", "call.ended,key.alert", "*"] {
            assert_eq!(filter(refused).missing_scope(scopes), Some(Scope::KeysRead), "{refused}");
        }
        let none = ScopeSet::of(&[Scope::WebhooksWrite]);
        assert_eq!(filter("agent.connected").missing_scope(none), Some(Scope::CallsRead));
        assert_eq!(filter("*").missing_scope(none), Some(Scope::CallsRead));
        assert_eq!(filter("*").missing_scope(ScopeSet::all()), None);
    }
}
