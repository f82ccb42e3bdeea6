//! A set of networks with a fast look-up: one hash per prefix length that occurs, however many networks there are.

use std::collections::{BTreeSet, HashSet};
use std::net::IpAddr;

use ipnet::IpNet;

use crate::address::{NetworkList, canonical};

/// The networks of many lists.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NetworkSet {
    networks: HashSet<IpNet>,
    prefix_lengths: BTreeSet<u8>,
}

impl NetworkSet {
    /// Whether one of the networks holds the address.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = canonical(address);
        self.prefix_lengths.iter().any(|length| {
            // A length above 32 fits no IPv4 address.
            IpNet::new(address, *length).is_ok_and(|net| self.networks.contains(&net.trunc()))
        })
    }
}

impl FromIterator<NetworkList> for NetworkSet {
    fn from_iter<T: IntoIterator<Item = NetworkList>>(lists: T) -> Self {
        let mut set = Self::default();
        for list in lists {
            for net in list.iter().map(IpNet::trunc) {
                set.prefix_lengths.insert(net.prefix_len());
                set.networks.insert(net);
            }
        }
        set
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(lists: &[&str]) -> NetworkSet {
        lists.iter().map(|text| text.parse::<NetworkList>().unwrap()).collect()
    }

    #[test]
    fn it_holds_the_addresses_of_all_lists() {
        let set = set(&["203.0.113.7, 198.51.100.0/24", "", "2001:db8::/32"]);
        let holds = |text: &str| set.contains(text.parse().unwrap());
        assert!(holds("203.0.113.7") && holds("198.51.100.200") && holds("2001:db8:1::1"));
        assert!(holds("::ffff:203.0.113.7"), "IPv4 within IPv6");
        assert!(!holds("203.0.113.8") && !holds("198.51.101.1") && !holds("2001:db9::1"));
    }

    #[test]
    fn an_empty_list_holds_no_address_and_a_prefix_of_zero_holds_its_family() {
        assert!(!set(&["", ""]).contains("203.0.113.7".parse().unwrap()));
        let everything = set(&["0.0.0.0/0"]);
        assert!(everything.contains("203.0.113.7".parse().unwrap()));
        assert!(!everything.contains("2001:db8::1".parse().unwrap()));
    }
}
