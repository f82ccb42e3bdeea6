//! The open SIP connections, and which of them makes room for a new one. When a limit is reached, the connection without a
//! call that has been silent for the longest is closed. A new connection is refused only if every other one carries a call.
//! A pure data structure without clock and sockets.

use std::collections::HashMap;

use telepath_core::address::AddressBlock;

/// A connection that may be closed for another one.
pub(super) trait Displaceable {
    /// Whether it carries no call.
    fn is_free(&self) -> bool;
    /// When it was used last; a smaller number is earlier.
    fn last_use(&self) -> u64;
}

/// The limit that a new connection reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ConnectionLimit {
    /// The connections of one address.
    Address,
    /// All connections.
    Total,
}

impl ConnectionLimit {
    pub(crate) const ALL: [Self; 2] = [Self::Address, Self::Total];

    /// The name in metrics.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Address => "address",
            Self::Total => "total",
        }
    }
}

#[derive(Debug)]
pub(super) struct ConnectionTable<C> {
    total: usize,
    per_address: usize,
    next: u64,
    open: HashMap<u64, (AddressBlock, C)>,
    /// The number of open connections of each block; a block without connections has no entry.
    by_block: HashMap<AddressBlock, usize>,
}

impl<C: Displaceable> ConnectionTable<C> {
    pub(super) fn new(total: usize, per_address: usize) -> Self {
        Self { total, per_address, next: 0, open: HashMap::new(), by_block: HashMap::new() }
    }

    /// Adds a connection and returns its number, and the connection that must be closed for it.
    pub(super) fn admit(
        &mut self,
        block: AddressBlock,
        connection: C,
    ) -> Result<(u64, Option<C>), ConnectionLimit> {
        let displaced = if self.by_block.get(&block).is_some_and(|open| *open >= self.per_address) {
            Some(self.displace(Some(block)).ok_or(ConnectionLimit::Address)?)
        } else if self.open.len() >= self.total {
            Some(self.displace(None).ok_or(ConnectionLimit::Total)?)
        } else {
            None
        };
        let number = self.next;
        self.next += 1;
        *self.by_block.entry(block).or_default() += 1;
        self.open.insert(number, (block, connection));
        Ok((number, displaced))
    }

    /// Removes the connection that is to be closed first, of a block or of all.
    pub(super) fn displace(&mut self, block: Option<AddressBlock>) -> Option<C> {
        let candidates = self
            .open
            .iter()
            .filter(|(_, (of, connection))| block.is_none_or(|block| block == *of) && connection.is_free());
        let oldest = candidates.min_by_key(|(number, (_, connection))| (connection.last_use(), **number));
        let number = oldest.map(|(number, _)| *number)?;
        self.remove(number)
    }

    pub(super) fn remove(&mut self, number: u64) -> Option<C> {
        let (block, connection) = self.open.remove(&number)?;
        if let Some(open) = self.by_block.get_mut(&block) {
            *open -= 1;
            if *open == 0 {
                self.by_block.remove(&block);
            }
        }
        Some(connection)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A named connection: whether it is free, and when it was used.
    #[derive(Debug, Clone, Copy)]
    struct Connection(&'static str, bool, u64);

    impl Displaceable for Connection {
        fn is_free(&self) -> bool {
            self.1
        }

        fn last_use(&self) -> u64 {
            self.2
        }
    }

    fn block(last: u8) -> AddressBlock {
        AddressBlock::of([192, 0, 2, last].into())
    }

    fn admit(
        table: &mut ConnectionTable<Connection>,
        address: u8,
        connection: Connection,
    ) -> Result<Option<&'static str>, ConnectionLimit> {
        Ok(table.admit(block(address), connection)?.1.map(|displaced| displaced.0))
    }

    #[test]
    fn the_connection_that_was_silent_for_the_longest_makes_room() {
        let mut table = ConnectionTable::new(3, 3);
        for (address, name, last_use) in [(1, "first", 9), (2, "second", 4), (3, "third", 7)] {
            assert_eq!(admit(&mut table, address, Connection(name, true, last_use)), Ok(None));
        }
        assert_eq!(admit(&mut table, 4, Connection("fourth", true, 10)), Ok(Some("second")));
        assert_eq!(table.displace(None).unwrap().0, "third", "for a descriptor");
    }

    #[test]
    fn a_connection_with_a_call_is_not_closed_for_another() {
        let mut table = ConnectionTable::new(2, 2);
        assert_eq!(admit(&mut table, 1, Connection("call", false, 1)), Ok(None));
        assert_eq!(admit(&mut table, 2, Connection("idle", true, 2)), Ok(None));
        assert_eq!(admit(&mut table, 3, Connection("call", false, 3)), Ok(Some("idle")));
        assert_eq!(admit(&mut table, 4, Connection("new", true, 4)), Err(ConnectionLimit::Total));
    }

    #[test]
    fn one_address_displaces_its_own_connections_only() {
        let mut table = ConnectionTable::new(100, 2);
        assert_eq!(admit(&mut table, 1, Connection("other", true, 0)), Ok(None));
        assert_eq!(admit(&mut table, 2, Connection("first", true, 1)), Ok(None));
        assert_eq!(admit(&mut table, 2, Connection("second", false, 2)), Ok(None));
        assert_eq!(admit(&mut table, 2, Connection("third", false, 3)), Ok(Some("first")));
        assert_eq!(admit(&mut table, 2, Connection("fourth", true, 4)), Err(ConnectionLimit::Address));
        table.remove(2);
        assert_eq!(admit(&mut table, 2, Connection("fifth", true, 5)), Ok(None));
    }
}
