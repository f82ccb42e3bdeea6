//! Webhook endpoints: secrets are sealed, rotations overlap, and endpoints belong to their account.

use std::sync::Arc;
use std::time::Duration;

use telepath_core::clock::Clock as _;
use telepath_core::id::{AccountId, Id as _, TrunkId};
use telepath_core::page::PageRequest;
use telepath_core::patch::Patch;
use telepath_core::scope::ScopeSet;
use telepath_core::secret::SecretText;
use telepath_core::webhook::{
    DisabledReason, MAX_SECRETS, NewWebhook, Webhook, WebhookDraft, WebhookHeaders, WebhookPatch,
    WebhookPatchDraft, WebhookStatus, WebhookUrl,
};

use super::deliveries::claim;
use super::{Fixture, behaviour, events_of, select};
use crate::audit::AuditVerdict;
use crate::store::Store;
use crate::webhook::{WebhookChangeError, WebhookWithSecret};

behaviour! {
    a_shared_secret_is_returned_once_and_stored_sealed,
    a_private_key_is_never_returned_and_its_public_key_always,
    endpoints_of_another_account_do_not_exist,
    old_secrets_sign_until_their_grace_period_ends,
    a_rotation_beyond_the_maximum_of_active_secrets_is_refused,
    headers_are_sealed_and_opened_only_for_a_delivery,
    trunks_of_another_account_are_refused,
    disabling_writes_event_and_audit_and_enabling_resets_health,
    deleting_an_endpoint_deletes_its_secrets,
}

pub(super) fn draft(path: &str) -> NewWebhook {
    let url = Some(format!("https://hooks.example/{path}"));
    WebhookDraft { url, ..WebhookDraft::default() }.check().unwrap()
}

pub(super) async fn make(fixture: &Fixture, store: &Store, account: AccountId, new: NewWebhook) -> Webhook {
    store.create_webhook(account, new, fixture.origin()).await.unwrap().webhook
}

pub(super) fn disable() -> WebhookPatch {
    WebhookPatch { status: Some(WebhookStatus::Disabled), ..WebhookPatch::default() }
}

pub(super) fn enable() -> WebhookPatch {
    WebhookPatch { status: Some(WebhookStatus::Active), ..WebhookPatch::default() }
}

/// The secrets that would sign a delivery now, newest first.
pub(super) async fn signing(
    fixture: &Fixture,
    store: &Store,
    account: AccountId,
    webhook: &Webhook,
) -> Vec<String> {
    store.test_webhook(account, webhook.id, fixture.origin()).await.unwrap();
    let claimed = claim(store, webhook, 1).await;
    claimed[0].target.secrets.iter().map(|secret| secret.to_text().expose().to_owned()).collect()
}

async fn a_shared_secret_is_returned_once_and_stored_sealed(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let made = store.create_webhook(account, draft("path?token=t"), fixture.origin()).await.unwrap();
    let secret = made.secret.unwrap().expose().to_owned();
    assert!(secret.starts_with("whsec_") && secret.len() == 6 + 44, "32 bytes in base64");
    assert_eq!(store.get_webhook(account, made.webhook.id).await.unwrap(), Some(made.webhook.clone()));
    assert_eq!(signing(&fixture, &store, account, &made.webhook).await, std::slice::from_ref(&secret));
    for row in select(&store, "SELECT sealed FROM webhook_secrets", vec![]).await {
        let sealed = row.bytes("sealed").unwrap();
        let readable =
            sealed.windows(16).any(|part| secret.as_bytes().windows(16).any(|clear| clear == part));
        assert!(!readable, "part of the secret is stored in cleartext");
    }
    let url = WebhookUrl::try_from("https://hooks.example/path?token=u".to_owned()).unwrap();
    let patch = WebhookPatch { url: Some(url.clone()), ..WebhookPatch::default() };
    let changed = store
        .update_webhook(account, made.webhook.id, patch, ScopeSet::all(), fixture.origin())
        .await
        .unwrap();
    assert_eq!(changed.url, url);
    for row in select(&store, "SELECT before_json, after_json FROM audit_events", vec![]).await {
        for column in ["before_json", "after_json"] {
            let text = row.text(column).unwrap();
            assert!(!text.contains(&secret[6..]) && !text.contains("token"), "{text}");
        }
    }
    store.close().await;
}

async fn a_private_key_is_never_returned_and_its_public_key_always(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let new = WebhookDraft {
        url: Some("https://hooks.example/".to_owned()),
        signature: Some("v1a".to_owned()),
        ..WebhookDraft::default()
    };
    let made = store.create_webhook(account, new.check().unwrap(), fixture.origin()).await.unwrap();
    assert!(made.secret.is_none());
    assert!(made.webhook.public_keys[0].starts_with("whpk_"));
    fixture.clock.advance(Duration::from_secs(1));
    let rotated = store.rotate_webhook_secret(account, made.webhook.id, 60, fixture.origin()).await.unwrap();
    assert!(rotated.secret.is_none());
    assert_eq!(rotated.webhook.public_keys.len(), 2);
    assert_eq!(rotated.webhook.public_keys[1], made.webhook.public_keys[0], "the newest comes first");
    fixture.clock.advance(Duration::from_mins(1));
    let shown = store.get_webhook(account, made.webhook.id).await.unwrap().unwrap();
    assert_eq!(shown.public_keys, rotated.webhook.public_keys[..1]);
    store.close().await;
}

async fn endpoints_of_another_account_do_not_exist(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let other = fixture.other_account(&store).await;
    let mine = make(&fixture, &store, account, draft("mine")).await;
    let delivery = store.test_webhook(account, mine.id, fixture.origin()).await.unwrap();
    let origin = fixture.origin();
    assert_eq!(store.get_webhook(other, mine.id).await.unwrap(), None);
    assert_eq!(store.list_webhooks(other, None, PageRequest::default()).await.unwrap().count(), Some(0));
    assert_eq!(store.get_delivery(other, delivery.id).await.unwrap(), None);
    let not_found = |result: Result<(), WebhookChangeError>| {
        assert!(matches!(result, Err(WebhookChangeError::NotFound | WebhookChangeError::DeliveryNotFound)));
    };
    not_found(store.update_webhook(other, mine.id, disable(), ScopeSet::all(), origin).await.map(drop));
    not_found(store.delete_webhook(other, mine.id, origin).await);
    not_found(store.rotate_webhook_secret(other, mine.id, 0, origin).await.map(drop));
    not_found(store.test_webhook(other, mine.id, origin).await.map(drop));
    not_found(store.recover_deliveries(other, mine.id, origin.at, origin).await.map(drop));
    not_found(store.redeliver(other, delivery.id, origin).await.map(drop));
    let list =
        store.list_deliveries(other, mine.id, crate::DeliveryFilter::default(), PageRequest::default());
    not_found(list.await.map(drop));
    // An event of the other account reaches no endpoint of this one.
    make(&fixture, &store, other, draft("theirs")).await;
    store.create_key(other, super::new_key("theirs"), origin).await.unwrap();
    let rows =
        select(&store, "SELECT account_id FROM webhook_deliveries WHERE kind = 'key.created'", vec![]).await;
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].text("account_id").unwrap(), other.to_string());
    store.close().await;
}

async fn old_secrets_sign_until_their_grace_period_ends(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let text = |made: &WebhookWithSecret| made.secret.as_ref().unwrap().expose().to_owned();
    let first = store.create_webhook(account, draft("a"), fixture.origin()).await.unwrap();
    fixture.clock.advance(Duration::from_secs(1));
    let second = store.rotate_webhook_secret(account, first.webhook.id, 60, fixture.origin()).await.unwrap();
    let both = [text(&second), text(&first)];
    assert_eq!(signing(&fixture, &store, account, &first.webhook).await, both);
    fixture.clock.advance(Duration::from_secs(59));
    assert_eq!(signing(&fixture, &store, account, &first.webhook).await, both);
    fixture.clock.advance(Duration::from_secs(1));
    assert_eq!(signing(&fixture, &store, account, &first.webhook).await, both[..1]);
    let third = store.rotate_webhook_secret(account, first.webhook.id, 0, fixture.origin()).await.unwrap();
    assert_eq!(signing(&fixture, &store, account, &first.webhook).await, [text(&third)], "no grace");
    store.close().await;
}

async fn a_rotation_beyond_the_maximum_of_active_secrets_is_refused(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let webhook = make(&fixture, &store, account, draft("a")).await;
    let rotate = async |grace| {
        fixture.clock.advance(Duration::from_secs(1));
        store.rotate_webhook_secret(account, webhook.id, grace, fixture.origin()).await
    };
    for _ in 1..MAX_SECRETS {
        rotate(604_800).await.unwrap();
    }
    let all = signing(&fixture, &store, account, &webhook).await;
    assert_eq!(all.len(), MAX_SECRETS);
    for grace in [604_800, 1] {
        assert!(matches!(rotate(grace).await, Err(WebhookChangeError::TooManySecrets)), "{grace}");
    }
    assert_eq!(signing(&fixture, &store, account, &webhook).await, all, "no grace period ended early");
    let only = rotate(0).await.unwrap().secret.unwrap();
    assert_eq!(signing(&fixture, &store, account, &webhook).await, [only.expose()]);
    for _ in 1..MAX_SECRETS {
        rotate(60).await.unwrap();
    }
    fixture.clock.advance(Duration::from_mins(1));
    rotate(60).await.expect("the grace periods are over");
    store.close().await;
}

async fn headers_are_sealed_and_opened_only_for_a_delivery(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let headers = |value: &str| Some([("x-token".to_owned(), SecretText::new(value.to_owned()))].into());
    let new = WebhookDraft {
        url: Some("https://hooks.example/".to_owned()),
        headers: headers("first-token"),
        ca_pem: Some("an authority".to_owned()),
        ..WebhookDraft::default()
    };
    let webhook = make(&fixture, &store, account, new.check().unwrap()).await;
    assert_eq!(
        (webhook.headers_at, webhook.ca_pem.as_deref()),
        (Some(fixture.clock.now()), Some("an authority"))
    );
    let sent = async || {
        store.test_webhook(account, webhook.id, fixture.origin()).await.unwrap();
        let claimed = claim(&store, &webhook, 1).await.pop().unwrap();
        assert_eq!(claimed.target.secrets.len(), 1);
        let headers = claimed.target.headers.iter().flat_map(WebhookHeaders::iter);
        let pairs = headers.map(|(name, value)| format!("{name}: {}", value.expose())).collect::<Vec<_>>();
        (pairs, claimed.target.ca_pem.clone())
    };
    assert_eq!(sent().await, (vec!["x-token: first-token".to_owned()], Some("an authority".to_owned())));
    for value in [Some("second-token"), None] {
        let draft = WebhookPatchDraft {
            headers: value.and_then(headers).map_or(Patch::Clear, Patch::Set),
            ca_pem: Patch::Clear,
            ..WebhookPatchDraft::default()
        };
        let patch = draft.check().unwrap();
        store.update_webhook(account, webhook.id, patch, ScopeSet::all(), fixture.origin()).await.unwrap();
        let expected = value.map(|value| format!("x-token: {value}")).into_iter().collect();
        assert_eq!(sent().await, (expected, None));
    }
    let rows = select(&store, "SELECT headers FROM webhooks", vec![]).await;
    assert_eq!(rows[0].maybe_bytes("headers").unwrap(), None);
    for row in select(&store, "SELECT before_json, after_json FROM audit_events", vec![]).await {
        for column in ["before_json", "after_json"] {
            let text = row.text(column).unwrap();
            assert!(!text.contains("-token") && !text.contains("an authority"), "{text}");
        }
    }
    store.close().await;
}

async fn trunks_of_another_account_are_refused(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let mut new = draft("a");
    new.subscription.trunks = vec![TrunkId::from_bytes([9; 16])];
    let refused = store.create_webhook(account, new, fixture.origin()).await;
    assert!(
        matches!(refused, Err(WebhookChangeError::Invalid(problems)) if problems.summary().contains("trunk_ids[0]"))
    );
    assert!(select(&store, "SELECT id FROM webhooks", vec![]).await.is_empty());
    store.close().await;
}

async fn disabling_writes_event_and_audit_and_enabling_resets_health(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let webhook = make(&fixture, &store, account, draft("a")).await;
    let off = store
        .update_webhook(account, webhook.id, disable(), ScopeSet::all(), fixture.origin())
        .await
        .unwrap();
    assert_eq!((off.status, off.disabled_reason), (WebhookStatus::Disabled, Some(DisabledReason::Requested)));
    let same = store
        .update_webhook(account, webhook.id, disable(), ScopeSet::all(), fixture.origin())
        .await
        .unwrap();
    assert_eq!(same, off);
    let events = events_of(&store, &webhook.id.to_string()).await;
    assert_eq!(events.len(), 1, "told once");
    assert_eq!(
        (&events[0]["event"], &events[0]["reason"]),
        (&"webhook.disabled".into(), &"requested".into())
    );
    let refused = store.test_webhook(account, webhook.id, fixture.origin()).await;
    assert!(matches!(refused, Err(WebhookChangeError::Disabled)));
    let on =
        store.update_webhook(account, webhook.id, enable(), ScopeSet::all(), fixture.origin()).await.unwrap();
    assert_eq!((on.status, on.disabled_reason), (WebhookStatus::Active, None));
    let rows = select(&store, "SELECT action FROM audit_events ORDER BY position", vec![]).await;
    let actions: Vec<_> = rows.iter().map(|row| row.text("action").unwrap()).collect();
    assert_eq!(actions, ["account.created", "webhook.created", "webhook.updated", "webhook.updated"]);
    assert_eq!(store.verify_audit(account, None).await.unwrap().verdict, AuditVerdict::Intact { entries: 4 });
    store.close().await;
}

async fn deleting_an_endpoint_deletes_its_secrets(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let webhook = make(&fixture, &store, account, draft("a")).await;
    let delivery = store.test_webhook(account, webhook.id, fixture.origin()).await.unwrap();
    store.delete_webhook(account, webhook.id, fixture.origin()).await.unwrap();
    assert_eq!(store.get_webhook(account, webhook.id).await.unwrap(), None);
    assert_eq!(store.get_delivery(account, delivery.id).await.unwrap(), None);
    assert!(select(&store, "SELECT id FROM webhook_secrets", vec![]).await.is_empty());
    assert!(store.due_webhooks(None).await.unwrap().is_empty(), "no further delivery is sent");
    let again = store.delete_webhook(account, webhook.id, fixture.origin()).await;
    assert!(matches!(again, Err(WebhookChangeError::NotFound)));
    fixture.clock.advance(Duration::from_secs(1));
    assert!(store.purge_deliveries().await.unwrap() >= 2);
    assert!(select(&store, "SELECT id FROM webhooks", vec![]).await.is_empty());
    assert!(select(&store, "SELECT id FROM webhook_deliveries", vec![]).await.is_empty());
    store.close().await;
}
