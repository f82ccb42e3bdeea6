//! Trunks: usernames are unique, secrets are sealed, and calls outlive their trunk.

use std::collections::BTreeMap;
use std::sync::Arc;

use telepath_core::address::NetworkList;
use telepath_core::call::{CallFilter, CallStatus, DisconnectReason};
use telepath_core::digest_hash::DigestHashes;
use telepath_core::id::{AccountId, Id as _};
use telepath_core::network_set::NetworkSet;
use telepath_core::page::PageRequest;
use telepath_core::patch::Patch;
use telepath_core::ports::CallControl as _;
use telepath_core::secret::SecretText;
use telepath_core::trunk::{
    AgentTarget, CredentialField, NewTrunk, SipPassword, SipUsername, TrunkDraft, TrunkFilter, TrunkForCall,
    TrunkLookup, TrunkMatch, TrunkMetrics, TrunkPatchDraft, TrunkStatus,
};

use super::calls::{ended, start};
use super::{Fixture, NOON, behaviour, select};
use crate::store::Store;
use crate::trunk::{CreatedTrunk, TrunkActivity, TrunkChangeError};

behaviour! {
    a_trunk_is_found_by_its_username_case_insensitively,
    a_username_is_unique_case_insensitively_until_its_trunk_is_deleted,
    trunks_of_another_account_do_not_exist,
    a_patch_is_validated_against_the_trunk_and_sets_and_clears_fields,
    a_rotated_password_replaces_the_old_one,
    lists_show_todays_metrics_and_null_without_calls,
    existing_trunks_are_named_before_deleted_ones,
    activity_names_the_age_of_the_password_the_latest_call_and_live_calls,
    credentials_are_not_stored_in_cleartext,
    trusted_networks_are_those_of_all_trunks_that_are_not_deleted,
    only_a_change_of_allowed_ips_announces_trusted_networks,
}

async fn existing_trunks_are_named_before_deleted_ones(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let mut ids = Vec::new();
    for username in ["bbb", "aaa", "ccc", "ddd"] {
        ids.push(make(&fixture, &store, account, username).await.trunk.id);
    }
    for deleted in [ids[3], ids[1]] {
        store.delete_trunk(account, deleted, fixture.origin()).await.unwrap();
    }
    let named = store.trunks_by_name(account).await.unwrap();
    let named: Vec<_> = named.iter().map(|trunk| (trunk.id, trunk.deleted)).collect();
    assert_eq!(named, [(ids[0], false), (ids[2], false), (ids[1], true), (ids[3], true)]);
    store.close().await;
}

pub(super) fn custom(username: &str) -> NewTrunk {
    TrunkDraft {
        name: Some(format!("Trunk {username}")),
        ai_provider: Some("custom".to_owned()),
        sip_username: Some(username.to_owned()),
        custom_endpoint: Some("wss://agent.example/voice".to_owned()),
        custom_headers: Some(BTreeMap::from([(
            "Authorization".to_owned(),
            SecretText::new("Bearer very-secret-token".to_owned()),
        )])),
        ..TrunkDraft::default()
    }
    .check()
    .unwrap()
}

pub(super) async fn make(
    fixture: &Fixture,
    store: &Store,
    account: AccountId,
    username: &str,
) -> CreatedTrunk {
    store.create_trunk(account, custom(username), fixture.origin()).await.unwrap()
}

/// The trunk that the user name of credentials finds.
pub(super) async fn by_username(store: &Store, name: &str) -> Option<TrunkForCall> {
    let lookup = TrunkLookup {
        source: [192, 0, 2, 1].into(),
        credentials: Some(SipUsername::try_from(name.to_owned()).unwrap()),
        called_user: None,
        called_numbers: Vec::new(),
        calls_a_number: false,
    };
    match store.find_trunk(&lookup).await.unwrap() {
        TrunkMatch::Found(found) => Some(*found),
        TrunkMatch::NotFound => None,
        other @ (TrunkMatch::NumberNotListed(_) | TrunkMatch::AmbiguousNumber(_)) => panic!("{other:?}"),
    }
}

async fn trusted_networks_are_those_of_all_trunks_that_are_not_deleted(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let list = |text: &str| text.parse::<NetworkList>().unwrap();
    let mut ids = Vec::new();
    for (name, networks) in [
        ("net-01", ""),
        ("net-02", "203.0.113.7,0.0.0.0/0"),
        ("net-03", "2001:db8::/32,198.51.100.0/24,::/0"),
    ] {
        let new = NewTrunk { allowed_ips: list(networks), ..custom(name) };
        ids.push(store.create_trunk(account, new, fixture.origin()).await.unwrap().trunk.id);
    }
    let expected: NetworkSet =
        [list("203.0.113.7"), list("2001:db8::/32,198.51.100.0/24")].into_iter().collect();
    assert_eq!(store.trusted_networks().await.unwrap(), expected);
    store.delete_trunk(account, ids[2], fixture.origin()).await.unwrap();
    assert_eq!(store.trusted_networks().await.unwrap(), [list("203.0.113.7")].into_iter().collect());
    store.close().await;
}

/// Whether a change of the trusted networks was announced since the last call.
pub(super) async fn networks_announced(store: &Store) -> bool {
    tokio::select! {
        biased;
        () = store.trusted_networks_changed() => true,
        () = std::future::ready(()) => false,
    }
}

async fn only_a_change_of_allowed_ips_announces_trusted_networks(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    // On PostgreSQL the first lease reads the version.
    networks_announced(&store).await;
    let without = make(&fixture, &store, account, "net-01").await.trunk.id;
    store.delete_trunk(account, without, fixture.origin()).await.unwrap();
    assert!(!networks_announced(&store).await, "a trunk without allowed_ips");

    let new = NewTrunk { allowed_ips: "203.0.113.7".parse().unwrap(), ..custom("net-02") };
    let trunk = store.create_trunk(account, new, fixture.origin()).await.unwrap().trunk.id;
    assert!(networks_announced(&store).await, "created");
    let draft = TrunkPatchDraft { name: Some("Renamed".to_owned()), ..TrunkPatchDraft::default() };
    store.update_trunk(account, trunk, draft, fixture.origin()).await.unwrap();
    assert!(!networks_announced(&store).await, "renamed");
    let draft =
        TrunkPatchDraft { allowed_ips: Some(vec!["203.0.113.8".to_owned()]), ..TrunkPatchDraft::default() };
    store.update_trunk(account, trunk, draft, fixture.origin()).await.unwrap();
    assert!(networks_announced(&store).await, "changed");
    store.delete_trunk(account, trunk, fixture.origin()).await.unwrap();
    assert!(networks_announced(&store).await, "deleted");
    store.close().await;
}

async fn a_trunk_is_found_by_its_username_case_insensitively(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let created = make(&fixture, &store, account, "Support-01").await;
    let password = created.generated_password.unwrap();
    let found = by_username(&store, "sUPPORT-01").await.unwrap();
    assert_eq!(found.trunk, created.trunk);
    assert_eq!(found.digest, DigestHashes::of("Support-01", password.secret()));
    let AgentTarget::Custom { url, headers, .. } = found.agent else { panic!("a custom agent") };
    assert_eq!(url.as_str(), "wss://agent.example/voice");
    assert_eq!(headers[0].0.as_str(), "Authorization");
    assert_eq!(headers[0].1.expose(), "Bearer very-secret-token");
    assert!(by_username(&store, "support-02").await.is_none());
    let chosen = SipPassword::new(SecretText::new("chosen password".to_owned())).unwrap();
    let new = NewTrunk { sip_password: Some(chosen), ..custom("support-03") };
    let created = store.create_trunk(account, new, fixture.origin()).await.unwrap();
    assert!(created.generated_password.is_none());
    store.close().await;
}

async fn a_username_is_unique_case_insensitively_until_its_trunk_is_deleted(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let other = fixture.other_account(&store).await;
    let first = make(&fixture, &store, account, "reception").await.trunk;
    let taken = store.create_trunk(other, custom("RECEPTION"), fixture.origin()).await;
    assert!(matches!(taken, Err(TrunkChangeError::UsernameTaken)));
    let begun = start(&store, account, first.id);
    store.call_started(&begun).await.unwrap();
    store.call_ended(&ended(&begun, CallStatus::Disconnected, DisconnectReason::TrunkDeleted)).await.unwrap();
    store.delete_trunk(account, first.id, fixture.origin()).await.unwrap();
    assert!(by_username(&store, "reception").await.is_none());
    assert!(store.get_trunk(account, first.id).await.unwrap().is_none());
    let again = store.delete_trunk(account, first.id, fixture.origin()).await;
    assert!(matches!(again, Err(TrunkChangeError::NotFound)));
    let calls = store.list_calls(account, CallFilter::default(), PageRequest::default()).await.unwrap();
    assert_eq!(calls.items[0].trunk_id, first.id, "call records are kept");
    assert!(select(&store, "SELECT field FROM trunk_credentials", vec![]).await.is_empty());
    let second = make(&fixture, &store, account, "Reception").await.trunk;
    assert_ne!(second.id, first.id);
    store.close().await;
}

async fn trunks_of_another_account_do_not_exist(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let other = fixture.other_account(&store).await;
    let id = make(&fixture, &store, account, "mine").await.trunk.id;
    assert!(store.get_trunk(other, id).await.unwrap().is_none());
    assert!(store.agent_of_trunk(other, id).await.unwrap().is_none());
    let page = store.list_trunks(other, TrunkFilter::default(), PageRequest::default()).await.unwrap();
    assert_eq!((page.items.len(), page.count()), (0, Some(0)));
    let patch = TrunkPatchDraft { name: Some("yours".to_owned()), ..TrunkPatchDraft::default() };
    let changed = store.update_trunk(other, id, patch, fixture.origin()).await;
    assert!(matches!(changed, Err(TrunkChangeError::NotFound)));
    let rotated = store.rotate_sip_password(other, id, fixture.origin()).await;
    assert!(matches!(rotated, Err(TrunkChangeError::NotFound)));
    let deleted = store.delete_trunk(other, id, fixture.origin()).await;
    assert!(matches!(deleted, Err(TrunkChangeError::NotFound)));
    assert_eq!(store.get_trunk(account, id).await.unwrap().unwrap().0.name, "Trunk mine");
    store.close().await;
}

async fn a_patch_is_validated_against_the_trunk_and_sets_and_clears_fields(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let old = make(&fixture, &store, account, "patched").await.trunk;
    let foreign = TrunkPatchDraft {
        openai_api_key: Some(SecretText::new("sk-not-for-this-one".to_owned())),
        ..TrunkPatchDraft::default()
    };
    let refused = store.update_trunk(account, old.id, foreign, fixture.origin()).await;
    assert!(matches!(refused, Err(TrunkChangeError::Invalid(_))));
    fixture.clock.advance(std::time::Duration::from_secs(1));
    let patch = TrunkPatchDraft {
        name: Some("New name".to_owned()),
        status: Some("inactive".to_owned()),
        greeting: Patch::Set("Hello".to_owned()),
        custom_headers: Patch::Clear,
        ..TrunkPatchDraft::default()
    };
    let new = store.update_trunk(account, old.id, patch, fixture.origin()).await.unwrap();
    assert_eq!((new.name.as_str(), new.status), ("New name", TrunkStatus::Inactive));
    assert_eq!(new.settings.greeting.as_deref(), Some("Hello"));
    assert_eq!(new.settings.custom_endpoint, old.settings.custom_endpoint);
    assert!(new.updated_at > old.updated_at && new.credentials.is_empty());
    assert_eq!(store.get_trunk(account, old.id).await.unwrap().unwrap().0, new);
    let found = by_username(&store, "patched").await.unwrap();
    assert!(matches!(found.agent, AgentTarget::Custom { headers, .. } if headers.is_empty()));
    let trail = select(
        &store,
        "SELECT before_json, after_json FROM audit_events WHERE action = 'trunk.updated'",
        vec![],
    )
    .await;
    let [before, after]: [serde_json::Value; 2] =
        [trail[0].json("before_json").unwrap(), trail[0].json("after_json").unwrap()];
    assert_eq!(before["custom_headers"], "set");
    assert_eq!(after["custom_headers"], "not set");
    assert_eq!((&before["greeting"], &after["greeting"]), (&serde_json::Value::Null, &"Hello".into()));
    assert!(after.get("custom_endpoint").is_none());
    store.close().await;
}

async fn a_rotated_password_replaces_the_old_one(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let created = make(&fixture, &store, account, "rotated").await;
    let rotated = store.rotate_sip_password(account, created.trunk.id, fixture.origin()).await.unwrap();
    assert_eq!((rotated.trunk.id, rotated.rotated_at), (created.trunk.id, NOON));
    assert_eq!(rotated.password.secret().expose().len(), 24);
    let found = by_username(&store, "rotated").await.unwrap();
    assert_eq!(found.digest, DigestHashes::of("rotated", rotated.password.secret()));
    store.close().await;
}

async fn lists_show_todays_metrics_and_null_without_calls(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let quiet = make(&fixture, &store, account, "quiet").await.trunk;
    fixture.clock.advance(std::time::Duration::from_secs(1));
    let busy = make(&fixture, &store, account, "busy").await.trunk;
    let outcomes = [
        (CallStatus::Disconnected, DisconnectReason::NormalDisconnect, Some(300)),
        (CallStatus::Disconnected, DisconnectReason::AgentHangup, Some(500)),
        (CallStatus::Disconnected, DisconnectReason::ApiHangup, None),
        (CallStatus::Failed, DisconnectReason::ConnectionFailed, None),
    ];
    for (status, reason, latency) in outcomes {
        let mut end = ended(&start(&store, account, busy.id), status, reason);
        end.metrics.ai_latency_ms = latency;
        store.call_ended(&end).await.unwrap();
    }
    store.call_started(&start(&store, account, busy.id)).await.unwrap();
    let mut yesterday =
        ended(&start(&store, account, busy.id), CallStatus::Failed, DisconnectReason::NoAnswer);
    yesterday.start_time = NOON.start_of_utc_day().minus(std::time::Duration::from_millis(1));
    store.call_ended(&yesterday).await.unwrap();
    let page = store.list_trunks(account, TrunkFilter::default(), PageRequest::default()).await.unwrap();
    let figures = TrunkMetrics { calls_today: 5, success_rate: Some(75.0), avg_latency_ms: Some(400.0) };
    assert_eq!(page.items, [(busy.clone(), figures), (quiet.clone(), TrunkMetrics::default())]);
    assert_eq!(store.get_trunk(account, busy.id).await.unwrap(), Some((busy.clone(), figures)));
    let oldest = TrunkFilter { oldest_first: true, status: Some(TrunkStatus::Active) };
    let page = store.list_trunks(account, oldest, PageRequest::new(1, 0).unwrap()).await.unwrap();
    assert_eq!((page.items[0].0.id, page.count()), (quiet.id, Some(2)));
    let inactive = TrunkFilter { status: Some(TrunkStatus::Inactive), ..oldest };
    assert_eq!(store.list_trunks(account, inactive, PageRequest::default()).await.unwrap().count(), Some(0));
    store.close().await;
}

async fn credentials_are_not_stored_in_cleartext(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let secret = "sk-provider-secret-0042";
    let new = TrunkDraft {
        name: Some("OpenAI".to_owned()),
        ai_provider: Some("openai".to_owned()),
        sip_username: Some("sealed".to_owned()),
        openai_api_key: Some(SecretText::new(secret.to_owned())),
        ..TrunkDraft::default()
    };
    let created = store.create_trunk(account, new.check().unwrap(), fixture.origin()).await.unwrap();
    let (agent, _) = store.agent_of_trunk(account, created.trunk.id).await.unwrap().unwrap();
    assert!(matches!(agent, AgentTarget::OpenAi { api_key } if api_key.expose() == secret));
    let state = &created.trunk.credentials[&CredentialField::OpenAiApiKey];
    assert_eq!(state.last4.as_deref(), Some("0042"));
    let sealed =
        select(&store, "SELECT sealed FROM trunk_credentials", vec![]).await[0].bytes("sealed").unwrap();
    assert!(!sealed.windows(8).any(|window| secret.as_bytes().windows(8).any(|part| part == window)));
    for row in select(&store, "SELECT before_json || after_json AS t FROM audit_events", vec![]).await {
        assert!(!row.text("t").unwrap().contains("provider-secret"));
    }
    let found = by_username(&store, "sealed").await.unwrap();
    assert!(matches!(found.agent, AgentTarget::OpenAi { api_key } if api_key.expose() == secret));
    store.close().await;
}

async fn activity_names_the_age_of_the_password_the_latest_call_and_live_calls(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let [quiet, busy] = [
        make(&fixture, &store, account, "quiet").await.trunk.id,
        make(&fixture, &store, account, "busy").await.trunk.id,
    ];
    let first = start(&store, account, busy);
    store.call_started(&first).await.unwrap();
    let mut later = ended(&start(&store, account, busy), CallStatus::Failed, DisconnectReason::NoAnswer);
    later.start_time = first.start_time.plus(std::time::Duration::from_secs(7));
    store.call_ended(&later).await.unwrap();
    fixture.clock.advance(std::time::Duration::from_mins(1));
    store.rotate_sip_password(account, quiet, fixture.origin()).await.unwrap();
    let found = store.trunk_activity(account, &[quiet, busy]).await.unwrap();
    let expected = |password_at, last_call, live_calls| TrunkActivity { password_at, last_call, live_calls };
    assert_eq!(found[&busy], expected(NOON, Some(later.start_time), 1));
    assert_eq!(found[&quiet], expected(fixture.origin().at, None, 0));
    let other = AccountId::from_bytes([9; 16]);
    assert!(store.trunk_activity(other, &[busy]).await.unwrap().is_empty(), "of another account");
    assert!(store.trunk_activity(account, &[]).await.unwrap().is_empty());
    store.delete_trunk(account, busy, fixture.origin()).await.unwrap();
    assert!(store.trunk_activity(account, &[busy]).await.unwrap().is_empty(), "a deleted one");
    store.close().await;
}
