//! Presets: named sets of scopes with a rate limit. Each account may edit all but `custom`; the others are built in.

use super::draft::{check_limit, parse_scopes};
use crate::account::Account;
use crate::limit::RateLimit;
use crate::named::named_enum;
use crate::scope::{Scope, ScopeSet};
use crate::validation::Invalid;

named_enum! {
    /// A named bundle of scopes and a limit.
    pub enum Preset {
        /// Everything the product does, without managing keys or the account.
        Production = "production",
        /// Building and trying out.
        Development = "development",
        /// Reading everything.
        Testing = "testing",
        /// Reading what dashboards show.
        Monitoring = "monitoring",
        /// Chosen one by one.
        Custom = "custom",
    }
}

impl Preset {
    /// The built-in scopes; none for `custom`, where they are chosen. Each preset is an explicit list, so that a new scope
    /// never becomes part of one by itself.
    pub const fn scopes(self) -> ScopeSet {
        match self {
            Preset::Production => ScopeSet::of(&[
                Scope::TrunksRead,
                Scope::TrunksWrite,
                Scope::CallsRead,
                Scope::CallsWrite,
                Scope::WebhooksRead,
                Scope::WebhooksWrite,
                Scope::AnalyticsRead,
                Scope::KeysRead,
                Scope::UsageRead,
                Scope::AuditRead,
            ]),
            Preset::Development => ScopeSet::of(&[
                Scope::TrunksRead,
                Scope::TrunksWrite,
                Scope::CallsRead,
                Scope::CallsWrite,
                Scope::WebhooksRead,
                Scope::WebhooksWrite,
                Scope::AnalyticsRead,
            ]),
            Preset::Testing => ScopeSet::of(&[
                Scope::TrunksRead,
                Scope::CallsRead,
                Scope::AnalyticsRead,
                Scope::WebhooksRead,
                Scope::KeysRead,
                Scope::UsageRead,
                Scope::AuditRead,
            ]),
            Preset::Monitoring => {
                ScopeSet::of(&[Scope::CallsRead, Scope::AnalyticsRead, Scope::TrunksRead, Scope::UsageRead])
            }
            Preset::Custom => ScopeSet::EMPTY,
        }
    }

    /// The built-in default limit, in requests per minute.
    pub const fn requests_per_minute(self) -> u32 {
        match self {
            Preset::Production => 6000,
            Preset::Development | Preset::Testing | Preset::Custom => 600,
            Preset::Monitoring => 1200,
        }
    }
}

/// The definition of a preset in an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PresetTerms {
    /// The scopes; none for `custom`.
    pub scopes: ScopeSet,
    /// The limit when none is chosen.
    pub rate_limit: RateLimit,
    /// Whether the account has edited it.
    pub modified: bool,
}

impl PresetTerms {
    /// As it is built in.
    pub const fn built_in(preset: Preset) -> Self {
        // No preset has a limit of zero, so the first arm is always the one.
        let rate_limit = match RateLimit::per_minute(preset.requests_per_minute()) {
            Some(limit) => limit,
            None => RateLimit::ONE,
        };
        Self { scopes: preset.scopes(), rate_limit, modified: false }
    }
}

/// The presets of an account.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Presets(Vec<(Preset, PresetTerms)>);

impl Presets {
    /// With these edited; a later one of the same preset counts for nothing.
    pub fn edited(edited: Vec<(Preset, PresetTerms)>) -> Self {
        Self(edited)
    }

    /// The definition of a preset.
    pub fn get(&self, preset: Preset) -> PresetTerms {
        let edited = self.0.iter().find(|(name, _)| *name == preset).map(|(_, terms)| *terms);
        edited.unwrap_or_else(|| PresetTerms::built_in(preset))
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (Preset, PresetTerms)> {
        Preset::ALL.iter().map(|preset| (*preset, self.get(*preset)))
    }
}

/// A request to edit a preset. Members that are left out keep their value.
#[derive(Debug, Default)]
#[cfg_attr(test, derive(serde::Deserialize), serde(default, deny_unknown_fields))]
pub struct PresetPatchDraft {
    /// What new keys of this preset may do.
    pub scopes: Option<Vec<String>>,
    /// Requests per minute of new keys that choose no limit, at most the account's.
    pub rate_limit_per_minute: Option<u32>,
}

/// A checked edit of a preset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PresetPatch {
    /// The new scopes.
    pub scopes: Option<ScopeSet>,
    /// The new limit.
    pub rate_limit: Option<RateLimit>,
}

impl PresetPatchDraft {
    /// Checks the edit of a preset. What the preset is at that moment, and what the caller may give, is the store's to ask.
    pub fn check(self, preset: Preset, account: &Account) -> Result<PresetPatch, Invalid> {
        let mut problems = Invalid::default();
        if preset == Preset::Custom {
            problems.wrong("name", "is custom, a preset that cannot be edited");
        }
        let patch = PresetPatch {
            scopes: self.scopes.and_then(|names| parse_scopes(&names, &mut problems)),
            rate_limit: problems
                .optional("rate_limit_per_minute", self.rate_limit_per_minute, |n| check_limit(n, account)),
        };
        if problems.is_empty() { Ok(patch) } else { Err(problems) }
    }
}

impl PresetPatch {
    /// The definition after the edit.
    #[must_use]
    pub fn apply(self, terms: PresetTerms) -> PresetTerms {
        PresetTerms {
            scopes: self.scopes.unwrap_or(terms.scopes),
            rate_limit: self.rate_limit.unwrap_or(terms.rate_limit),
            modified: true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::sample as account;

    #[test]
    fn unedited_presets_keep_their_built_in_definition() {
        let terms = PresetTerms {
            scopes: ScopeSet::of(&[Scope::CallsRead]),
            rate_limit: RateLimit::per_minute(7).unwrap(),
            modified: true,
        };
        let presets = Presets::edited(vec![(Preset::Testing, terms)]);
        assert_eq!(presets.get(Preset::Testing), terms);
        assert_eq!(presets.get(Preset::Production), PresetTerms::built_in(Preset::Production));
        assert_eq!(presets.iter().count(), Preset::ALL.len());
        for preset in Preset::ALL {
            let built_in = PresetTerms::built_in(*preset);
            assert_eq!(built_in.rate_limit.get(), preset.requests_per_minute());
            assert_eq!((built_in.scopes, built_in.modified), (preset.scopes(), false));
        }
    }

    #[test]
    fn built_in_scopes_of_presets_are_pinned() {
        let expected = [
            (
                Preset::Production,
                "trunks:read trunks:write calls:read calls:write analytics:read webhooks:read webhooks:write \
                 keys:read usage:read audit:read",
            ),
            (
                Preset::Development,
                "trunks:read trunks:write calls:read calls:write analytics:read webhooks:read webhooks:write",
            ),
            (
                Preset::Testing,
                "trunks:read calls:read analytics:read webhooks:read keys:read usage:read audit:read",
            ),
            (Preset::Monitoring, "trunks:read calls:read analytics:read usage:read"),
            (Preset::Custom, ""),
        ];
        for (preset, scopes) in expected {
            assert_eq!(preset.scopes().to_string(), scopes, "{}", preset.name());
        }
        assert_eq!(expected.len(), Preset::ALL.len());
    }

    #[test]
    fn no_preset_manages_keys_or_the_account_or_reads_metrics() {
        for preset in Preset::ALL {
            for scope in [Scope::KeysWrite, Scope::AccountRead, Scope::AccountWrite, Scope::MetricsRead] {
                assert!(!preset.scopes().allows(scope), "{}: {scope}", preset.name());
            }
        }
    }

    #[test]
    fn an_edit_is_validated_and_changes_only_the_given_members() {
        let check = |text: &str, preset| {
            serde_json::from_str::<PresetPatchDraft>(text).unwrap().check(preset, &account())
        };
        let patch = check(r#"{"scopes":["calls:read"]}"#, Preset::Production).unwrap();
        let edited = patch.apply(PresetTerms::built_in(Preset::Production));
        assert_eq!(edited.scopes, ScopeSet::of(&[Scope::CallsRead]));
        assert_eq!((edited.rate_limit.get(), edited.modified), (6000, true));
        for bad in [r#"{"scopes":[]}"#, r#"{"scopes":["x:y"]}"#, r#"{"rate_limit_per_minute":6001}"#] {
            assert!(check(bad, Preset::Production).is_err(), "{bad}");
        }
        assert!(check("{}", Preset::Custom).is_err());
    }
}
