//! How long a sign-in with a password has to wait. Failures are counted per name and per network, whether or not the name
//! belongs to a user, so that delays do not reveal which users exist.

use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;

use crate::address::canonical;
use crate::clock::Timestamp;

/// Failures of one name before each further attempt has to wait.
pub const FREE_FAILURES: u32 = 5;
/// The longest that one attempt waits for the last.
pub const LONGEST_DELAY: Duration = Duration::from_mins(15);
/// Failures of a name that are older do not count.
pub const ACCOUNT_WINDOW: Duration = Duration::from_hours(24);
/// Failures from one network within [`NETWORK_WINDOW`].
pub const NETWORK_FAILURES: u32 = 20;
/// How long a failure counts against its network.
pub const NETWORK_WINDOW: Duration = Duration::from_mins(10);

/// The network that an address is counted with: /24 for IPv4, /48 for IPv6, which is what one customer gets.
pub fn client_network(address: IpAddr) -> IpNet {
    let address = canonical(address);
    let prefix = if address.is_ipv4() { 24 } else { 48 };
    IpNet::new(address, prefix).map_or(IpNet::from(address), |network| network.trunc())
}

/// The failures before an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SignInHistory {
    /// Failures of the name within [`ACCOUNT_WINDOW`] and since its last success.
    pub name_failures: u32,
    /// The last of them.
    pub last_failure: Option<Timestamp>,
    /// Failures from the network within [`NETWORK_WINDOW`].
    pub network_failures: u32,
    /// The first of the last [`NETWORK_FAILURES`] of them; when it leaves the window, another attempt is allowed.
    pub network_frees_at: Option<Timestamp>,
}

impl SignInHistory {
    /// How long to wait before the next attempt; `None` if it is allowed now.
    pub fn retry_after(&self, now: Timestamp) -> Option<Duration> {
        let name = self.last_failure.map(|last| last.plus(delay_after(self.name_failures)));
        let network = self.network_frees_at.filter(|_| self.network_failures >= NETWORK_FAILURES);
        let ready = name.max(network)?;
        Some(ready.since(now)).filter(|wait| !wait.is_zero())
    }
}

/// None up to [`FREE_FAILURES`] failures, then 1, 2, 4 … seconds, up to [`LONGEST_DELAY`].
fn delay_after(failures: u32) -> Duration {
    match failures.checked_sub(FREE_FAILURES) {
        None => Duration::ZERO,
        Some(over) => Duration::from_secs(1_u64.checked_shl(over).unwrap_or(u64::MAX)).min(LONGEST_DELAY),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: Timestamp = Timestamp::from_unix_seconds(1_800_014_400);

    #[test]
    fn delays_begin_after_five_failures_and_double_up_to_a_quarter_of_an_hour() {
        let seconds: Vec<u64> = (4..17).map(|failures| delay_after(failures).as_secs()).collect();
        assert_eq!(seconds, [0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900]);
        assert_eq!(delay_after(u32::MAX), LONGEST_DELAY);
    }

    #[test]
    fn an_attempt_waits_for_the_later_of_name_and_network() {
        let free = SignInHistory { name_failures: 4, last_failure: Some(NOON), ..SignInHistory::default() };
        assert_eq!(free.retry_after(NOON), None);
        let slow = SignInHistory { name_failures: 7, last_failure: Some(NOON), ..SignInHistory::default() };
        assert_eq!(slow.retry_after(NOON), Some(Duration::from_secs(4)));
        assert_eq!(slow.retry_after(NOON.plus(Duration::from_secs(3))), Some(Duration::from_secs(1)));
        assert_eq!(slow.retry_after(NOON.plus(Duration::from_secs(4))), None);
        let frees = NOON.plus(Duration::from_mins(1));
        let network = SignInHistory { network_failures: 20, network_frees_at: Some(frees), ..slow };
        assert_eq!(network.retry_after(NOON), Some(Duration::from_mins(1)));
        let room = SignInHistory { network_failures: 19, ..network };
        assert_eq!(room.retry_after(NOON), Some(Duration::from_secs(4)));
    }

    #[test]
    fn addresses_are_counted_by_24_and_48_bits() {
        let network = |text: &str| client_network(text.parse().unwrap()).to_string();
        assert_eq!(network("203.0.113.77"), "203.0.113.0/24");
        assert_eq!(network("::ffff:203.0.113.77"), "203.0.113.0/24");
        assert_eq!(network("2001:db8:1:2::3"), "2001:db8:1::/48");
    }
}
