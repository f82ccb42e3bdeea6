use telepath_core::key::KeyPolicy;
use telepath_core::limit::RateLimit;

use super::entry::SnapshotSecret;
use super::*;

const NOW: ClockReading = ClockReading::in_step(Timestamp::from_unix_seconds(1_800_000_000));
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

/// A key that expires 100 s after [`NOW`], with one secret that ends after 50 s.
fn expiring(version: i64, expires_in: i64, hashes: [HashedKey; 2]) -> Snapshot {
    let after = |seconds: i64| Some(Timestamp::from_unix_ms(NOW.wall.unix_ms() + seconds * 1000));
    let mut key = snapshot(id(1), version, 5, &hashes);
    key.policy.expires_at = after(expires_in);
    key.secrets[1].expires_at = after(50);
    key
}

#[test]
fn what_was_refused_as_expired_stays_refused_when_the_clock_is_set_back() {
    let table = KeyTable::empty();
    let [current, in_grace] = [2, 3].map(colliding);
    table.apply(expiring(1, 100, [current, in_grace]));
    let admit = |hash, seconds: i64| {
        let wall = Timestamp::from_unix_ms(NOW.wall.unix_ms() + seconds * 1000);
        let admission =
            table.admit(&table.find(&hash).unwrap(), &hash, ADDRESS, ClockReading { wall, ..NOW });
        matches!(admission, Admission::Admitted { .. })
    };
    assert_eq!([admit(current, 0), admit(in_grace, 0)], [true, true]);
    // The clock steps ahead and is corrected; only what was used meanwhile is remembered.
    assert!(admit(current, 60));
    assert_eq!([admit(in_grace, 60), admit(in_grace, 0)], [false, false]);
    assert_eq!([admit(current, 100), admit(current, 0)], [false, false]);
    // A change of something else does not revive it.
    table.apply(expiring(2, 100, [current, in_grace]));
    assert_eq!([admit(current, 0), admit(in_grace, 0)], [false, false]);
    // A later expiry does.
    table.apply(expiring(3, 200, [current, in_grace]));
    assert_eq!([admit(current, 0), admit(in_grace, 0)], [true, false]);
    // A new process only knows what the database says.
    let restarted = KeyTable::empty();
    restarted.apply(expiring(2, 100, [current, in_grace]));
    let admission = restarted.admit(&restarted.find(&current).unwrap(), &current, ADDRESS, NOW);
    assert!(matches!(admission, Admission::Admitted { .. }));
}

#[test]
fn each_changed_window_is_listed_once_until_it_is_taken() {
    let table = KeyTable::empty();
    for number in 1..=2 {
        table.apply(snapshot(id(number), 1, 10, &[colliding(number)]));
    }
    let admit = |number| limit_of(&table, &colliding(number)).unwrap();
    for number in [1, 2, 1, 1] {
        admit(number);
    }
    let taken = table.take_changed_windows();
    assert_eq!(
        taken.iter().map(|(id, window)| (*id, window.used())).collect::<Vec<_>>(),
        [(id(1), 3), (id(2), 1)]
    );
    assert!(table.take_changed_windows().is_empty());
    admit(2);
    table.put_back_changed_windows(&taken);
    let again = table.take_changed_windows();
    assert_eq!(
        again.iter().map(|(id, window)| (*id, window.used())).collect::<Vec<_>>(),
        [(id(2), 2), (id(1), 3)]
    );
}
