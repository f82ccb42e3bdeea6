//! A flood of requests without a valid key from a million IPv6 networks, each of which the per-address window counts.
//! Measures memory and time, and checks that the busiest address stays limited.

use std::net::{IpAddr, Ipv6Addr};
use std::time::Instant;

use anyhow::{Context as _, ensure};
use telepath_core::clock::SteadyTime;
use telepath_core::limit::{RateLimit, Take};
use telepath_store::AddressWindows;

use crate::process::resident_kib;
use crate::table::{Table, progress};

const ADDRESSES: u32 = 1_000_000;
/// The default limit of an address.
const LIMIT: u32 = 600;

pub(crate) fn measure(table: &mut Table) -> anyhow::Result<()> {
    progress("a million addresses");
    let limit = RateLimit::per_minute(LIMIT).context("a limit")?;
    let now = SteadyTime::from_ms(1_800_000_000_000);
    let windows = AddressWindows::new(limit);
    let brute: IpAddr = "2001:db8:ffff:ffff::1".parse()?;
    // Warm up, so that first-touched pages do not count as growth.
    flood(&windows, ADDRESSES / 10, now);
    while matches!(windows.take(brute, now), Take::Admitted(_)) {}
    let before = resident_kib(std::process::id())?;
    let started = Instant::now();
    flood(&windows, ADDRESSES, now);
    let each = started.elapsed() / ADDRESSES;
    let grown = resident_kib(std::process::id())?.saturating_sub(before);
    ensure!(
        matches!(windows.take(brute, now), Take::Full(_)),
        "the flood pushed out an address whose window was full"
    );
    table.row_with_goal(
        "1,000,000 IPv6 sources without a key: memory grows by",
        format!("{grown} KiB"),
        "bounded",
    );
    table.row("1,000,000 IPv6 sources without a key: time each", format!("{} ns", each.as_nanos()));
    Ok(())
}

/// Sends one request from each network.
fn flood(windows: &AddressWindows, addresses: u32, now: SteadyTime) {
    for number in 0..addresses {
        let [high, low] = [number >> 16, number & 0xffff].map(|half| u16::try_from(half).unwrap_or(0));
        let address = Ipv6Addr::new(0x2001, 0xdb8, high, low, 0, 0, 0, 1);
        let _ = windows.take(IpAddr::V6(address), now);
    }
}
