//! Trunks by source address and dialled number.

use std::collections::BTreeMap;
use std::sync::Arc;

use telepath_core::id::{AccountId, TrunkId};
use telepath_core::ports::CallControl as _;
use telepath_core::trunk::{E164, NewTrunk, SipUsername, TrunkLookup, TrunkMatch, TrunkPatchDraft};

use super::trunks::custom;
use super::{Fixture, behaviour, execute, select};
use crate::options::Database;
use crate::store::Store;

behaviour! {
    a_trusted_source_finds_its_trunk_by_number,
    a_number_without_an_international_form_reaches_a_trunk_that_takes_any_number,
    a_user_name_wins_only_if_its_trunk_trusts_the_source,
    a_changed_or_deleted_number_is_no_longer_found,
    the_migration_indexes_the_numbers_of_existing_trunks,
}

const CARRIER: [u8; 4] = [203, 0, 113, 7];

async fn create(
    fixture: &Fixture,
    store: &Store,
    account: AccountId,
    (name, networks, numbers): (&str, &str, &[&str]),
) -> TrunkId {
    let mut new = NewTrunk { allowed_ips: networks.parse().unwrap(), ..custom(name) };
    new.settings.inbound_numbers = numbers.iter().map(|text| number(text)).collect();
    store.create_trunk(account, new, fixture.origin()).await.unwrap().trunk.id
}

fn number(text: &str) -> E164 {
    E164::try_from(text.to_owned()).unwrap()
}

async fn dial(store: &Store, source: [u8; 4], user: &str, numbers: &[&str]) -> TrunkMatch {
    let lookup = TrunkLookup {
        source: source.into(),
        credentials: None,
        called_user: SipUsername::try_from(user.to_owned()).ok(),
        called_numbers: numbers.iter().map(|text| number(text)).collect(),
        calls_a_number: true,
    };
    store.find_trunk(&lookup).await.unwrap()
}

fn found(result: &TrunkMatch) -> Option<TrunkId> {
    match result {
        TrunkMatch::Found(trunk) => Some(trunk.trunk.id),
        TrunkMatch::NotFound | TrunkMatch::NumberNotListed(_) | TrunkMatch::AmbiguousNumber(_) => None,
    }
}

async fn a_trusted_source_finds_its_trunk_by_number(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let sales = create(&fixture, &store, account, ("sales", "203.0.113.0/24", &["+15550100123"])).await;
    let support = create(&fixture, &store, account, ("support", "203.0.113.7", &["+15550100124"])).await;
    let dialled = async |numbers: &[&str]| dial(&store, CARRIER, "", numbers).await;
    assert_eq!(found(&dialled(&["+15550100123"]).await), Some(sales));
    assert_eq!(found(&dialled(&["+15550100199", "+15550100124"]).await), Some(support), "the number of To");
    let TrunkMatch::NumberNotListed(owners) = dialled(&["+15550100199"]).await else { panic!("listed") };
    let listed = owners.iter().map(|trunk| (trunk.owner.trunk, trunk.numbers.clone()));
    assert_eq!(
        listed.collect::<BTreeMap<_, _>>(),
        BTreeMap::from([(sales, vec![number("+15550100123")]), (support, vec![number("+15550100124")])])
    );
    let elsewhere = dial(&store, [198, 51, 100, 1], "", &["+15550100123"]).await;
    assert!(matches!(elsewhere, TrunkMatch::NotFound), "{elsewhere:?}");
    create(&fixture, &store, account, ("copy-01", "203.0.113.7", &["+15550100123"])).await;
    assert!(matches!(dialled(&["+15550100123"]).await, TrunkMatch::AmbiguousNumber(_)));
    create(&fixture, &store, account, ("open-01", "203.0.113.7", &[])).await;
    assert!(found(&dialled(&["+15550100199"]).await).is_some(), "a trunk that takes any number");
    let other = fixture.other_account(&store).await;
    create(&fixture, &store, other, ("digest-01", "", &[])).await;
    assert!(matches!(dialled(&["+15550100199"]).await, TrunkMatch::NotFound), "needs credentials");
    store.close().await;
}

async fn a_number_without_an_international_form_reaches_a_trunk_that_takes_any_number(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    create(&fixture, &store, account, ("listed", "203.0.113.7", &["+493012345678"])).await;
    let dialled = async |user: &str| dial(&store, CARRIER, user, &[]).await;
    let TrunkMatch::NumberNotListed(trunks) = dialled("03012345678").await else { panic!("listed") };
    assert_eq!(trunks[0].numbers, [number("+493012345678")]);
    assert!(matches!(dial(&store, [198, 51, 100, 1], "03012345678", &[]).await, TrunkMatch::NotFound));
    let open = create(&fixture, &store, account, ("open-01", "203.0.113.7", &[])).await;
    assert_eq!(found(&dialled("03012345678").await), Some(open));
    store.close().await;
}

async fn a_user_name_wins_only_if_its_trunk_trusts_the_source(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let listed = create(&fixture, &store, account, ("listed", "203.0.113.7", &["+15550100123"])).await;
    let named = create(&fixture, &store, account, ("15550100123", "", &[])).await;
    let dialled = async |source| found(&dial(&store, source, "15550100123", &["+15550100123"]).await);
    assert_eq!(dialled(CARRIER).await, Some(listed));
    assert_eq!(dialled([198, 51, 100, 1]).await, Some(named));
    store.close().await;
}

async fn a_changed_or_deleted_number_is_no_longer_found(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let trunk = create(&fixture, &store, account, ("sales", "203.0.113.7", &["+15550100123"])).await;
    let draft = TrunkPatchDraft {
        inbound_numbers: Some(vec!["+15550100124".to_owned()]),
        ..TrunkPatchDraft::default()
    };
    store.update_trunk(account, trunk, draft, fixture.origin()).await.unwrap();
    assert_eq!(found(&dial(&store, CARRIER, "", &["+15550100123"]).await), None);
    assert_eq!(found(&dial(&store, CARRIER, "", &["+15550100124"]).await), Some(trunk));
    store.delete_trunk(account, trunk, fixture.origin()).await.unwrap();
    assert_eq!(found(&dial(&store, CARRIER, "", &["+15550100124"]).await), None);
    assert!(select(&store, "SELECT number FROM trunk_numbers", vec![]).await.is_empty());
    store.close().await;
}

async fn the_migration_indexes_the_numbers_of_existing_trunks(fixture: Arc<Fixture>) {
    let store = fixture.open().await;
    let account = fixture.account(&store).await.id;
    let trunk =
        create(&fixture, &store, account, ("sales", "203.0.113.7", &["+15550100123", "+15550100124"])).await;
    create(&fixture, &store, account, ("open-01", "203.0.113.8", &[])).await;
    execute(&store, "DELETE FROM trunk_numbers", vec![]).await;
    let script =
        crate::migrate::MIGRATIONS.iter().find(|found| found.name.ends_with("_trunk_numbers")).unwrap();
    let script = match fixture.database {
        Database::Sqlite { .. } => script.sqlite,
        Database::Postgres { .. } => script.postgres,
    };
    let insert: &'static str = &script[script.find("INSERT").unwrap()..];
    execute(&store, insert, vec![]).await;
    assert_eq!(found(&dial(&store, CARRIER, "", &["+15550100124"]).await), Some(trunk));
    assert_eq!(select(&store, "SELECT number FROM trunk_numbers", vec![]).await.len(), 2);
    store.close().await;
}
