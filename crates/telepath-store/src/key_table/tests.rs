use std::time::Duration;

use telepath_core::clock::Timestamp;
use telepath_core::id::AccountId;
use telepath_core::key::{KeyPolicy, Preset};
use telepath_core::limit::RateLimit;
use telepath_core::limit::quota::Quotas;

use super::snapshot::{GracePeriod, SnapshotEnd, SnapshotSecret};
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
        name: "key".into(),
        preset: Preset::Custom,
        policy: KeyPolicy {
            scopes: ScopeSet::all(),
            rate_limit: RateLimit::per_minute(requests).unwrap(),
            trunks: TrunkAccess::ALL,
            quotas: Quotas::default(),
            allowed_ips: None,
            not_before: None,
            expires_at: None,
            paused: false,
            revoked: false,
        },
        version,
        secrets: hashes.iter().map(|hash| SnapshotSecret { hash: *hash, end: None }).collect(),
    }
}

fn limit_of(table: &KeyTable, hash: &HashedKey) -> Option<u32> {
    match table.admit(&table.find(hash)?, hash, ADDRESS, NOW) {
        Admission::Admitted { window, .. } | Admission::Limited { window } => Some(window.limit.get()),
        Admission::WrongAddress
        | Admission::Unusable
        | Admission::InDoubt
        | Admission::NoLease
        | Admission::LimiterUnavailable => None,
    }
}

#[test]
fn keys_with_the_same_index_number_are_distinct() {
    let table = KeyTable::empty();
    for number in 1..=4 {
        table.apply(snapshot(id(number), 1, number.into(), &[colliding(number)]), 0);
    }
    assert_eq!(table.len(), 4);
    for number in 1..=4 {
        assert_eq!(table.find(&colliding(number)).unwrap().key_id(), id(number));
        assert_eq!(limit_of(&table, &colliding(number)), Some(number.into()));
    }
    assert!(table.find(&colliding(9)).is_none());
    table.apply(snapshot(id(1), 2, 10, &[colliding(7)]), 0);
    assert!(table.find(&colliding(1)).is_none());
    for (hash, owner) in [(7, 1), (2, 2), (3, 3), (4, 4)] {
        assert_eq!(table.find(&colliding(hash)).unwrap().key_id(), id(owner));
    }
}

#[test]
fn an_older_version_does_not_replace_a_newer_one() {
    let table = KeyTable::empty();
    let hash = colliding(1);
    table.apply(snapshot(id(1), 3, 30, &[hash]), 0);
    table.apply(snapshot(id(1), 2, 20, &[hash, colliding(2)]), 0);
    assert_eq!(limit_of(&table, &hash), Some(30));
    assert!(table.find(&colliding(2)).is_none());
    table.mark_in_doubt(id(1));
    table.apply(snapshot(id(1), 3, 30, &[hash]), 0);
    assert_eq!(table.admit(&table.find(&hash).unwrap(), &hash, ADDRESS, NOW), Admission::InDoubt);
    // Another server's change may be older than the one of unknown outcome; the next own change waited for it.
    table.apply(snapshot(id(1), 4, 40, &[hash]), 0);
    assert_eq!(table.admit(&table.find(&hash).unwrap(), &hash, ADDRESS, NOW), Admission::InDoubt);
    assert!(table.apply_own(snapshot(id(1), 5, 50, &[hash]), table.begin_change()));
    assert_eq!(limit_of(&table, &hash), Some(50));
    assert!(table.take_in_doubt().is_empty());
}

#[test]
fn a_handle_of_a_removed_secret_is_refused() {
    let table = KeyTable::empty();
    let [old, new] = [colliding(1), colliding(2)];
    table.apply(snapshot(id(1), 1, 5, &[old]), 0);
    let handle = table.find(&old).unwrap();
    table.apply(snapshot(id(1), 2, 5, &[new, old]), 0);
    assert!(matches!(table.admit(&handle, &old, ADDRESS, NOW), Admission::Admitted { .. }));
    table.apply(snapshot(id(1), 3, 5, &[new]), 0);
    assert_eq!(table.admit(&handle, &old, ADDRESS, NOW), Admission::Unusable);
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
    let ends_at = NOW.wall.plus(Duration::from_secs(50));
    key.secrets[1].end = Some(SnapshotEnd::Grace(GracePeriod { granted_at: NOW.wall, ends_at }));
    key
}

#[test]
fn what_was_refused_as_expired_stays_refused_when_the_clock_is_set_back() {
    let table = KeyTable::empty();
    let [current, in_grace] = [2, 3].map(colliding);
    table.apply(expiring(1, 100, [current, in_grace]), 0);
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
    table.apply(expiring(2, 100, [current, in_grace]), 0);
    assert_eq!([admit(current, 0), admit(in_grace, 0)], [false, false]);
    // A later expiry does.
    table.apply(expiring(3, 200, [current, in_grace]), 0);
    assert_eq!([admit(current, 0), admit(in_grace, 0)], [true, false]);
    // A new process only knows what the database says.
    let restarted = KeyTable::empty();
    restarted.apply(expiring(2, 100, [current, in_grace]), 0);
    let admission = restarted.admit(&restarted.find(&current).unwrap(), &current, ADDRESS, NOW);
    assert!(matches!(admission, Admission::Admitted { .. }));
}

#[test]
fn a_grace_period_ends_by_the_steady_clock_whatever_the_wall_clock_shows() {
    let after = |seconds: i64| ClockReading {
        wall: NOW.wall.plus(Duration::from_hours(24 * 365)),
        steady: NOW.steady.plus_ms(seconds * 1000),
    };
    let [current, in_grace] = [2, 3].map(colliding);
    let ahead =
        GracePeriod { granted_at: after(0).wall, ends_at: after(0).wall.plus(Duration::from_secs(50)) };
    let granted_ahead = |version| {
        let mut key = snapshot(id(1), version, 5, &[current, in_grace]);
        key.secrets[1].end = Some(SnapshotEnd::Grace(ahead));
        key
    };
    let table = KeyTable::empty();
    table.apply(granted_ahead(1), 0);
    let admit = |at: ClockReading| {
        let admission = table.admit(&table.find(&in_grace).unwrap(), &in_grace, ADDRESS, at);
        matches!(admission, Admission::Admitted { .. })
    };
    // The clock was corrected: its wall time is long before the end.
    let corrected = |seconds: i64| ClockReading { wall: NOW.wall, ..after(seconds) };
    assert!(admit(corrected(49)));
    // A change of something else, read later, prolongs nothing.
    table.apply(granted_ahead(2), 0);
    assert!(!admit(corrected(50)));
    assert!(!admit(corrected(0)), "what was refused stays refused");
}

#[test]
fn each_changed_count_is_listed_once_until_it_is_taken() {
    let table = KeyTable::empty();
    for number in 1..=2 {
        table.apply(snapshot(id(number), 1, 10, &[colliding(number)]), 0);
    }
    let admit = |number| limit_of(&table, &colliding(number)).unwrap();
    for number in [1, 2, 1, 1] {
        admit(number);
    }
    let taken = table.take_changed_counts();
    assert_eq!(
        taken.iter().map(|counts| (counts.key, counts.window.used())).collect::<Vec<_>>(),
        [(id(1), 3), (id(2), 1)]
    );
    assert!(table.take_changed_counts().is_empty());
    admit(2);
    table.put_back_changed_counts(&taken);
    let again = table.take_changed_counts();
    assert_eq!(
        again.iter().map(|counts| (counts.key, counts.window.used())).collect::<Vec<_>>(),
        [(id(2), 2), (id(1), 3)]
    );
}

#[test]
fn a_reload_replaces_newer_versions_and_ends_keys_that_the_database_does_not_have() {
    let table = KeyTable::empty();
    let [kept, secret_lost, key_lost] = [2, 3, 4].map(colliding);
    table.apply(snapshot(id(1), 5, 10, &[kept, secret_lost]), 0);
    table.apply(snapshot(id(2), 1, 10, &[key_lost]), 0);
    let handle = table.find(&key_lost).unwrap();
    let reload = table.begin_reload();
    table.apply(snapshot(id(1), 4, 20, &[kept]), reload);
    table.end_reload(reload);
    assert_eq!((limit_of(&table, &kept), limit_of(&table, &secret_lost)), (Some(20), None));
    assert!(table.find(&key_lost).is_none());
    assert_eq!(
        table.admit(&handle, &key_lost, ADDRESS, NOW),
        Admission::Unusable,
        "also for a request on its way"
    );
    assert_eq!(table.len(), 1);
    // The version that was lost is used again.
    table.apply(snapshot(id(1), 5, 30, &[kept]), reload);
    assert_eq!(limit_of(&table, &kept), Some(30));
}

#[test]
fn a_change_that_was_committed_before_a_reload_leaves_the_key_in_doubt() {
    let table = KeyTable::empty();
    let hash = colliding(2);
    table.apply(snapshot(id(1), 1, 10, &[hash]), 0);
    let begun = table.begin_change();
    let reload = table.begin_reload();
    table.apply(snapshot(id(1), 1, 10, &[hash]), reload);
    table.end_reload(reload);
    assert!(!table.apply_own(snapshot(id(1), 2, 20, &[hash]), begun));
    assert_eq!(table.admit(&table.find(&hash).unwrap(), &hash, ADDRESS, NOW), Admission::InDoubt);
    let [(in_doubt, number)] = table.take_in_doubt()[..] else { panic!("one key") };
    assert_eq!(in_doubt, id(1));
    table.resolve(snapshot(id(1), 2, 20, &[hash]), number, reload);
    assert_eq!(limit_of(&table, &hash), Some(20));
}

#[test]
fn a_second_change_of_unknown_outcome_keeps_the_key_in_doubt() {
    let table = KeyTable::empty();
    let hash = colliding(2);
    table.apply(snapshot(id(1), 1, 10, &[hash]), 0);
    table.mark_in_doubt(id(1));
    let [(_, number)] = table.take_in_doubt()[..] else { panic!("one key") };
    // The state was read; before it is applied, another commit remains unconfirmed.
    table.mark_in_doubt(id(1));
    table.resolve(snapshot(id(1), 1, 10, &[hash]), number, 0);
    assert_eq!(limit_of(&table, &hash), None);
    let [(_, last)] = table.take_in_doubt()[..] else { panic!("listed again") };
    assert!(last > number);
    table.resolve(snapshot(id(1), 2, 20, &[hash]), last, 0);
    assert_eq!(limit_of(&table, &hash), Some(20));
}
