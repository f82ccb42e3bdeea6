//! What a key allows, in sentences. The dashboard shows them before a key is created and afterwards.

use super::{Preset, PresetTerms};
use crate::address::NetworkList;
use crate::limit::RateLimit;
use crate::number::grouped;
use crate::scope::{Scope, ScopeSet};

/// What a write scope lets its holder do.
const fn action(scope: Scope) -> Option<&'static str> {
    match scope {
        Scope::TrunksWrite => Some("change trunks"),
        Scope::CallsWrite => Some("end calls"),
        Scope::WebhooksWrite => Some("change webhooks"),
        Scope::KeysWrite => Some("manage API keys"),
        Scope::AccountWrite => Some("change the account"),
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

/// What a read scope lets its holder see.
const fn area(scope: Scope) -> Option<&'static str> {
    match scope {
        Scope::TrunksRead => Some("trunks"),
        Scope::CallsRead => Some("calls"),
        Scope::AnalyticsRead => Some("analytics"),
        Scope::WebhooksRead => Some("webhooks"),
        Scope::KeysRead => Some("API keys"),
        Scope::UsageRead => Some("usage"),
        Scope::AuditRead => Some("the audit log"),
        Scope::AccountRead => Some("the account"),
        Scope::MetricsRead => Some("metrics"),
        Scope::TrunksWrite
        | Scope::CallsWrite
        | Scope::WebhooksWrite
        | Scope::KeysWrite
        | Scope::AccountWrite => None,
    }
}

/// The scopes as a phrase: `change trunks, end calls, and read trunks, calls and usage`.
pub fn describe_scopes(scopes: ScopeSet) -> String {
    let granted = || Scope::ALL.iter().copied().filter(|scope| scopes.allows(*scope));
    let actions: Vec<&str> = granted().filter_map(action).collect();
    let areas: Vec<&str> = granted().filter_map(area).collect();
    match (actions.as_slice(), areas.as_slice()) {
        ([], []) => "do nothing".to_owned(),
        (actions, []) => listed(actions),
        ([], areas) => format!("read {}", listed(areas)),
        (actions, areas) => format!("{}, and read {}", actions.join(", "), listed(areas)),
    }
}

/// A sentence about a key. `until` is its expiry in words.
pub fn describe_access(
    scopes: ScopeSet,
    rate_limit: RateLimit,
    allowed_ips: &NetworkList,
    until: Option<&str>,
) -> String {
    let from = match allowed_ips.iter().count() {
        0 => "any address".to_owned(),
        1 => allowed_ips.to_string(),
        more => format!("{more} networks"),
    };
    let until = until.map_or_else(|| "with no expiry".to_owned(), |date| format!("until {date}"));
    let limit = grouped(rate_limit.get().into());
    format!("Can {}, up to {limit} requests per minute, from {from}, {until}.", describe_scopes(scopes))
}

/// A sentence about a preset of an account. One that was edited is described by its scopes.
pub fn describe_preset(preset: Preset, terms: PresetTerms) -> String {
    match preset {
        Preset::Custom => "Only the scopes you select.".to_owned(),
        _ if terms.modified => {
            let phrase = describe_scopes(terms.scopes);
            let mut letters = phrase.chars();
            let first = letters.next().map(|first| first.to_ascii_uppercase());
            format!("{}.", first.into_iter().chain(letters).collect::<String>())
        }
        Preset::Production => "Read everything; write trunks, calls, and webhooks.".to_owned(),
        Preset::Development => "Trunks, calls, and webhooks. No keys or audit log.".to_owned(),
        Preset::Testing => "Read everything; change nothing.".to_owned(),
        Preset::Monitoring => "Read calls, analytics, trunks, and usage for dashboards.".to_owned(),
    }
}

/// `a`, `a and b`, `a, b and c`.
fn listed(words: &[&str]) -> String {
    match words {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_are_described_by_what_they_allow() {
        let described = |scopes: &[Scope]| describe_scopes(ScopeSet::of(scopes));
        assert_eq!(described(&[]), "do nothing");
        assert_eq!(described(&[Scope::CallsRead]), "read calls");
        // A write scope implies the one to read.
        assert_eq!(described(&[Scope::CallsWrite]), "end calls, and read calls");
        assert_eq!(
            described(&[Scope::TrunksWrite, Scope::CallsWrite, Scope::UsageRead, Scope::AuditRead]),
            "change trunks, end calls, and read trunks, calls, usage and the audit log"
        );
    }

    #[test]
    fn a_sentence_states_scopes_limit_networks_and_expiry() {
        let scopes = ScopeSet::of(&[Scope::CallsRead]);
        let limit = RateLimit::per_minute(1200).unwrap();
        let described = |networks: &str, until| {
            let list = if networks.is_empty() { NetworkList::default() } else { networks.parse().unwrap() };
            describe_access(scopes, limit, &list, until)
        };
        assert_eq!(
            described("", None),
            "Can read calls, up to 1,200 requests per minute, from any address, with no expiry."
        );
        assert_eq!(
            described("203.0.113.24/32,198.51.100.0/24", Some("27 Feb 2027")),
            "Can read calls, up to 1,200 requests per minute, from 2 networks, until 27 Feb 2027."
        );
    }

    #[test]
    fn an_edited_preset_is_described_by_its_scopes() {
        let terms = PresetTerms::built_in(Preset::Testing);
        assert_eq!(describe_preset(Preset::Testing, terms), "Read everything; change nothing.");
        let edited = PresetTerms { scopes: ScopeSet::of(&[Scope::UsageRead]), modified: true, ..terms };
        assert_eq!(describe_preset(Preset::Testing, edited), "Read usage.");
        assert_eq!(describe_preset(Preset::Custom, edited), "Only the scopes you select.");
    }
}
