use std::num::NonZeroU32;

use super::*;
use crate::id::{Id as _, TrunkId};
use crate::scope::Scope;

fn rights() -> Rights {
    Rights {
        scopes: ScopeSet::of(&[Scope::KeysWrite, Scope::CallsRead]),
        trunks: TrunkAccess::ALL,
        rate_limit: RateLimit::per_minute(600).unwrap(),
        quotas: Quotas::default(),
        allowed_ips: "203.0.113.0/24,2001:db8::/32".parse().unwrap(),
        expires_at: Some(Timestamp::from_unix_seconds(1_000)),
    }
}

fn beyond(change: impl FnOnce(&mut Rights)) -> Vec<String> {
    let mut asked = rights();
    change(&mut asked);
    let fields = |problems: Invalid| problems.into_details().into_iter().map(|d| d.field).collect();
    Authority::Key(rights()).check_can_grant(&asked).map_or_else(fields, |()| Vec::new())
}

#[test]
fn a_key_can_grant_its_own_rights_and_fewer() {
    assert!(beyond(|_| {}).is_empty());
    assert!(
        beyond(|asked| {
            asked.scopes = ScopeSet::of(&[Scope::KeysRead]);
            asked.rate_limit = RateLimit::per_minute(1).unwrap();
            asked.allowed_ips = "203.0.113.128/25,2001:db8:7::/48,203.0.113.9".parse().unwrap();
            asked.expires_at = Some(Timestamp::from_unix_seconds(999));
        })
        .is_empty()
    );
}

#[test]
fn errors_name_each_member_beyond_the_rights_of_the_key() {
    assert_eq!(beyond(|asked| asked.scopes.insert(Scope::CallsWrite)), ["scopes"]);
    assert_eq!(
        beyond(|asked| asked.rate_limit = RateLimit::per_minute(601).unwrap()),
        ["rate_limit_per_minute"]
    );
    for networks in ["", "203.0.112.0/23", "203.0.113.0/24,198.51.100.1", "2001:db9::1", "::/0"] {
        assert_eq!(
            beyond(|asked| asked.allowed_ips = networks.parse().unwrap()),
            ["allowed_ips"],
            "{networks}"
        );
    }
    assert_eq!(beyond(|asked| asked.expires_at = None), ["expires_at"]);
    assert_eq!(beyond(|asked| asked.expires_at = Some(Timestamp::from_unix_ms(1_000_001))), ["expires_at"]);
}

#[test]
fn a_key_that_is_limited_to_trunks_grants_only_some_of_them() {
    let trunks = |ids: &[u8]| TrunkAccess::of(ids.iter().map(|id| TrunkId::from_bytes([*id; 16])).collect());
    let own = Authority::Key(Rights { trunks: trunks(&[1, 2]), ..rights() });
    for (asked, allowed) in
        [(trunks(&[1]), true), (trunks(&[2, 1]), true), (trunks(&[1, 3]), false), (TrunkAccess::ALL, false)]
    {
        let granted = own.check_can_grant(&Rights { trunks: asked.clone(), ..rights() });
        assert_eq!(granted.is_ok(), allowed, "{asked}");
    }
}

#[test]
fn a_key_with_quotas_grants_no_higher_ones() {
    let quotas = |per_day, per_month| Quotas {
        per_day: NonZeroU32::new(per_day),
        per_month: NonZeroU32::new(per_month),
    };
    let own = Authority::Key(Rights { quotas: quotas(10, 0), ..rights() });
    for (asked, allowed) in
        [(quotas(10, 0), true), (quotas(9, 5), true), (quotas(11, 0), false), (quotas(0, 5), false)]
    {
        let granted = own.check_can_grant(&Rights { quotas: asked, ..rights() });
        assert_eq!(granted.is_ok(), allowed, "{asked:?}");
    }
}

#[test]
fn an_unrestricted_key_can_grant_unrestricted_rights() {
    let free = Rights { allowed_ips: NetworkList::default(), expires_at: None, ..rights() };
    assert!(Authority::Key(free.clone()).check_can_grant(&free).is_ok());
    assert!(Authority::Key(free).check_can_grant(&rights()).is_ok());
}

fn role(role: Role) -> Authority {
    let max_rate_limit = RateLimit::per_minute(6000).unwrap();
    Authority::Role(RoleAuthority { user: UserId::from_bytes([1; 16]), role, max_rate_limit })
}

fn refused(authority: &Authority, scopes: ScopeSet, requests: u32) -> Vec<String> {
    let rate_limit = RateLimit::per_minute(requests).unwrap();
    let rights = Rights {
        scopes,
        trunks: TrunkAccess::ALL,
        rate_limit,
        quotas: Quotas::default(),
        allowed_ips: NetworkList::default(),
        expires_at: None,
    };
    let texts = |problems: Invalid| {
        let texts = problems.into_details().into_iter();
        texts.map(|d| format!("{}: {}", d.field, d.message)).collect()
    };
    authority.check_can_grant(&rights).map_or_else(texts, |()| Vec::new())
}

#[test]
fn a_role_grants_its_scopes_up_to_the_limit_of_the_account() {
    for member in [Role::Admin, Role::Owner] {
        assert!(refused(&role(member), member.scopes(), 6000).is_empty());
    }
    assert!(!refused(&role(Role::Admin), ScopeSet::of(&[Scope::AccountWrite]), 1).is_empty());
    assert_eq!(
        refused(&role(Role::Developer), ScopeSet::of(&[Scope::AccountWrite]), 6001),
        [
            "scopes: goes beyond the rights of your role",
            "rate_limit_per_minute: must be at most 6000, the limit of a key of this account"
        ]
    );
}

#[test]
fn a_developer_cannot_grant_the_management_of_everybodys_keys() {
    let mut scopes = Role::Developer.scopes();
    assert!(!refused(&role(Role::Developer), scopes, 1).is_empty());
    scopes = scopes.without(Scope::KeysWrite);
    assert!(scopes.allows(Scope::KeysRead));
    assert!(refused(&role(Role::Developer), scopes, 1).is_empty());
}

#[test]
fn only_roles_that_manage_all_keys_edit_presets() {
    let scopes = ScopeSet::of(&[Scope::CallsRead]);
    assert_eq!(role(Role::Developer).check_can_edit_preset(scopes), Err(Escalation::Presets));
    assert_eq!(role(Role::Admin).check_can_edit_preset(scopes), Ok(()));
    let owners = ScopeSet::of(&[Scope::AccountWrite]);
    assert_eq!(role(Role::Admin).check_can_edit_preset(owners), Err(Escalation::PresetExceeds(Bound::Role)));
    assert_eq!(role(Role::Owner).check_can_edit_preset(owners), Ok(()));
}

#[test]
fn messages_name_the_role_or_the_key() {
    for (escalation, text) in [
        (Escalation::KeyExceeds(Bound::Key), "The key has more rights than the key that makes this request"),
        (Escalation::KeyExceeds(Bound::Role), "The key has more rights than your role"),
        (Escalation::NoAuthority(Bound::Role), "Your role does not manage keys"),
    ] {
        assert_eq!(escalation.to_string(), text);
    }
}
