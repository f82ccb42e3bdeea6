//! The networks that a key is used from. The unit is the /24 of an IPv4 address and the /48 of an IPv6 address, the usual
//! allocation of one site (RFC 6177 section 2): a new host in a known network raises no alert.

use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{DAY_MS, WatchedKey};
use crate::address::canonical;
use crate::alert::{AlertRule, AlertSettings, NewAlert};
use crate::clock::Timestamp;

/// The networks that are remembered; the least recently seen is evicted first.
const KNOWN: usize = 64;
/// A key used from more networks than this is treated as mobile; new networks no longer raise alerts.
const ROAMING: usize = 32;
/// A network that was not seen for this long counts as new.
const FORGOTTEN_DAYS: i64 = 90;
/// The new networks that are listed during a cooldown; further ones are only counted.
const UNTOLD: usize = 8;

/// The networks of a key.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Networks {
    /// Each with the day since the epoch on which it was last seen.
    known: Vec<(IpAddr, i64)>,
    /// The first address of each new network that no alert has named yet.
    untold: Vec<IpAddr>,
    /// The number of new networks not alerted yet, including those that are not listed.
    untold_count: u32,
    told_ms: Option<i64>,
}

/// The network that holds an address, by its first address.
fn network_of(address: IpAddr) -> IpNet {
    let length = match address {
        IpAddr::V4(_) => 24,
        IpAddr::V6(_) => 48,
    };
    IpNet::new(address, length).map_or_else(|_| IpNet::from(address), |net| net.trunc())
}

impl Networks {
    /// Records the networks of a minute. An alert is due immediately; new networks during a cooldown are collected.
    pub(super) fn see(&mut self, addresses: &[IpAddr], age_ms: i64, at_ms: i64, settings: &AlertSettings) {
        let day = at_ms.div_euclid(DAY_MS);
        self.known.retain(|(_, seen)| day - seen <= FORGOTTEN_DAYS);
        let learned = u128::try_from(age_ms).unwrap_or(0) >= settings.learning.as_millis();
        for address in addresses {
            let address = canonical(*address);
            let network = network_of(address).addr();
            if let Some((_, seen)) = self.known.iter_mut().find(|(known, _)| *known == network) {
                *seen = day.max(*seen);
                continue;
            }
            let is_first = self.known.is_empty();
            if learned && !is_first && self.known.len() <= ROAMING {
                self.untold_count = self.untold_count.saturating_add(1);
                if self.untold.len() < UNTOLD {
                    self.untold.push(address);
                }
            }
            self.remember(network, day);
        }
    }

    fn remember(&mut self, network: IpAddr, day: i64) {
        if self.known.len() >= KNOWN
            && let Some((oldest, _)) = self.known.iter().enumerate().min_by_key(|(_, (_, seen))| *seen)
        {
            self.known.swap_remove(oldest);
        }
        self.known.push((network, day));
    }

    /// The alert that is due now.
    pub(super) fn due(
        &mut self,
        key: &WatchedKey,
        settings: &AlertSettings,
        now: Timestamp,
    ) -> Option<NewAlert> {
        if self.wake_at(settings).is_none_or(|at| at > now) {
            return None;
        }
        self.told_ms = Some(now.unix_ms());
        let addresses = std::mem::take(&mut self.untold);
        let count = std::mem::take(&mut self.untold_count);
        let networks: Vec<String> =
            addresses.iter().map(|address| network_of(*address).to_string()).collect();
        let message = if count == 1 {
            let networks = networks.join(", ");
            format!("The key \"{}\" is used from a network that is new for it: {networks}.", key.name)
        } else {
            let networks = networks.join(", ");
            format!("The key \"{}\" is used from {count} networks that are new for it: {networks}.", key.name)
        };
        let figures = json!({ "count": count, "networks": networks, "addresses": addresses });
        Some(NewAlert::new(AlertRule::NewAddress, key.id, message, figures))
    }

    /// Moves what was seen later to the day of this moment, and ends a cooldown that began later.
    pub(super) fn rewind(&mut self, at_ms: i64) {
        let day = at_ms.div_euclid(DAY_MS);
        for (_, seen) in &mut self.known {
            *seen = day.min(*seen);
        }
        self.told_ms = self.told_ms.filter(|told| *told <= at_ms);
    }

    /// When the collected networks are due; in the past if no cooldown is running.
    pub(super) fn wake_at(&self, settings: &AlertSettings) -> Option<Timestamp> {
        let quiet_until = self.told_ms.map_or(Timestamp::default(), |told| {
            Timestamp::from_unix_ms(told).plus(settings.cooldown(AlertRule::NewAddress))
        });
        (self.untold_count > 0).then_some(quiet_until)
    }
}
