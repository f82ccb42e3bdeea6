//! Master keys of several servers on one database.

use std::sync::Arc;

use telepath_core::keyring::MasterKeyFile as _;
use telepath_core::vault::Vault;

use super::{Keys, actions, finish, rotate};
use crate::context::StoreContext;
use crate::error::StoreError;
use crate::keyring::KeyringError;
use crate::options::StoreOptions;
use crate::store::Store;
use crate::suite::{Fixture, execute, on};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_another_server_has_not_loaded_is_not_activated() {
    let Some(fixture) = Fixture::postgres().await else { return };
    on(fixture, async |fixture: Arc<Fixture>| {
        let keys = Keys::new(&fixture, 2);
        let store = keys.open(&fixture).await;
        let account = fixture.account(&store).await.id;
        // Its heartbeat never changes, so it is a server that cannot be evicted before a lease has passed; it shares windows.
        let join = "INSERT INTO nodes (id, name, started_at, shared_windows, beats, confirmed_version, alive_at, \
                    sealing_key, master_keys) SELECT 'node_00000000000000000000000000', 'other', 1, 0, 0, 0, 1, \
                    sealing_key, sealing_key FROM nodes";
        execute(&store, join, vec![]).await;
        let refused = rotate(&fixture, &store, account, None).await.unwrap_err();
        assert!(
            matches!(&refused, KeyringError::MissingOnServer { server, .. } if server == "other"),
            "{refused}"
        );
        assert_eq!(actions(&store, account).await, [], "nothing was activated");
        execute(&store, "DELETE FROM nodes WHERE name = 'other'", vec![]).await;
        rotate(&fixture, &store, account, None).await.unwrap();
        let join = "INSERT INTO nodes (id, name, started_at, shared_windows, beats, confirmed_version, alive_at, \
                    sealing_key, master_keys) SELECT 'node_00000000000000000000000000', 'other', 1, 0, 0, 0, 1, \
                    'the old key', '' FROM nodes";
        execute(&store, join, vec![]).await;
        for _ in 0..2 {
            store.maintain_keyring().await.unwrap();
        }
        execute(&store, "DELETE FROM nodes WHERE name = 'other'", vec![]).await;
        finish(&store).await;
        store.close().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_started_before_an_activation_follows_or_is_refused() {
    let Some(fixture) = Fixture::postgres().await else { return };
    on(fixture, async |fixture: Arc<Fixture>| {
        let keys = Keys::new(&fixture, 2);
        let store = keys.open(&fixture).await;
        let account = fixture.account(&store).await.id;
        // A command on another machine.
        let (both, old) = (Vault::of_keyring(&keys.read().unwrap(), None).unwrap(), keys.only(&[0]));
        let context = StoreContext { vault: Arc::new(both), ..fixture.context.clone() };
        let options = StoreOptions {
            role: crate::cluster::ProcessRole::Admin,
            ..StoreOptions::new(fixture.database.clone())
        };
        let other = Store::open(options, context).await.unwrap();
        rotate(&fixture, &store, account, None).await.unwrap();
        other.maintain_keyring().await.unwrap();
        assert_eq!(other.vault().sealing_key_id(), keys.ids()[1]);
        other.close().await;
        store.close().await;

        let context = StoreContext {
            vault: Arc::new(Vault::new(&old.read().unwrap()[0]).unwrap()),
            ..fixture.context.clone()
        };
        let refused = Store::open(StoreOptions::new(fixture.database.clone()), context).await.err();
        assert!(matches!(refused, Some(StoreError::WrongMasterKey { .. })), "{refused:?}");
    })
    .await;
}
