use telepath_core::key::KeyPolicy;
use telepath_core::limit::RateLimit;

use super::entry::SnapshotSecret;
use super::*;

const NOW: Timestamp = Timestamp::from_unix_seconds(1_800_000_000);
const ADDRESS: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 7));

/// Hashes that differ only in the last byte, so that they share one index number.
fn colliding(last: u8) -> HashedKey {
    let mut bytes = [3; 32];
    bytes[31] = last;
    HashedKey::from_bytes(bytes)
}

/// Ids that differ only in the first byte, so that they share one index number.
fn id(first: u8) -> KeyId {
    let mut bytes = [5; 16];
    bytes[0] = first;
    KeyId::from_bytes(bytes)
}

fn snapshot(id: KeyId, version: i64, requests: u32, hashes: &[HashedKey]) -> Snapshot {
    Snapshot {
        id,
        account: AccountId::from_bytes([1; 16]),
        policy: KeyPolicy {
            scopes: ScopeSet::all(),
            rate_limit: RateLimit::per_minute(requests).unwrap(),
            allowed_ips: None,
            not_before: None,
            expires_at: None,
            revoked: false,
        },
        version,
        secrets: hashes.iter().map(|hash| SnapshotSecret { hash: *hash, expires_at: None }).collect(),
    }
}

fn limit_of(table: &KeyTable, hash: &HashedKey) -> Option<u32> {
    match table.admit(&table.find(hash)?, hash, ADDRESS, NOW) {
        Admission::Admitted { window, .. } | Admission::Limited { window } => Some(window.limit.get()),
        Admission::WrongAddress
        | Admission::Dead
        | Admission::InDoubt
        | Admission::NoLease
        | Admission::LimiterUnavailable => None,
    }
}

#[test]
fn keys_with_the_same_index_number_are_distinct() {
    let table = KeyTable::empty();
    for number in 1..=4 {
        table.apply(snapshot(id(number), 1, number.into(), &[colliding(number)]));
    }
    assert_eq!(table.len(), 4);
    for number in 1..=4 {
        assert_eq!(table.find(&colliding(number)).unwrap().key_id(), id(number));
        assert_eq!(limit_of(&table, &colliding(number)), Some(number.into()));
    }
    assert!(table.find(&colliding(9)).is_none());
    table.apply(snapshot(id(1), 2, 10, &[colliding(7)]));
    assert!(table.find(&colliding(1)).is_none());
    for (hash, owner) in [(7, 1), (2, 2), (3, 3), (4, 4)] {
        assert_eq!(table.find(&colliding(hash)).unwrap().key_id(), id(owner));
    }
}

#[test]
fn an_older_version_does_not_replace_a_newer_one() {
    let table = KeyTable::empty();
    let hash = colliding(1);
    table.apply(snapshot(id(1), 3, 30, &[hash]));
    table.apply(snapshot(id(1), 2, 20, &[hash, colliding(2)]));
    assert_eq!(limit_of(&table, &hash), Some(30));
    assert!(table.find(&colliding(2)).is_none());
    table.mark_in_doubt(id(1));
    table.apply(snapshot(id(1), 3, 30, &[hash]));
    assert_eq!(table.admit(&table.find(&hash).unwrap(), &hash, ADDRESS, NOW), Admission::InDoubt);
    table.apply(snapshot(id(1), 4, 40, &[hash]));
    assert_eq!(limit_of(&table, &hash), Some(40));
}

#[test]
fn a_handle_of_a_removed_secret_is_refused() {
    let table = KeyTable::empty();
    let [old, new] = [colliding(1), colliding(2)];
    table.apply(snapshot(id(1), 1, 5, &[old]));
    let handle = table.find(&old).unwrap();
    table.apply(snapshot(id(1), 2, 5, &[new, old]));
    assert!(matches!(table.admit(&handle, &old, ADDRESS, NOW), Admission::Admitted { .. }));
    table.apply(snapshot(id(1), 3, 5, &[new]));
    assert_eq!(table.admit(&handle, &old, ADDRESS, NOW), Admission::Dead);
    assert!(
        matches!(table.admit(&handle, &new, ADDRESS, NOW), Admission::Admitted { window, .. } if window.remaining == 3)
    );
}

#[test]
fn a_key_in_memory_fits_the_budget_for_a_million_keys() {
    assert!(size_of::<KeyEntry>() <= 240, "{} bytes", size_of::<KeyEntry>());
}
