//! An account's settings for its keys: presets, and the policy for keys seen in cleartext.

use std::sync::Arc;

use telepath_core::account::{AccountPatch, NewAccount};
use telepath_core::clock::Clock as _;
use telepath_core::key::{
    Bound, Escalation, GraceSeconds, KeyPatch, NewKey, Preset, PresetPatch, PresetTerms,
};
use telepath_core::page::PageRequest;
use telepath_core::patch::Patch;
use telepath_core::scope::{Scope, ScopeSet};
use telepath_core::secret::KeyMode;

use super::{Fixture, behaviour, limit, new_key, select};
use crate::account::AccountChangeError;
use crate::key::KeyChangeError;

behaviour! {
    a_preset_is_edited_for_one_account_and_reset,
    nobody_offers_more_than_they_have,
    an_update_of_an_account_changes_only_the_named_fields,
    accounts_are_created_with_a_mode_and_a_maximum,
    policies_for_expiry_hold_when_keys_are_created_changed_and_rotated,
}

async fn a_preset_is_edited_for_one_account_and_reset(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let other = fixture.other_account(&store).await;
    let reader = ScopeSet::of(&[Scope::CallsRead]);
    let patch = PresetPatch { scopes: Some(reader), rate_limit: None };
    let edited = store.update_preset(account, Preset::Testing, patch, fixture.origin()).await.unwrap();
    assert_eq!(edited, PresetTerms { scopes: reader, rate_limit: limit(600), modified: true });
    let again = store.update_preset(account, Preset::Testing, patch, fixture.origin()).await.unwrap();
    assert_eq!(again, edited);
    store.close().await;
    let store = fixture.open().await;
    assert_eq!(store.presets(account).await.unwrap().get(Preset::Testing), edited);
    let built_in = PresetTerms::built_in(Preset::Testing);
    assert_eq!(store.presets(other).await.unwrap().get(Preset::Testing), built_in);
    for _ in 0..2 {
        store.reset_preset(account, Preset::Testing, fixture.origin()).await.unwrap();
        assert_eq!(store.presets(account).await.unwrap().get(Preset::Testing), built_in);
    }
    let sql = "SELECT action, target FROM audit_events WHERE action LIKE 'key_preset.%' ORDER BY position";
    let trail: Vec<_> = select(&store, sql, vec![])
        .await
        .iter()
        .map(|row| (row.text("action").unwrap(), row.text("target").unwrap()))
        .collect();
    let entry = |action: &str| (action.to_owned(), "testing".to_owned());
    assert_eq!(trail, [entry("key_preset.updated"), entry("key_preset.reset")], "once for each change");
    store.close().await;
}

async fn nobody_offers_more_than_they_have(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let scopes = ScopeSet::of(&[Scope::KeysWrite, Scope::CallsRead, Scope::AnalyticsRead]);
    let new = NewKey { scopes, rate_limit: limit(700), ..new_key("clerk") };
    let (clerk, _) = fixture.key(&store, account, new).await;
    let by = fixture.by(&clerk);
    let reader = PresetPatch { scopes: Some(ScopeSet::of(&[Scope::CallsRead])), rate_limit: Some(limit(9)) };
    let exceeds = Escalation::PresetExceeds(Bound::Key);
    let refused = store.update_preset(account, Preset::Testing, reader, by).await;
    assert!(
        matches!(refused, Err(KeyChangeError::Escalation(why)) if why == exceeds),
        "it stands for more than the clerk has"
    );
    store.update_preset(account, Preset::Testing, reader, fixture.origin()).await.unwrap();
    store.update_preset(account, Preset::Testing, reader, by).await.unwrap();
    for (scopes, requests, field) in [
        (Some(ScopeSet::of(&[Scope::CallsWrite])), None, "scopes"),
        (None, Some(limit(701)), "rate_limit_per_minute"),
    ] {
        let patch = PresetPatch { scopes, rate_limit: requests };
        match store.update_preset(account, Preset::Testing, patch, by).await {
            Err(KeyChangeError::Beyond(problems)) => assert_eq!(problems.into_details()[0].field, field),
            other => panic!("{other:?}"),
        }
    }
    let refused = store.reset_preset(account, Preset::Testing, by).await;
    assert!(
        matches!(refused, Err(KeyChangeError::Escalation(why)) if why == exceeds),
        "the built-in one is more again"
    );
    store.close().await;
}

async fn an_update_of_an_account_changes_only_the_named_fields(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await;
    let other = fixture.other_account(&store).await;
    assert!(!account.revoke_keys_seen_in_clear);
    let patch = AccountPatch { revoke_keys_seen_in_clear: Some(true), ..AccountPatch::default() };
    let changed = store.update_account(account.id, patch.clone(), fixture.origin()).await.unwrap();
    let expected = telepath_core::account::Account { revoke_keys_seen_in_clear: true, ..account.clone() };
    assert_eq!(changed, Some(expected.clone()));
    assert_eq!(store.update_account(account.id, patch, fixture.origin()).await.unwrap(), changed);
    let renamed = AccountPatch { name: Some("Renamed".to_owned()), ..AccountPatch::default() };
    let changed = store.update_account(account.id, renamed, fixture.origin()).await.unwrap().unwrap();
    assert_eq!((changed.name.as_str(), changed.revoke_keys_seen_in_clear), ("Renamed", true));
    assert_eq!(store.account(account.id).await.unwrap().as_deref(), Some(&changed));
    assert_eq!(store.account(other).await.unwrap().unwrap().name, "Other");
    let sql = "SELECT after_json FROM audit_events WHERE action = 'account.updated' ORDER BY position";
    let trail = select(&store, sql, vec![]).await;
    let after: Vec<serde_json::Value> = trail.iter().map(|row| row.json("after_json").unwrap()).collect();
    assert_eq!(
        after,
        [serde_json::json!({"revoke_keys_seen_in_clear": true}), serde_json::json!({"name": "Renamed"}),]
    );
    store.close().await;
}

async fn accounts_are_created_with_a_mode_and_a_maximum(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let first = fixture.account(&store).await;
    fixture.clock.advance(std::time::Duration::from_secs(1));
    let new = NewAccount { name: "Test".to_owned(), mode: KeyMode::Test, max_rate_limit: limit(900) };
    let second = store.create_account(new, fixture.origin()).await.unwrap();
    assert_eq!(
        store.list_accounts(PageRequest::default()).await.unwrap().items,
        [first.clone(), second.clone()]
    );
    assert_eq!(fixture.account(&store).await.id, first.id, "the first account does not change");
    let (created, _) =
        fixture.key(&store, second.id, NewKey { rate_limit: limit(700), ..new_key("test") }).await;
    assert!(created.secret.reveal().expose().starts_with("sk_test_"));
    let to_live = AccountPatch { mode: Some(KeyMode::Live), ..AccountPatch::default() };
    let lower = |requests| AccountPatch { max_rate_limit: Some(limit(requests)), ..AccountPatch::default() };
    for (patch, field) in [(to_live.clone(), "mode"), (lower(699), "max_rate_limit_per_minute")] {
        match store.update_account(second.id, patch, fixture.origin()).await {
            Err(AccountChangeError::Invalid(problems)) => assert_eq!(problems.into_details()[0].field, field),
            other => panic!("{other:?}"),
        }
    }
    store.update_account(second.id, lower(700), fixture.origin()).await.unwrap().unwrap();
    store.revoke_key(second.id, created.record.id, None, fixture.origin()).await.unwrap();
    let live = store.update_account(second.id, to_live, fixture.origin()).await.unwrap().unwrap();
    assert_eq!((live.mode, live.max_rate_limit), (KeyMode::Live, limit(700)));
    let sql = "SELECT account_id FROM audit_events WHERE action = 'account.created'";
    assert_eq!(select(&store, sql, vec![]).await.len(), 2, "each in the trail of the new account");
    store.close().await;
}

async fn policies_for_expiry_hold_when_keys_are_created_changed_and_rotated(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let day = std::time::Duration::from_hours(24);
    let (now, origin) = (fixture.clock.now(), fixture.origin());
    let (old, _) = fixture.key(&store, account, new_key("old")).await;
    let ninety = AccountPatch { max_key_lifetime_days: Patch::Set(90), ..AccountPatch::default() };
    store.update_account(account, ninety, origin).await.unwrap();
    for (expires_at, is_allowed) in
        [(None, false), (Some(now.plus(day * 91)), false), (Some(now.plus(day * 90)), true)]
    {
        let created = store.create_key(account, NewKey { expires_at, ..new_key("new") }, origin).await;
        assert_eq!(created.is_ok(), is_allowed, "{expires_at:?}");
    }
    let id = old.record.id;
    let grace = GraceSeconds::default();
    assert!(store.rotate_key(account, id, grace, origin).await.is_err(), "it never expires");
    let renamed = KeyPatch { name: Some("renamed".to_owned()), ..KeyPatch::default() };
    store.update_key(account, id, renamed, origin).await.unwrap();
    let expiry = |days| KeyPatch { expires_at: Patch::Set(now.plus(day * days)), ..KeyPatch::default() };
    assert!(store.update_key(account, id, expiry(91), origin).await.is_err());
    store.update_key(account, id, expiry(90), origin).await.unwrap();
    store.rotate_key(account, id, grace, origin).await.unwrap();
    store.close().await;
}
