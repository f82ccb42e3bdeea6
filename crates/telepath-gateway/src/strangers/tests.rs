//! Counting and taking back.

use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use super::*;

const NOW: Timestamp = Timestamp::from_unix_seconds(1_800_000_000);

fn address(number: u32) -> IpAddr {
    IpAddr::V4((0x0a00_0000 + number).into())
}

#[test]
fn attempts_are_counted_per_source_and_rule_and_the_latest_come_first() {
    let table = StrangerTable::default();
    let later = Timestamp::from_unix_seconds(1_800_000_060);
    table.record(address(1), "unknown_user", NOW);
    table.record(address(2), "malformed", NOW);
    table.record(address(1), "unknown_user", later);
    table.record(address(1), "malformed", NOW);
    let list = table.list();
    let counts: Vec<_> = list.strangers.iter().map(|s| (s.source, s.rule, s.attempts)).collect();
    assert_eq!(
        counts,
        [(address(1), "unknown_user", 2), (address(1), "malformed", 1), (address(2), "malformed", 1)]
    );
    assert_eq!((list.strangers[0].first_seen, list.strangers[0].last_seen), (NOW, later));
}

#[test]
fn hosts_of_one_ipv6_network_are_one_source() {
    let table = StrangerTable::default();
    for host in ["2001:db8::1", "2001:db8::2"] {
        table.record(host.parse().unwrap(), "malformed", NOW);
    }
    let list = table.list().strangers;
    assert_eq!((list.len(), list[0].attempts), (1, 2));
    assert_eq!(list[0].source, "2001:db8::".parse::<IpAddr>().unwrap());
}

#[test]
fn a_caller_that_authenticates_is_no_stranger_however_often_it_was_challenged() {
    let table = StrangerTable::default();
    let attempt = table.attempt(address(1), "call-1");
    for rule in ["no_credentials", "no_credentials", "foreign_nonce"] {
        table.record_attempt(attempt, rule, NOW);
    }
    table.take_back(attempt);
    table.take_back(attempt);
    assert_eq!(table.list(), SipStrangers::default());
}

#[test]
fn an_attempt_takes_back_no_count_of_another_one_of_its_source() {
    let table = StrangerTable::default();
    let of = |call_id| table.attempt(address(1), call_id);
    for scan in ["scan-1", "scan-2", "scan-3"] {
        table.record_attempt(of(scan), "no_credentials", NOW);
    }
    table.record(address(1), "no_credentials", NOW);
    // A caller that reuses its nonce, or whose source is trusted, was never counted.
    for call in ["call-1", "call-2", "call-3", "call-4", "call-5"] {
        table.take_back(of(call));
    }
    table.take_back(table.attempt(address(2), "scan-1"));
    assert_eq!(table.list().strangers[0].attempts, 4);
    table.take_back(of("scan-1"));
    assert_eq!(table.list().strangers[0].attempts, 3);
}

#[test]
fn an_entry_whose_counts_were_taken_back_begins_anew() {
    let table = StrangerTable::default();
    let attempt = table.attempt(address(1), "call-1");
    table.record_attempt(attempt, "no_credentials", NOW);
    table.take_back(attempt);
    let later = Timestamp::from_unix_seconds(1_800_000_060);
    table.record(address(1), "no_credentials", later);
    assert_eq!(table.list().strangers[0].first_seen, later);
}

#[test]
fn the_attempts_that_may_be_taken_back_are_bounded() {
    let table = StrangerTable::default();
    for call in 0..2 * MAX_ATTEMPTS {
        let attempt = table.attempt(address(1), &call.to_string());
        table.record_attempt(attempt, "no_credentials", NOW);
        if call % 2 == 0 {
            table.take_back(attempt);
        }
    }
    let entries = table.entries();
    assert!(entries.attempts.len() <= MAX_ATTEMPTS && entries.attempt_order.len() <= MAX_ATTEMPTS);
    drop(entries);
    let first = table.attempt(address(1), "1");
    table.take_back(first);
    assert_eq!(table.list().strangers[0].attempts, MAX_ATTEMPTS as u64, "it came too late");
}

#[test]
fn a_flood_of_forged_sources_is_bounded_and_keeps_those_that_return() {
    let table = StrangerTable::default();
    for flood in 0..100_000 {
        table.record(address(flood + 10), "no_credentials", NOW);
        if flood % 1_000 == 0 {
            table.record(address(1), "unknown_user", NOW);
        }
    }
    let entries = table.entries();
    assert_eq!(entries.by_key.len(), MAX_ENTRIES);
    assert_eq!(entries.order.len(), MAX_ENTRIES);
    let persistent = &entries.by_key[&(AddressBlock::of(address(1)), "unknown_user")];
    assert_eq!(persistent.attempts, 100);
    let counted: u64 = entries.by_key.values().map(|entry| entry.attempts).sum();
    assert_eq!(counted + entries.forgotten, 100_100, "every attempt is counted");
}

/// What happens to one of a few callers behind a few sources.
#[derive(Debug, Clone, Copy)]
enum Step {
    /// A request of an attempt is counted.
    Attempt { source: u32, call: u8, rule: usize },
    /// A request is counted for good.
    Final { source: u32, rule: usize },
    /// The attempt reaches a trunk.
    Authenticates { source: u32, call: u8 },
    /// So many other sources appear that the table forgets some.
    Flood { sources: u32 },
}

const RULES: [&str; 3] = ["no_credentials", "foreign_nonce", "malformed"];

fn step() -> impl Strategy<Value = Step> {
    let (source, call, rule) = (1_u32..4, 0_u8..4, 0..RULES.len());
    prop_oneof![
        6 => (source.clone(), call.clone(), rule.clone())
            .prop_map(|(source, call, rule)| Step::Attempt { source, call, rule }),
        2 => (source.clone(), rule).prop_map(|(source, rule)| Step::Final { source, rule }),
        4 => (source, call).prop_map(|(source, call)| Step::Authenticates { source, call }),
        1 => (1_u32..5_000).prop_map(|sources| Step::Flood { sources }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, rng_seed: RngSeed::Fixed(1), ..ProptestConfig::default() })]

    /// The model counts every attempt apart, and forgets nothing.
    #[test]
    fn every_attempt_takes_back_exactly_what_it_counted(steps in proptest::collection::vec(step(), 1..60)) {
        let table = StrangerTable::default();
        let mut open: HashMap<(u32, u8), u64> = HashMap::new();
        let mut settled: u64 = 0;
        let mut flooding = 0;
        for step in steps {
            match step {
                Step::Attempt { source, call, rule } => {
                    let attempt = table.attempt(address(source), &call.to_string());
                    table.record_attempt(attempt, RULES[rule], NOW);
                    *open.entry((source, call)).or_default() += 1;
                }
                Step::Final { source, rule } => {
                    table.record(address(source), RULES[rule], NOW);
                    settled += 1;
                }
                Step::Authenticates { source, call } => {
                    table.take_back(table.attempt(address(source), &call.to_string()));
                    open.remove(&(source, call));
                }
                Step::Flood { sources } => {
                    for number in 0..sources {
                        table.record(address(1_000 + (flooding + number) % 10_000), "no_credentials", NOW);
                    }
                    flooding += sources;
                    settled += u64::from(sources);
                }
            }
            let list = table.list();
            let listed: u64 = list.strangers.iter().map(|stranger| stranger.attempts).sum();
            prop_assert_eq!(listed + list.forgotten_attempts, settled + open.values().sum::<u64>());
            prop_assert!(table.entries().order.len() <= MAX_ENTRIES);
        }
        let calls = open.keys().copied().collect::<Vec<_>>();
        for (source, call) in calls {
            table.take_back(table.attempt(address(source), &call.to_string()));
        }
        let list = table.list();
        let listed: u64 = list.strangers.iter().map(|stranger| stranger.attempts).sum();
        prop_assert_eq!(listed + list.forgotten_attempts, settled);
    }
}
