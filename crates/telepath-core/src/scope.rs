//! The rights of keys. A [`Scope`] is one right on one kind of resource; a [`ScopeSet`] is a bit set that is cheap to copy.

use std::fmt;
use std::str::FromStr;

use crate::named::named_enum;

macro_rules! scopes {
    ($($variant:ident = $name:literal, $doc:literal;)+) => {
        named_enum! {
            /// One right, such as `trunks:read`. The order is that of lists in the API. A scope's position is its bit in
            /// a [`ScopeSet`]; bits are never stored.
            #[derive(PartialOrd, Ord)]
            pub enum Scope {
                $(#[doc = $doc] $variant = $name,)+
            }
        }

        impl Scope {
            /// One line for people.
            pub const fn describe(self) -> &'static str {
                match self { $(Scope::$variant => $doc,)+ }
            }
        }
    };
}

scopes! {
    TrunksRead = "trunks:read", "See trunks.";
    TrunksWrite = "trunks:write", "Create, change and delete trunks.";
    CallsRead = "calls:read", "See calls and their traces.";
    CallsWrite = "calls:write", "Hang up live calls.";
    AnalyticsRead = "analytics:read", "See aggregated call figures.";
    WebhooksRead = "webhooks:read", "See webhook endpoints and deliveries.";
    WebhooksWrite = "webhooks:write", "Create, change and delete webhook endpoints.";
    KeysRead = "keys:read", "See API keys, never their secrets.";
    KeysWrite = "keys:write", "Create, change and revoke API keys with no more rights than one's own.";
    UsageRead = "usage:read", "See what each key was used for.";
    AuditRead = "audit:read", "See the audit trail and the request log.";
    AccountRead = "account:read", "See the account and its policies for keys.";
    AccountWrite = "account:write", "Change the account's name and its policies for keys.";
    MetricsRead = "metrics:read", "Read the metrics of the server; only keys of its first account can use it.";
}

impl Scope {
    /// The read scope that a write scope brings with it.
    const fn implied(self) -> Option<Scope> {
        match self {
            Scope::TrunksWrite => Some(Scope::TrunksRead),
            Scope::CallsWrite => Some(Scope::CallsRead),
            Scope::WebhooksWrite => Some(Scope::WebhooksRead),
            Scope::KeysWrite => Some(Scope::KeysRead),
            Scope::AccountWrite => Some(Scope::AccountRead),
            Scope::TrunksRead
            | Scope::CallsRead
            | Scope::AnalyticsRead
            | Scope::WebhooksRead
            | Scope::KeysRead
            | Scope::UsageRead
            | Scope::AuditRead
            | Scope::AccountRead
            | Scope::MetricsRead => None,
        }
    }
}

/// No scope has this name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no such scope")]
pub struct UnknownScope;

impl FromStr for Scope {
    type Err = UnknownScope;

    fn from_str(text: &str) -> Result<Self, UnknownScope> {
        Self::from_name(text).ok_or(UnknownScope)
    }
}

/// A set of scopes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct ScopeSet(u16);

impl ScopeSet {
    /// No right at all.
    pub const EMPTY: Self = Self(0);

    /// Every scope there is.
    pub const fn all() -> Self {
        Self((1 << Scope::ALL.len()) - 1)
    }

    /// These scopes.
    pub const fn of(scopes: &[Scope]) -> Self {
        let mut bits = 0;
        let mut at = 0;
        while at < scopes.len() {
            bits |= 1 << scopes[at] as u16;
            at += 1;
        }
        Self(bits)
    }

    /// Adds a scope.
    pub fn insert(&mut self, scope: Scope) {
        self.0 |= 1 << scope as u16;
    }

    /// These scopes except one.
    #[must_use]
    pub const fn without(self, scope: Scope) -> Self {
        Self(self.0 & !(1 << scope as u16))
    }

    /// Whether the scope was granted by name.
    pub const fn contains(self, scope: Scope) -> bool {
        self.0 & 1 << scope as u16 != 0
    }

    /// Whether the scope is granted, by name or because a write scope implies it.
    pub fn allows(self, scope: Scope) -> bool {
        self.closure().contains(scope)
    }

    /// Whether nothing in `other` goes beyond this set; the rule against escalation.
    pub fn covers(self, other: Self) -> bool {
        other.closure().0 & !self.closure().0 == 0
    }

    /// Whether the set is empty.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The scopes granted by name, in the order of [`Scope::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Scope> {
        Scope::ALL.iter().copied().filter(move |scope| self.contains(*scope))
    }

    fn closure(self) -> Self {
        let mut closed = self;
        for scope in self.iter().filter_map(Scope::implied) {
            closed.insert(scope);
        }
        closed
    }
}

impl FromIterator<Scope> for ScopeSet {
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> Self {
        let mut set = Self::EMPTY;
        for scope in scopes {
            set.insert(scope);
        }
        set
    }
}

/// Space-separated names, the form that RFC 6749 section 3.3 gives to a list of scopes.
impl fmt::Display for ScopeSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, scope) in self.iter().enumerate() {
            if place > 0 {
                f.write_str(" ")?;
            }
            f.write_str(scope.name())?;
        }
        Ok(())
    }
}

impl fmt::Debug for ScopeSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter().map(Scope::name)).finish()
    }
}

impl FromStr for ScopeSet {
    type Err = UnknownScope;

    fn from_str(text: &str) -> Result<Self, UnknownScope> {
        text.split_ascii_whitespace().map(Scope::from_str).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn write_implies_read_of_the_same_resource_only() {
        let writer: ScopeSet = "trunks:write".parse().unwrap();
        assert!(writer.allows(Scope::TrunksRead) && writer.allows(Scope::TrunksWrite));
        assert!(!writer.contains(Scope::TrunksRead));
        assert!(!writer.allows(Scope::CallsRead));
    }

    #[test]
    fn a_set_covers_only_what_it_could_do_itself() {
        let writer = ScopeSet::of(&[Scope::TrunksWrite, Scope::KeysWrite]);
        assert!(writer.covers(ScopeSet::of(&[Scope::TrunksRead, Scope::KeysRead])));
        assert!(!ScopeSet::of(&[Scope::TrunksRead]).covers(ScopeSet::of(&[Scope::TrunksWrite])));
        assert!(ScopeSet::all().covers(ScopeSet::all()));
        let others = Scope::ALL.iter().copied().filter(|scope| *scope != Scope::KeysWrite);
        assert!(!others.collect::<ScopeSet>().covers(ScopeSet::all()));
    }

    #[test]
    fn names_round_trip() {
        assert_eq!(ScopeSet::all().to_string().parse::<ScopeSet>().unwrap(), ScopeSet::all());
        assert_eq!("trunks:erase".parse::<ScopeSet>(), Err(UnknownScope));
    }
}
