//! Requests to create or change a key, and the checks that validate them against the preset, the limits of the account
//! and the authority of the caller.

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use super::{Authority, Preset, Presets, Rights};
use crate::account::Account;
use crate::address::NetworkList;
use crate::clock::Timestamp;
use crate::limit::RateLimit;
use crate::limit::quota::{Quotas, QuotasDraft, checked_quota};
use crate::patch::Patch;
use crate::reach::{TrunkAccess, checked_trunk_ids};
use crate::scope::{Scope, ScopeSet};
use crate::validation::{Invalid, checked_description, checked_metadata, checked_name};

/// A request to create a key, not yet checked.
#[derive(Debug, Default)]
#[cfg_attr(test, derive(serde::Deserialize), serde(default, deny_unknown_fields))]
pub struct KeyDraft {
    /// The name, 1–100 characters.
    pub name: Option<String>,
    /// What the key is for, 1–500 characters.
    pub description: Option<String>,
    /// The owner's own pairs, at most 16.
    pub metadata: Option<BTreeMap<String, String>>,
    /// `production`, `development`, `testing`, `monitoring` or `custom`.
    pub preset: Option<String>,
    /// Required for `custom`; otherwise it may narrow the preset.
    pub scopes: Option<Vec<String>>,
    /// The trunks that the key reaches; empty means all. Left out, those of the caller.
    pub trunk_ids: Option<Vec<String>>,
    /// Requests per minute, at most the account's and the caller's; left out, the preset's or, if that is lower, the caller's.
    pub rate_limit_per_minute: Option<u32>,
    /// Requests per calendar day and month; left out, those of the caller.
    pub quotas: Option<QuotasDraft>,
    /// Networks in CIDR form from which the key may be used; empty or left out means from everywhere.
    pub allowed_ips: Option<Vec<String>>,
    /// When the key stops working.
    pub expires_at: Option<String>,
    /// Before when it does not work yet.
    pub not_before: Option<String>,
}

/// A checked request to create a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewKey {
    /// 1–100 characters.
    pub name: String,
    pub description: Option<String>,
    /// The owner's own pairs.
    pub metadata: BTreeMap<String, String>,
    /// The preset it is created from.
    pub preset: Preset,
    /// The operations that it allows; never empty.
    pub scopes: ScopeSet,
    /// The trunks that it reaches.
    pub trunks: TrunkAccess,
    /// Requests per minute.
    pub rate_limit: RateLimit,
    /// Requests per calendar day and month.
    pub quotas: Quotas,
    /// The networks that it is allowed from; empty is any address.
    pub allowed_ips: NetworkList,
    /// Not after this.
    pub expires_at: Option<Timestamp>,
    /// Not before this.
    pub not_before: Option<Timestamp>,
}

impl KeyDraft {
    /// Checks the draft against the account, its presets and the authority of the caller.
    pub fn check(
        self,
        account: &Account,
        presets: &Presets,
        authority: &Authority,
        now: Timestamp,
    ) -> Result<NewKey, Invalid> {
        let mut problems = Invalid::default();
        let name = problems.require("name", self.name, checked_name);
        let description = problems.optional("description", self.description, checked_description);
        let metadata = checked_metadata(self.metadata.unwrap_or_default(), &mut problems);
        let preset = problems.require("preset", self.preset, |name| parse_preset(&name));
        let scopes = preset.and_then(|preset| check_scopes(preset, presets, self.scopes, &mut problems));
        let trunks = match self.trunk_ids {
            Some(ids) => TrunkAccess::of(checked_trunk_ids(&ids, &mut problems)),
            None => authority.trunks(),
        };
        let rate_limit = match self.rate_limit_per_minute {
            Some(requests) => problems.keep("rate_limit_per_minute", check_limit(requests, account)),
            None => preset.map(|preset| usual_limit(preset, presets, account, authority)),
        };
        let quotas = self.quotas.map_or_else(|| authority.quotas(), |draft| draft.check(&mut problems));
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
                let new = NewKey {
                    name,
                    description,
                    metadata,
                    preset,
                    scopes,
                    trunks,
                    rate_limit,
                    quotas,
                    allowed_ips,
                    expires_at,
                    not_before,
                };
                authority.check_can_grant(&Rights::from(&new)).map(|()| new)
            }
            _ => Err(problems),
        }
    }
}

/// A request to change a key. Members that are left out keep their value.
#[derive(Debug, Default)]
#[cfg_attr(test, derive(serde::Deserialize), serde(default, deny_unknown_fields))]
pub struct KeyPatchDraft {
    /// The name, 1–100 characters.
    pub name: Option<String>,
    /// What the key is for; null removes it.
    pub description: Patch<String>,
    /// The owner's own pairs, which replace the current ones.
    pub metadata: Option<BTreeMap<String, String>>,
    /// The scopes from now on.
    pub scopes: Option<Vec<String>>,
    /// The trunks that the key reaches from now on; empty means all.
    pub trunk_ids: Option<Vec<String>>,
    /// Requests per minute. Requests already counted in the current window stay counted.
    pub rate_limit_per_minute: Option<u32>,
    /// Requests per calendar day and month; null removes both quotas.
    pub quotas: Patch<QuotasPatchDraft>,
    /// Networks in CIDR form; empty means from everywhere.
    pub allowed_ips: Option<Vec<String>>,
    /// When the key stops working; null means never.
    pub expires_at: Patch<String>,
    /// Before when it does not work yet; null means that there is no such time.
    pub not_before: Patch<String>,
}

/// A request to change quotas. Members that are left out keep their value; null removes a quota.
#[derive(Debug, Default)]
#[cfg_attr(test, derive(serde::Deserialize), serde(default, deny_unknown_fields))]
pub struct QuotasPatchDraft {
    pub per_day: Patch<u32>,
    pub per_month: Patch<u32>,
}

/// A checked change of quotas.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct QuotasPatch {
    pub per_day: Patch<NonZeroU32>,
    pub per_month: Patch<NonZeroU32>,
}

impl QuotasPatch {
    fn check(draft: Patch<QuotasPatchDraft>, problems: &mut Invalid) -> Self {
        let draft = match draft {
            Patch::Keep => return Self::default(),
            Patch::Clear => return Self { per_day: Patch::Clear, per_month: Patch::Clear },
            Patch::Set(draft) => draft,
        };
        let mut checked = |field: &str, requests: Patch<u32>| {
            problems.keep(field, requests.try_map(checked_quota)).unwrap_or_default()
        };
        Self {
            per_day: checked("quotas.per_day", draft.per_day),
            per_month: checked("quotas.per_month", draft.per_month),
        }
    }

    /// The quotas after the change.
    pub fn apply(self, quotas: Quotas) -> Quotas {
        Quotas {
            per_day: self.per_day.apply(quotas.per_day),
            per_month: self.per_month.apply(quotas.per_month),
        }
    }
}

/// A checked change of a key.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KeyPatch {
    /// The new name.
    pub name: Option<String>,
    /// The new description.
    pub description: Patch<String>,
    /// The new pairs.
    pub metadata: Option<BTreeMap<String, String>>,
    /// The new rights.
    pub scopes: Option<ScopeSet>,
    /// The new trunks.
    pub trunks: Option<TrunkAccess>,
    /// The new limit.
    pub rate_limit: Option<RateLimit>,
    /// The new quotas.
    pub quotas: QuotasPatch,
    /// The new networks.
    pub allowed_ips: Option<NetworkList>,
    /// The new end.
    pub expires_at: Patch<Timestamp>,
    /// The new beginning.
    pub not_before: Patch<Timestamp>,
}

impl KeyPatchDraft {
    /// Checks the change. That neither the key as it is nor the key as it would be has more rights than the caller is the
    /// store's to ask, because only it sees both at that moment.
    pub fn check(self, account: &Account, now: Timestamp) -> Result<KeyPatch, Invalid> {
        let mut problems = Invalid::default();
        let patch = KeyPatch {
            name: problems.optional("name", self.name, checked_name),
            description: problems
                .keep("description", self.description.try_map(checked_description))
                .unwrap_or_default(),
            metadata: self.metadata.map(|pairs| checked_metadata(pairs, &mut problems)),
            scopes: self.scopes.and_then(|names| parse_scopes(&names, &mut problems)),
            trunks: self.trunk_ids.map(|ids| TrunkAccess::of(checked_trunk_ids(&ids, &mut problems))),
            rate_limit: problems
                .optional("rate_limit_per_minute", self.rate_limit_per_minute, |n| check_limit(n, account)),
            quotas: QuotasPatch::check(self.quotas, &mut problems),
            allowed_ips: self
                .allowed_ips
                .and_then(|networks| NetworkList::check("allowed_ips", networks, &mut problems)),
            expires_at: problems
                .keep("expires_at", self.expires_at.try_map(|text| parse_future(&text, now)))
                .unwrap_or_default(),
            not_before: problems
                .keep("not_before", self.not_before.try_map(|text| Timestamp::parse_rfc3339(&text)))
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

pub(super) fn check_limit(requests: u32, account: &Account) -> Result<RateLimit, String> {
    let most = account.max_rate_limit;
    RateLimit::per_minute(requests)
        .filter(|limit| *limit <= most)
        .ok_or_else(|| format!("must be 1 to {} requests per minute, the maximum of the account", most.get()))
}

/// The limit of a key whose request names none: the highest that preset, account and caller all allow, so that a caller
/// need not know the own bounds.
fn usual_limit(preset: Preset, presets: &Presets, account: &Account, authority: &Authority) -> RateLimit {
    let usual = presets.get(preset).rate_limit.min(account.max_rate_limit);
    authority.max_rate_limit().map_or(usual, |most| usual.min(most))
}

fn check_scopes(
    preset: Preset,
    presets: &Presets,
    names: Option<Vec<String>>,
    problems: &mut Invalid,
) -> Option<ScopeSet> {
    let of_preset = presets.get(preset).scopes;
    let Some(names) = names else {
        if preset == Preset::Custom {
            problems.missing("scopes");
            return None;
        }
        return Some(of_preset);
    };
    let scopes = parse_scopes(&names, problems)?;
    if preset != Preset::Custom && !of_preset.covers(scopes) {
        problems.wrong("scopes", format!("goes beyond the preset {}; use the preset custom", preset.name()));
        return None;
    }
    Some(scopes)
}

pub(super) fn parse_scopes(names: &[String], problems: &mut Invalid) -> Option<ScopeSet> {
    let mut scopes = ScopeSet::EMPTY;
    let mut understood = true;
    for (place, name) in names.iter().enumerate() {
        match problems.keep(&format!("scopes[{place}]"), name.parse::<Scope>()) {
            Some(scope) => scopes.insert(scope),
            None => understood = false,
        }
    }
    if scopes.is_empty() {
        problems.wrong("scopes", "must name at least one scope");
        understood = false;
    }
    understood.then_some(scopes)
}

#[cfg(test)]
mod tests;
