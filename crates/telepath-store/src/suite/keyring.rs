//! Master keys: everything that is sealed is sealed again by the new one, and everything that is hashed stays valid.

mod columns;
mod servers;

use std::fmt;
use std::sync::{Arc, Mutex};

use telepath_core::audit::{AuditAction, AuditFilter};
use telepath_core::id::AccountId;
use telepath_core::keyring::{MasterKeyFile, MasterKeyFileError};
use telepath_core::page::PageRequest;
use telepath_core::secret::{PlainKey, SecretText};
use telepath_core::trunk::{AgentTarget, TrunkForCall};
use telepath_core::user::{Role, TotpSecret};
use telepath_core::vault::{MasterKey, SealingKeyId, Vault, VaultError};
use telepath_core::webhook::WebhookDraft;

use super::trunks::{self, by_username};
use super::users::{self, by};
use super::{Fixture, admit, behaviour, execute, new_key, reading, select, webhooks};
use crate::audit::AuditVerdict;
use crate::context::StoreContext;
use crate::error::StoreError;
use crate::key_table::Admission;
use crate::keyring::columns::SEALED;
use crate::keyring::{KeyringError, Resealed};
use crate::options::StoreOptions;
use crate::sql::binds;
use crate::store::Store;

behaviour! {
    everything_is_sealed_again_and_everything_hashed_stays_valid,
    a_key_that_is_not_loaded_is_not_activated,
    secrets_beyond_one_transaction_and_after_a_restart_are_sealed_again,
    two_rotations_at_once_are_one,
    a_second_rotation_does_not_return_to_the_old_key,
    a_key_that_seals_something_is_not_removed,
    a_secret_stored_with_the_old_key_after_its_pass_delays_the_end,
    keys_added_to_the_file_are_loaded_while_the_process_runs,
    an_unusable_file_of_keys_changes_nothing,
}

/// A file of master keys in memory.
struct Keys(Mutex<Result<Vec<String>, String>>);

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keys")
    }
}

impl MasterKeyFile for Keys {
    fn read(&self) -> Result<Vec<MasterKey>, MasterKeyFileError> {
        let texts = self.0.lock().unwrap().clone().map_err(MasterKeyFileError::Unusable)?;
        Ok(texts.iter().map(|text| MasterKey::parse(text).unwrap()).collect())
    }

    fn write(&self, keys: &[MasterKey]) -> Result<(), MasterKeyFileError> {
        *self.0.lock().unwrap() = Ok(keys.iter().map(|key| key.to_text().expose().to_owned()).collect());
        Ok(())
    }
}

impl Keys {
    /// Some new keys.
    fn new(fixture: &Fixture, count: usize) -> Arc<Self> {
        let keys: Vec<_> =
            (0..count).map(|_| MasterKey::generate(&*fixture.context.entropy).unwrap()).collect();
        let file = Self(Mutex::new(Ok(Vec::new())));
        file.write(&keys).unwrap();
        Arc::new(file)
    }

    fn ids(&self) -> Vec<SealingKeyId> {
        self.read().unwrap().iter().map(|key| SealingKeyId::of(key).unwrap()).collect()
    }

    /// Another file with some of the keys.
    fn only(&self, places: &[usize]) -> Arc<Self> {
        let texts = self.0.lock().unwrap().clone().unwrap();
        Arc::new(Self(Mutex::new(Ok(places.iter().map(|place| texts[*place].clone()).collect()))))
    }

    /// Opens the store with the keys, as the program does.
    async fn open(self: &Arc<Self>, fixture: &Fixture) -> Arc<Store> {
        self.try_open(fixture).await.unwrap()
    }

    async fn try_open(self: &Arc<Self>, fixture: &Fixture) -> Result<Arc<Store>, StoreError> {
        let stored = Store::stored_keyring(&fixture.database).await?;
        let vault = Arc::new(Vault::of_keyring(&self.read().unwrap(), stored.as_ref()).unwrap());
        let context = StoreContext { vault, ..fixture.context.clone() };
        let master_keys: Option<Arc<dyn MasterKeyFile>> = Some(self.clone());
        Store::open(StoreOptions { master_keys, ..StoreOptions::new(fixture.database.clone()) }, context)
            .await
    }
}

async fn rotate(
    fixture: &Fixture,
    store: &Store,
    account: AccountId,
    id: Option<SealingKeyId>,
) -> Result<SealingKeyId, KeyringError> {
    let change = store.rotate_master_key(account, id, fixture.origin()).await?;
    Ok(change.keyring.keys.iter().find(|key| key.active).unwrap().id)
}

/// The number of secrets of the key, as the status shows it.
async fn sealed_by(store: &Store, id: SealingKeyId) -> u64 {
    let status = store.keyring_status().await.unwrap();
    status.keys.iter().find(|key| key.id == id).map_or(0, |key| key.sealed)
}

/// Passes until the rotation is over.
async fn finish(store: &Store) {
    for _ in 0..4 {
        store.maintain_keyring().await.unwrap();
    }
    let status = store.keyring_status().await.unwrap();
    assert!(!status.resealing && status.left.iter().all(|left| left.secrets == 0), "{status:?}");
}

async fn actions(store: &Store, account: AccountId) -> Vec<(AuditAction, String)> {
    let page = PageRequest::new(100, 0).unwrap();
    let listed = store.list_audit(account, AuditFilter::default(), page).await.unwrap();
    let keyring = listed.items.into_iter().filter(|entry| entry.action.name().starts_with("master_key."));
    keyring.map(|entry| (entry.action, entry.target)).collect()
}

async fn everything_is_sealed_again_and_everything_hashed_stays_valid(fixture: Arc<Fixture>) {
    let keys = Keys::new(&fixture, 1);
    let store = keys.open(&fixture).await;
    let account = fixture.account(&store).await.id;
    let key = store.create_key(account, new_key("before"), fixture.origin()).await.unwrap();
    trunks::make(&fixture, &store, account, "support-01").await;
    let before = by_username(&store, "support-01").await.unwrap();
    let headers = Some([("x-token".to_owned(), SecretText::new("a token".to_owned()))].into());
    let draft =
        WebhookDraft { headers, url: Some("https://hooks.example/".to_owned()), ..WebhookDraft::default() };
    let hook = webhooks::make(&fixture, &store, account, draft.check().unwrap()).await;
    let signing = webhooks::signing(&fixture, &store, account, &hook).await;
    let user = users::make(&fixture, &store, account, "ada@example.com", Role::Owner).await.user.id;
    let totp = store.enrol_totp(user, "Telepath", by(&fixture, user)).await.unwrap().secret;
    let first = keys.ids()[0];
    assert_eq!(sealed_by(&store, first).await, 5, "headers twice, digest, signing secret, authenticator");
    for column in SEALED {
        let sql =
            format!("SELECT count(*) AS rows FROM {} WHERE {} IS NOT NULL", column.table, column.column);
        assert_eq!(select(&store, sql, vec![]).await[0].integer("rows").unwrap(), 1, "{}", column.table);
    }

    let second = rotate(&fixture, &store, account, None).await.unwrap();
    assert_eq!(keys.ids(), [first, second], "a new key was generated");
    let status = store.keyring_status().await.unwrap();
    assert!(status.resealing && status.left.iter().all(|left| left.secrets == 1), "{status:?}");
    assert_eq!(store.maintain_keyring().await.unwrap(), Resealed { secrets: 5, unreadable: 0 });
    for _ in 0..2 {
        assert_eq!(store.maintain_keyring().await.unwrap(), Resealed::default());
    }
    assert!(!store.keyring_status().await.unwrap().resealing);
    assert_eq!(sealed_by(&store, first).await, 0);
    assert_eq!(sealed_by(&store, second).await, 6, "and the derived keys");
    let expected =
        [AuditAction::MasterKeyRotated, AuditAction::MasterKeyActivated, AuditAction::MasterKeyAdded];
    assert_eq!(actions(&store, account).await, expected.map(|action| (action, second.to_string())));
    store.close().await;

    let store = keys.only(&[1]).open(&fixture).await;
    let after = by_username(&store, "support-01").await.unwrap();
    assert!(after.digest == before.digest && header_of(&after) == header_of(&before));
    assert_eq!(webhooks::signing(&fixture, &store, account, &hook).await, signing);
    let place = crate::user::factor::place(user);
    let row = &select(&store, "SELECT sealed FROM second_factors", vec![]).await[0];
    let opened =
        store.vault().open(&telepath_core::vault::Sealed::from_bytes(row.bytes("sealed").unwrap()), &place);
    assert_eq!(opened.as_ref().unwrap().expose(), totp.expose());
    assert!(TotpSecret::parse(&opened.unwrap()).is_ok());
    assert_admitted(&fixture, &store, &key.secret);
    fixture.key(&store, account, new_key("after")).await;
    let report = store.verify_audit(account, None).await.unwrap();
    assert!(matches!(report.verdict, AuditVerdict::Intact { .. }), "{report:?}");
    store.close().await;
    let stored = Store::stored_keyring(&fixture.database).await.unwrap();
    let refused = Vault::of_keyring(&keys.only(&[0]).read().unwrap(), stored.as_ref()).unwrap_err();
    assert_eq!(refused, VaultError::ActiveKeyMissing { expected: second, given: first }, "the old key alone");
}

fn header_of(trunk: &TrunkForCall) -> String {
    match &trunk.agent {
        AgentTarget::Custom { headers, .. } => headers[0].1.expose().to_owned(),
        AgentTarget::OpenAi { .. }
        | AgentTarget::ElevenLabs { .. }
        | AgentTarget::Deepgram { .. }
        | AgentTarget::Gemini { .. } => panic!("another provider"),
    }
}

fn assert_admitted(fixture: &Fixture, store: &Store, secret: &PlainKey) {
    use telepath_core::clock::Clock as _;
    let hash = store.vault().hash_key(secret);
    let handle = store.keys().find(&hash).unwrap();
    let admission = admit(store, &handle, &hash, [192, 0, 2, 7].into(), reading(fixture.clock.now()));
    assert!(matches!(admission, Admission::Admitted { .. }), "{admission:?}");
}

async fn a_key_that_is_not_loaded_is_not_activated(fixture: Arc<Fixture>) {
    let keys = Keys::new(&fixture, 2);
    let store = keys.only(&[0]).open(&fixture).await;
    let account = fixture.account(&store).await.id;
    let second = keys.ids()[1];
    let refused = rotate(&fixture, &store, account, Some(second)).await.unwrap_err();
    assert!(matches!(refused, KeyringError::NotLoaded(id) if id == second), "{refused}");
    assert_eq!(actions(&store, account).await, []);
    store.close().await;
}

async fn secrets_beyond_one_transaction_and_after_a_restart_are_sealed_again(fixture: Arc<Fixture>) {
    let keys = Keys::new(&fixture, 2);
    let store = keys.open(&fixture).await;
    let account = fixture.account(&store).await.id;
    for number in 0..105 {
        trunks::make(&fixture, &store, account, &format!("trunk-{number}")).await;
    }
    rotate(&fixture, &store, account, None).await.unwrap();
    let spoiled = "UPDATE trunk_credentials SET sealed = $1 WHERE trunk_id = (SELECT min(id) FROM trunks)";
    let tampered =
        store.vault().seal(&SecretText::new("x".to_owned()), "elsewhere", &**store.entropy()).unwrap();
    let mut tampered = tampered.as_bytes().to_vec();
    tampered[1..9].copy_from_slice(keys.ids()[0].as_bytes());
    execute(&store, spoiled, binds![&tampered[..]]).await;
    store.close().await;
    let store = keys.only(&[1, 0]).open(&fixture).await;
    assert_eq!(store.vault().sealing_key_id(), keys.ids()[1]);
    assert_eq!(store.maintain_keyring().await.unwrap(), Resealed { secrets: 209, unreadable: 1 });
    for _ in 0..3 {
        assert_eq!(store.maintain_keyring().await.unwrap(), Resealed { secrets: 0, unreadable: 1 });
    }
    assert_eq!(sealed_by(&store, keys.ids()[0]).await, 1);
    let status = store.keyring_status().await.unwrap();
    assert!(status.resealing && status.unreadable == 1, "the old key still seals something");
    assert!(matches!(store.prune_master_keys(account, fixture.origin()).await, Err(KeyringError::Resealing)));
    store.close().await;
}

async fn two_rotations_at_once_are_one(fixture: Arc<Fixture>) {
    let keys = Keys::new(&fixture, 1);
    let store = keys.open(&fixture).await;
    let account = fixture.account(&store).await.id;
    trunks::make(&fixture, &store, account, "support-01").await;
    let (one, two) =
        tokio::join!(rotate(&fixture, &store, account, None), rotate(&fixture, &store, account, None));
    assert_eq!((one.unwrap(), keys.ids().len()), (two.unwrap(), 2));
    assert_eq!(actions(&store, account).await.len(), 2, "added and activated once");
    store.close().await;
}

async fn a_second_rotation_does_not_return_to_the_old_key(fixture: Arc<Fixture>) {
    let keys = Keys::new(&fixture, 1);
    let store = keys.open(&fixture).await;
    let account = fixture.account(&store).await.id;
    let second = rotate(&fixture, &store, account, None).await.unwrap();
    finish(&store).await;
    let third = rotate(&fixture, &store, account, None).await.unwrap();
    assert_eq!(keys.ids()[1..], [second, third]);
    finish(&store).await;
    let added = store.add_master_key(account, fixture.origin()).await.unwrap().added;
    let fourth = rotate(&fixture, &store, account, None).await.unwrap();
    assert_eq!(added, [fourth], "a key that was added beforehand");
    store.close().await;
    // Its derived keys are still those of the first key.
    let store = keys.only(&[3]).open(&fixture).await;
    let report = store.verify_audit(account, None).await.unwrap();
    assert!(matches!(report.verdict, AuditVerdict::Intact { .. }), "{report:?}");
    store.close().await;
}

async fn a_key_that_seals_something_is_not_removed(fixture: Arc<Fixture>) {
    let keys = Keys::new(&fixture, 1);
    let store = keys.open(&fixture).await;
    let account = fixture.account(&store).await.id;
    trunks::make(&fixture, &store, account, "support-01").await;
    let first = keys.ids()[0];
    let pruned = async || store.prune_master_keys(account, fixture.origin()).await;
    assert_eq!(pruned().await.unwrap().removed, [], "the active key");
    let second = rotate(&fixture, &store, account, None).await.unwrap();
    assert!(matches!(pruned().await, Err(KeyringError::Resealing)));
    finish(&store).await;
    let next = store.add_master_key(account, fixture.origin()).await.unwrap().added[0];
    assert_eq!(pruned().await.unwrap().removed, [first]);
    assert_eq!((keys.ids(), store.vault().loaded()), (vec![second, next], vec![second, next]));
    assert_eq!(pruned().await.unwrap().removed, [], "a key that is about to replace the active one");
    assert_eq!(actions(&store, account).await[0], (AuditAction::MasterKeyRemoved, first.to_string()));
    store.close().await;
}

async fn a_secret_stored_with_the_old_key_after_its_pass_delays_the_end(fixture: Arc<Fixture>) {
    let keys = Keys::new(&fixture, 2);
    let store = keys.open(&fixture).await;
    let account = fixture.account(&store).await.id;
    let trunk = trunks::make(&fixture, &store, account, "support-01").await.trunk.id;
    let old = select(&store, "SELECT sip_digest FROM trunks", vec![]).await[0].bytes("sip_digest").unwrap();
    rotate(&fixture, &store, account, None).await.unwrap();
    assert_eq!(store.maintain_keyring().await.unwrap().secrets, 2);
    assert_eq!(store.maintain_keyring().await.unwrap().secrets, 0);
    // A request had sealed it before the activation, and stores it only now.
    let late = "UPDATE trunks SET sip_digest = $2 WHERE id = $1";
    execute(&store, late, binds![trunk.to_string(), &old[..]]).await;
    assert_eq!(store.maintain_keyring().await.unwrap().secrets, 1);
    assert!(store.keyring_status().await.unwrap().resealing);
    finish(&store).await;
    assert!(by_username(&store, "support-01").await.is_some());
    store.close().await;
}

async fn keys_added_to_the_file_are_loaded_while_the_process_runs(fixture: Arc<Fixture>) {
    let keys = Keys::new(&fixture, 2);
    let file = keys.only(&[0]);
    let store = file.open(&fixture).await;
    file.write(&keys.read().unwrap()).unwrap();
    store.maintain_keyring().await.unwrap();
    assert_eq!(store.vault().loaded(), keys.ids());
    assert_eq!(store.vault().sealing_key_id(), keys.ids()[0], "it seals nothing yet");
    file.write(&keys.only(&[0]).read().unwrap()).unwrap();
    store.maintain_keyring().await.unwrap();
    assert_eq!(store.vault().loaded(), keys.ids(), "a key that is gone stays loaded until the next start");
    store.close().await;
}

async fn an_unusable_file_of_keys_changes_nothing(fixture: Arc<Fixture>) {
    let keys = Keys::new(&fixture, 1);
    let store = keys.open(&fixture).await;
    let account = fixture.account(&store).await.id;
    *keys.0.lock().unwrap() = Err("master.key is readable by other users".to_owned());
    let refused = rotate(&fixture, &store, account, None).await.unwrap_err();
    assert_eq!(refused.to_string(), "master.key is readable by other users");
    assert!(matches!(store.maintain_keyring().await, Err(KeyringError::File(_))));
    assert_eq!(actions(&store, account).await, []);
    store.close().await;
    let fixed = StoreOptions::new(fixture.database.clone());
    let context = StoreContext { vault: Arc::clone(store.vault()), ..fixture.context.clone() };
    let store = Store::open(fixed, context).await.unwrap();
    let refused = rotate(&fixture, &store, account, None).await.unwrap_err();
    assert!(matches!(refused, KeyringError::Configured), "{refused}");
    store.close().await;
}
