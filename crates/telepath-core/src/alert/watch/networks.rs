//! From where a key is used. The unit is the /24 of an IPv4 address and the /48 of an IPv6 address, which is what one site
//! is commonly given (RFC 6177 section 2): a new host beside a known one is no news.

use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{DAY_MS, WatchedKey};
use crate::address::canonical;
use crate::alert::{AlertRule, AlertSettings, NewAlert};
use crate::clock::Timestamp;

/// Networks that are remembered; the one that was not seen for the longest time goes first.
const KNOWN: usize = 64;
/// A key that is used from more networks than this is used on the road, and one more is no news.
const ROAMING: usize = 32;
/// A network that was not seen for so long is new again.
const FORGOTTEN_DAYS: i64 = 90;
/// New networks that wait for the end of a cooldown by name; more are only counted.
const UNTOLD: usize = 8;

/// The networks of a key.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Networks {
    /// Each with the day since the epoch on which it was last seen.
    known: Vec<(IpAddr, i64)>,
    /// The first address of each new network that was not told yet.
    untold: Vec<IpAddr>,
    /// How many new networks were not told yet, also those without a place in the list.
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
    /// Learns where the key is used. Delay: none, but a cooldown gathers what is new in its time.
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

    /// What is to be told now.
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

    /// When what was not told yet may be told; the past when nothing holds it back.
    pub(super) fn wake_at(&self, settings: &AlertSettings) -> Option<Timestamp> {
        let quiet_until = self.told_ms.map_or(Timestamp::default(), |told| {
            Timestamp::from_unix_ms(told).plus(settings.cooldown(AlertRule::NewAddress))
        });
        (self.untold_count > 0).then_some(quiet_until)
    }
}
