//! What callers ask for when they make or change a key, and the rules that turn it into a checked request: the rights of
//! a preset, the bounds of the account, and that nobody hands out more than they have.

use serde::Deserialize;

use super::Preset;
use crate::account::Account;
use crate::address::NetworkList;
use crate::change::Change;
use crate::clock::Timestamp;
use crate::limit::RateLimit;
use crate::scope::{Scope, ScopeSet};
use crate::validation::{Invalid, bounded_text};

/// A request to make a key, as it came in.
#[derive(Debug, Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct KeyDraft {
    /// What people call it, 1–100 characters.
    pub name: Option<String>,
    /// `production`, `development`, `testing`, `monitoring` or `custom`.
    pub preset: Option<String>,
    /// Required for `custom`; otherwise it may narrow the preset.
    pub scopes: Option<Vec<String>>,
    /// Requests per minute, at most the account's; left out, the preset's.
    pub rate_limit_per_minute: Option<u32>,
    /// Networks in CIDR form from which the key may be used; empty or left out means from everywhere.
    pub allowed_ips: Option<Vec<String>>,
    /// When the key stops to work.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub expires_at: Option<String>,
    /// Before when it does not work yet.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub not_before: Option<String>,
}

/// A checked request to make a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewKey {
    /// 1–100 characters.
    pub name: String,
    /// The bundle it is made from.
    pub preset: Preset,
    /// What it may do; never empty.
    pub scopes: ScopeSet,
    /// How often.
    pub rate_limit: RateLimit,
    /// From where.
    pub allowed_ips: NetworkList,
    /// Not after this.
    pub expires_at: Option<Timestamp>,
    /// Not before this.
    pub not_before: Option<Timestamp>,
}

impl KeyDraft {
    /// Checks the draft against the account and against what the giver has (`None` for local administration).
    pub fn check(
        self,
        account: &Account,
        giver: Option<ScopeSet>,
        now: Timestamp,
    ) -> Result<NewKey, Invalid> {
        let mut problems = Invalid::default();
        let name = problems.require("name", self.name, |name| bounded_text(name, 1, 100, &[]));
        let preset = problems.require("preset", self.preset, |name| parse_preset(&name));
        let scopes = preset.and_then(|preset| check_scopes(preset, self.scopes, giver, &mut problems));
        let requests = self.rate_limit_per_minute.or(preset.map(Preset::requests_per_minute)).unwrap_or(1);
        let rate_limit = problems.keep("rate_limit_per_minute", check_limit(requests, account));
        let allowed_ips =
            NetworkList::check("allowed_ips", self.allowed_ips.unwrap_or_default(), &mut problems);
        let expires_at = problems.optional("expires_at", self.expires_at, |text| parse_future(&text, now));
        let not_before =
            problems.optional("not_before", self.not_before, |text| Timestamp::parse_rfc3339(&text));
        if let (Some(start), Some(end)) = (not_before, expires_at)
            && start >= end
        {
            problems.wrong("not_before", "must be before expires_at");
        }
        match (name, preset, scopes, rate_limit, allowed_ips) {
            (Some(name), Some(preset), Some(scopes), Some(rate_limit), Some(allowed_ips))
                if problems.is_empty() =>
            {
                Ok(NewKey { name, preset, scopes, rate_limit, allowed_ips, expires_at, not_before })
            }
            _ => Err(problems),
        }
    }
}

/// A request to change a key, as it came in; members left out stay as they are.
#[derive(Debug, Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct KeyPatchDraft {
    /// What people call it, 1–100 characters.
    pub name: Option<String>,
    /// What it may do from now on.
    pub scopes: Option<Vec<String>>,
    /// Requests per minute; what was used in the running window stays used.
    pub rate_limit_per_minute: Option<u32>,
    /// Networks in CIDR form; empty means from everywhere.
    pub allowed_ips: Option<Vec<String>>,
    /// When the key stops to work; null means never.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub expires_at: Change<String>,
}

/// A checked change of a key.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KeyPatch {
    /// The new name.
    pub name: Option<String>,
    /// The new rights.
    pub scopes: Option<ScopeSet>,
    /// The new limit.
    pub rate_limit: Option<RateLimit>,
    /// The new networks.
    pub allowed_ips: Option<NetworkList>,
    /// The new end.
    pub expires_at: Change<Timestamp>,
}

impl KeyPatchDraft {
    /// Checks the change. That the key being changed has no more rights than the giver is the store's to ask, because
    /// only it sees the key as it is at that moment.
    pub fn check(
        self,
        account: &Account,
        giver: Option<ScopeSet>,
        now: Timestamp,
    ) -> Result<KeyPatch, Invalid> {
        let mut problems = Invalid::default();
        let patch = KeyPatch {
            name: problems.optional("name", self.name, |name| bounded_text(name, 1, 100, &[])),
            scopes: self
                .scopes
                .and_then(|names| check_scopes(Preset::Custom, Some(names), giver, &mut problems)),
            rate_limit: problems
                .optional("rate_limit_per_minute", self.rate_limit_per_minute, |n| check_limit(n, account)),
            allowed_ips: self
                .allowed_ips
                .and_then(|networks| NetworkList::check("allowed_ips", networks, &mut problems)),
            expires_at: problems
                .keep("expires_at", self.expires_at.try_map(|text| parse_future(&text, now)))
                .unwrap_or_default(),
        };
        if problems.is_empty() { Ok(patch) } else { Err(problems) }
    }
}

fn parse_preset(name: &str) -> Result<Preset, &'static str> {
    Preset::from_name(name).ok_or("must be one of production, development, testing, monitoring, custom")
}

fn parse_future(text: &str, now: Timestamp) -> Result<Timestamp, String> {
    let moment = Timestamp::parse_rfc3339(text).map_err(|problem| problem.to_string())?;
    if moment > now { Ok(moment) } else { Err("must be in the future".to_owned()) }
}

fn check_limit(requests: u32, account: &Account) -> Result<RateLimit, String> {
    let most = account.max_rate_limit;
    RateLimit::per_minute(requests)
        .filter(|limit| *limit <= most)
        .ok_or_else(|| format!("must be 1 to {} requests per minute", most.get()))
}

fn check_scopes(
    preset: Preset,
    names: Option<Vec<String>>,
    giver: Option<ScopeSet>,
    problems: &mut Invalid,
) -> Option<ScopeSet> {
    let scopes: ScopeSet = match (names, preset) {
        (None, Preset::Custom) => {
            problems.missing("scopes");
            return None;
        }
        (None, Preset::Production | Preset::Development | Preset::Testing | Preset::Monitoring) => {
            preset.scopes()
        }
        (Some(names), _) => names
            .iter()
            .enumerate()
            .filter_map(|(place, name)| problems.keep(&format!("scopes[{place}]"), name.parse::<Scope>()))
            .collect(),
    };
    if scopes.is_empty() {
        problems.wrong("scopes", "must name at least one scope");
    } else if preset != Preset::Custom && !preset.scopes().covers(scopes) {
        problems.wrong("scopes", format!("goes beyond the preset {}; use the preset custom", preset.name()));
    } else if giver.is_some_and(|giver| !giver.covers(scopes)) {
        problems.wrong("scopes", "goes beyond the rights of the key that makes this request");
    } else {
        return Some(scopes);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{AccountId, Id as _};
    use crate::secret::KeyMode;

    fn account() -> Account {
        Account {
            id: AccountId::from_bytes([1; 16]),
            name: "Account".into(),
            mode: KeyMode::Live,
            max_rate_limit: RateLimit::per_minute(6000).unwrap(),
            created_at: Timestamp::default(),
        }
    }

    fn draft(json: &str) -> KeyDraft {
        serde_json::from_str(json).unwrap()
    }

    fn check(json: &str, giver: Option<ScopeSet>) -> Result<NewKey, Vec<String>> {
        draft(json).check(&account(), giver, Timestamp::from_unix_seconds(1_000)).map_err(|problems| {
            problems.into_details().into_iter().map(|d| format!("{}: {}", d.field, d.message)).collect()
        })
    }

    #[test]
    fn a_preset_brings_its_scopes_and_limit() {
        let key = check(r#"{"name":"Dashboards","preset":"monitoring"}"#, None).unwrap();
        assert_eq!(key.scopes, Preset::Monitoring.scopes());
        assert_eq!(key.rate_limit.get(), 1200);
    }

    #[test]
    fn all_problems_are_told_at_once() {
        let problems = check(
            r#"{"preset":"custom","scopes":["trunks:erase"],"rate_limit_per_minute":0,"allowed_ips":["x"],"expires_at":"1970-01-01T00:00:00Z"}"#,
            None,
        )
        .unwrap_err();
        for field in ["name:", "scopes[0]:", "rate_limit_per_minute:", "allowed_ips[0]:", "expires_at:"] {
            assert!(problems.iter().any(|problem| problem.starts_with(field)), "{field} in {problems:?}");
        }
    }

    #[test]
    fn nobody_gives_more_than_they_have() {
        let giver = Some(ScopeSet::of(&[Scope::KeysWrite, Scope::CallsRead]));
        assert!(
            check(r#"{"name":"n","preset":"custom","scopes":["calls:read","keys:read"]}"#, giver).is_ok()
        );
        assert!(check(r#"{"name":"n","preset":"custom","scopes":["calls:write"]}"#, giver).is_err());
        assert!(check(r#"{"name":"n","preset":"production"}"#, giver).is_err());
    }

    #[test]
    fn a_preset_may_be_narrowed_but_not_widened() {
        assert!(check(r#"{"name":"n","preset":"testing","scopes":["calls:read"]}"#, None).is_ok());
        assert!(check(r#"{"name":"n","preset":"testing","scopes":["calls:write"]}"#, None).is_err());
    }

    #[test]
    fn an_end_can_be_taken_away_and_left_alone() {
        let check = |json| {
            serde_json::from_str::<KeyPatchDraft>(json)
                .unwrap()
                .check(&account(), None, Timestamp::default())
                .unwrap()
        };
        assert_eq!(check("{}"), KeyPatch::default());
        assert_eq!(check(r#"{"expires_at":null}"#).expires_at, Change::Clear);
    }
}
