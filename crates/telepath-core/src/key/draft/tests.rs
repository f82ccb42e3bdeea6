use super::*;
use crate::account::sample as account;

fn draft(json: &str) -> KeyDraft {
    serde_json::from_str(json).unwrap()
}

fn check(json: &str, authority: &Authority) -> Result<NewKey, Vec<String>> {
    let now = Timestamp::from_unix_seconds(1_000);
    draft(json).check(&account(), &Presets::default(), authority, now).map_err(|problems| {
        problems.into_details().into_iter().map(|d| format!("{}: {}", d.field, d.message)).collect()
    })
}

const LOCAL: &Authority = &Authority::Unbounded;

fn of_key(requests: u32, expires_at: Option<Timestamp>) -> Authority {
    Authority::Key(Rights {
        scopes: ScopeSet::of(&[Scope::KeysWrite, Scope::CallsRead]),
        trunks: TrunkAccess::ALL,
        rate_limit: RateLimit::per_minute(requests).unwrap(),
        quotas: Quotas::default(),
        allowed_ips: NetworkList::default(),
        expires_at,
    })
}

#[test]
fn a_preset_sets_scopes_and_limit() {
    let key = check(r#"{"name":"Dashboards","preset":"monitoring"}"#, LOCAL).unwrap();
    assert_eq!(key.scopes, Preset::Monitoring.scopes());
    assert_eq!(key.rate_limit.get(), 1200);
}

#[test]
fn all_invalid_members_are_reported_together() {
    let problems = check(
        r#"{"preset":"custom","scopes":["trunks:erase"],"rate_limit_per_minute":0,"allowed_ips":["x"],"expires_at":"1970-01-01T00:00:00Z"}"#,
        LOCAL,
    )
    .unwrap_err();
    for field in ["name:", "scopes[0]:", "rate_limit_per_minute:", "allowed_ips[0]:", "expires_at:"] {
        assert!(problems.iter().any(|problem| problem.starts_with(field)), "{field} in {problems:?}");
    }
}

#[test]
fn grants_beyond_the_rights_of_the_calling_key_are_rejected() {
    let by = |json| check(json, &of_key(600, None));
    assert!(by(r#"{"name":"n","preset":"custom","scopes":["calls:read","keys:read"]}"#).is_ok());
    assert!(by(r#"{"name":"n","preset":"custom","scopes":["calls:write"]}"#).is_err());
    assert!(by(r#"{"name":"n","preset":"production"}"#).is_err());
    let until = Some(Timestamp::from_unix_seconds(5_000));
    let problems = check(
        r#"{"name":"n","preset":"custom","scopes":["calls:read"],"rate_limit_per_minute":601}"#,
        &of_key(600, until),
    )
    .unwrap_err();
    assert!(problems[0].starts_with("rate_limit_per_minute: must be at most 600"), "{problems:?}");
    assert!(problems[1].starts_with("expires_at: must not be after 1970-01-01T01:23:20"), "{problems:?}");
}

#[test]
fn the_default_limit_is_the_lowest_of_preset_account_and_caller() {
    let json = r#"{"name":"n","preset":"custom","scopes":["calls:read"]}"#;
    assert_eq!(check(json, LOCAL).unwrap().rate_limit.get(), 600);
    assert_eq!(check(json, &of_key(50, None)).unwrap().rate_limit.get(), 50);
}

#[test]
fn new_keys_use_the_edited_preset() {
    let terms = crate::key::PresetTerms {
        scopes: ScopeSet::of(&[Scope::CallsRead]),
        rate_limit: RateLimit::per_minute(9).unwrap(),
        modified: true,
    };
    let presets = Presets::edited(vec![(Preset::Testing, terms)]);
    let check = |json: &str| draft(json).check(&account(), &presets, LOCAL, Timestamp::default());
    let key = check(r#"{"name":"n","preset":"testing"}"#).unwrap();
    assert_eq!((key.scopes, key.rate_limit), (terms.scopes, terms.rate_limit));
    assert!(check(r#"{"name":"n","preset":"testing","scopes":["trunks:read"]}"#).is_err());
}

#[test]
fn a_preset_may_be_narrowed_but_not_widened() {
    assert!(check(r#"{"name":"n","preset":"testing","scopes":["calls:read"]}"#, LOCAL).is_ok());
    assert!(check(r#"{"name":"n","preset":"testing","scopes":["calls:write"]}"#, LOCAL).is_err());
}

#[test]
fn each_quota_can_be_set_removed_or_kept() {
    let old = Quotas { per_day: NonZeroU32::new(5), per_month: NonZeroU32::new(50) };
    let apply = |json| {
        let patch = serde_json::from_str::<KeyPatchDraft>(json).unwrap();
        let patch = patch.check(&account(), Timestamp::default()).unwrap();
        let new = patch.quotas.apply(old);
        (new.per_day.map(NonZeroU32::get), new.per_month.map(NonZeroU32::get))
    };
    assert_eq!(apply(r#"{"quotas":{"per_day":7}}"#), (Some(7), Some(50)));
    assert_eq!(apply(r#"{"quotas":{"per_day":null}}"#), (None, Some(50)));
    assert_eq!(apply(r#"{"quotas":null}"#), (None, None));
    assert_eq!(apply(r#"{"quotas":{}}"#), (Some(5), Some(50)));
    let zero = serde_json::from_str::<KeyPatchDraft>(r#"{"quotas":{"per_month":0}}"#).unwrap();
    assert!(zero.check(&account(), Timestamp::default()).is_err());
}

#[test]
fn an_expiry_can_be_removed_or_kept() {
    let check = |json| {
        serde_json::from_str::<KeyPatchDraft>(json).unwrap().check(&account(), Timestamp::default()).unwrap()
    };
    assert_eq!(check("{}"), KeyPatch::default());
    assert_eq!(check(r#"{"expires_at":null}"#).expires_at, Patch::Clear);
    assert_eq!(check(r#"{"not_before":null}"#).not_before, Patch::Clear);
}
