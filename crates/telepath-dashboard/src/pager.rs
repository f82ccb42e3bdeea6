//! "Newer" and "Older" below a list. An address holds where its page starts, and where the pages before it start, so that both
//! ways work without a state on the server.

use telepath_core::id::Id;
use telepath_core::page::{Cursor, PageRequest, PageStart, SortKey};

use crate::form::{Fields, encoded};

/// The most pages that "Newer" leads back over; beyond them it leads to the first.
const MAX_BACK: usize = 20;

/// A place in a list.
#[derive(Debug, Default)]
pub(crate) struct Place {
    /// Where the page starts; `None` for the first.
    cursor: Option<String>,
    /// Where the pages before it start, the nearest first.
    back: Vec<String>,
}

impl Place {
    /// The place of an address, and what to read there. What cannot be read leads to the first page.
    pub(crate) fn read<I: Id>(query: &Fields, order: Option<SortKey>, limit: u32) -> (Self, PageRequest) {
        let known = |text: &str| Cursor::parse::<I>(text, order).ok();
        let cursor = query.get("cursor").and_then(known);
        let back = query.text("back").split(',').filter(|text| known(text).is_some());
        let place = Self {
            cursor: cursor.as_ref().map(ToString::to_string),
            back: back.take(MAX_BACK).map(str::to_owned).collect(),
        };
        let start = cursor.map_or(PageStart::Offset(0), PageStart::After);
        (place, PageRequest::starting(limit, start).unwrap_or_default())
    }

    /// The address of the page after this one.
    pub(crate) fn older(&self, list: &str, next: Option<&Cursor>) -> Option<String> {
        let back: Vec<String> = self.cursor.iter().chain(&self.back).take(MAX_BACK).cloned().collect();
        next.map(|next| address(list, &next.to_string(), &back))
    }

    /// The address of the page before this one.
    pub(crate) fn newer(&self, list: &str) -> Option<String> {
        self.cursor.as_ref()?;
        Some(match self.back.split_first() {
            Some((cursor, rest)) => address(list, cursor, rest),
            None => list.to_owned(),
        })
    }
}

fn address(list: &str, cursor: &str, back: &[String]) -> String {
    let separator = if list.contains('?') { '&' } else { '?' };
    let before = if back.is_empty() { String::new() } else { format!("&back={}", encoded(&back.join(","))) };
    format!("{list}{separator}cursor={}{before}", encoded(cursor))
}

#[cfg(test)]
mod tests {
    use telepath_core::id::AlertId;

    use super::*;

    fn cursor(number: u8) -> Cursor {
        Cursor::by_id(AlertId::from_bytes([number; 16]).to_string())
    }

    fn follow(address: &str) -> Place {
        let (_, query) = address.split_once('?').unwrap_or_default();
        Place::read::<AlertId>(&Fields::parse(query), None, 20).0
    }

    #[test]
    fn every_page_leads_back_to_the_one_before() {
        let (list, mut addresses) = ("/alerts?status=open", vec!["/alerts?status=open".to_owned()]);
        for number in 1..=5 {
            let place = follow(addresses.last().unwrap());
            addresses.push(place.older(list, Some(&cursor(number))).unwrap());
        }
        for pair in addresses.windows(2).rev() {
            assert_eq!(follow(&pair[1]).newer(list).as_deref(), Some(pair[0].as_str()));
        }
        assert_eq!(follow(list).newer(list), None);
        assert_eq!(follow(list).older(list, None), None);
    }

    #[test]
    fn a_forged_place_is_the_first_page_and_addresses_stay_short() {
        assert_eq!(follow("/alerts?cursor=x&back=y,z").newer("/alerts"), None);
        let mut address = "/alerts".to_owned();
        for number in 0..100 {
            address = follow(&address).older("/alerts", Some(&cursor(number))).unwrap();
        }
        assert!(address.len() < 1024, "{}", address.len());
    }
}
