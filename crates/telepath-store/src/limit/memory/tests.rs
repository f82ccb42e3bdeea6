use std::net::Ipv4Addr;

use super::*;

const NOW: SteadyTime = SteadyTime::from_ms(1_800_000_000_000);

fn limit(requests: u32) -> RateLimit {
    RateLimit::per_minute(requests).unwrap()
}

fn host(number: u32) -> IpAddr {
    Ipv4Addr::from_bits(0x0a00_0000 + number).into()
}

fn counted(windows: &AddressWindows) -> usize {
    windows.sets.iter().map(|set| set.lock().unwrap().iter().flatten().count()).sum()
}

#[test]
fn an_address_is_admitted_up_to_the_limit_and_again_in_the_next_window() {
    let windows = AddressWindows::new(limit(3));
    let admitted = |now| matches!(windows.take(host(1), now), Take::Admitted(_));
    assert_eq!([admitted(NOW), admitted(NOW), admitted(NOW), admitted(NOW)], [true, true, true, false]);
    assert!(admitted(NOW.plus_ms(60_000)));
}

#[test]
fn peeking_counts_nothing() {
    let windows = AddressWindows::new(limit(3));
    assert_eq!(windows.peek(host(1), NOW).remaining, 3);
    let _ = windows.take(host(1), NOW);
    assert_eq!(windows.peek(host(1), NOW).remaining, 2);
    assert_eq!(windows.peek(host(1), NOW).remaining, 2);
    assert_eq!(counted(&windows), 1);
}

#[test]
fn addresses_of_one_ipv6_64_share_a_window() {
    let windows = AddressWindows::new(limit(3));
    let _ = windows.take("2001:db8::1".parse().unwrap(), NOW);
    assert_eq!(windows.peek("2001:db8::2".parse().unwrap(), NOW).remaining, 2);
    assert_eq!(windows.peek("2001:db8:0:1::2".parse().unwrap(), NOW).remaining, 3);
}

#[test]
fn a_flood_of_addresses_is_bounded_and_keeps_the_heaviest() {
    let windows = AddressWindows::with_sets(limit(100), 4);
    for _ in 0..50 {
        let _ = windows.take(host(0), NOW);
    }
    for number in 1..20_000 {
        let _ = windows.take(host(number), NOW);
    }
    assert_eq!(counted(&windows), 4 * WAYS);
    assert_eq!(windows.peek(host(0), NOW).remaining, 50);
}

#[test]
fn windows_of_an_earlier_minute_are_evicted_first() {
    let windows = AddressWindows::with_sets(limit(100), 1);
    for _ in 0..50 {
        let _ = windows.take(host(0), NOW);
    }
    let later = NOW.plus_ms(60_000);
    for number in 1..=8 {
        let _ = windows.take(host(number), later);
        let _ = windows.take(host(number), later);
    }
    for number in 1..=8 {
        assert_eq!(windows.peek(host(number), later).remaining, 98, "{number}");
    }
}
