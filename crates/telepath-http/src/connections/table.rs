//! The table of open connections: a pure data structure without clock and sockets. It holds one entry per open connection,
//! so the total limit bounds the memory of all of it, the per-address index included.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use telepath_core::address::AddressBlock;

/// A connection that may be idle.
pub(super) trait Idle {
    /// Whether no request is being handled and no response is being sent.
    fn is_idle(&self) -> bool;
}

/// The limit that a new connection reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConnectionLimit {
    /// The connections of one address.
    Address,
    /// All connections.
    Total,
    /// The descriptors of the process.
    Descriptors,
}

impl ConnectionLimit {
    /// Every limit.
    pub const ALL: [Self; 3] = [Self::Address, Self::Total, Self::Descriptors];

    /// The name in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Address => "address",
            Self::Total => "total",
            Self::Descriptors => "descriptors",
        }
    }
}

/// What a table has counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ConnectionCounts {
    /// Open connections.
    pub open: usize,
    /// Connections that were accepted since the start.
    pub accepted: u64,
    /// Idle connections that were closed for a new one, in the order of [`ConnectionLimit::ALL`].
    pub displaced: [u64; 3],
    /// Connections that were refused because none was idle, in the order of [`ConnectionLimit::ALL`].
    pub refused: [u64; 3],
}

/// An admitted connection.
#[derive(Debug)]
pub(super) struct Admitted<C> {
    pub(super) number: u64,
    /// The connection that must be closed for it.
    pub(super) displaced: Option<C>,
}

#[derive(Debug)]
struct Entry<C> {
    block: Option<AddressBlock>,
    connection: C,
}

/// The open connections, in the order of their arrival.
#[derive(Debug)]
pub(super) struct ConnectionTable<C> {
    total: usize,
    per_address: usize,
    next: u64,
    open: BTreeMap<u64, Entry<C>>,
    /// The numbers of the open connections of each block; a block without connections has no entry.
    by_block: HashMap<AddressBlock, BTreeSet<u64>>,
    counts: ConnectionCounts,
}

impl<C: Idle> ConnectionTable<C> {
    pub(super) fn new(total: usize, per_address: usize) -> Self {
        Self {
            total,
            per_address,
            next: 0,
            open: BTreeMap::new(),
            by_block: HashMap::new(),
            counts: ConnectionCounts::default(),
        }
    }

    /// Adds a connection. If a limit is reached, the oldest idle connection that counts against it is removed and returned.
    pub(super) fn admit(
        &mut self,
        block: Option<AddressBlock>,
        connection: C,
    ) -> Result<Admitted<C>, ConnectionLimit> {
        let displaced = match self.make_room_for(block)? {
            Some(displaced) => Some(displaced),
            None if self.open.len() >= self.total => Some(self.displace(ConnectionLimit::Total, None)?),
            None => None,
        };
        let number = self.next;
        self.next += 1;
        self.counts.accepted += 1;
        if let Some(block) = block {
            self.by_block.entry(block).or_default().insert(number);
        }
        self.open.insert(number, Entry { block, connection });
        Ok(Admitted { number, displaced })
    }

    /// Counts an open connection against a block from now on, and returns the connection that must be closed for it.
    pub(super) fn attribute(
        &mut self,
        number: u64,
        block: AddressBlock,
    ) -> Result<Option<C>, ConnectionLimit> {
        let displaced = self.make_room_for(Some(block))?;
        self.forget_block(number);
        if let Some(entry) = self.open.get_mut(&number) {
            entry.block = Some(block);
            self.by_block.entry(block).or_default().insert(number);
        }
        Ok(displaced)
    }

    /// Removes the oldest idle connection.
    pub(super) fn displace_for_descriptor(&mut self) -> Option<C> {
        self.displace(ConnectionLimit::Descriptors, None).ok()
    }

    pub(super) fn remove(&mut self, number: u64) -> Option<C> {
        self.forget_block(number);
        self.open.remove(&number).map(|entry| entry.connection)
    }

    pub(super) fn counts(&self) -> ConnectionCounts {
        ConnectionCounts { open: self.open.len(), ..self.counts }
    }

    fn make_room_for(&mut self, block: Option<AddressBlock>) -> Result<Option<C>, ConnectionLimit> {
        let Some(block) = block else { return Ok(None) };
        if self.by_block.get(&block).is_none_or(|numbers| numbers.len() < self.per_address) {
            return Ok(None);
        }
        self.displace(ConnectionLimit::Address, Some(block)).map(Some)
    }

    /// Removes the oldest idle connection of a block, or of all.
    fn displace(
        &mut self,
        limit: ConnectionLimit,
        block: Option<AddressBlock>,
    ) -> Result<C, ConnectionLimit> {
        let idle = |number: &&u64| self.open.get(number).is_some_and(|entry| entry.connection.is_idle());
        let oldest = match block {
            Some(block) => self.by_block.get(&block).and_then(|numbers| numbers.iter().find(idle)),
            None => self.open.keys().find(idle),
        };
        let displaced = oldest.copied().and_then(|number| self.remove(number));
        let counts = if displaced.is_some() { &mut self.counts.displaced } else { &mut self.counts.refused };
        counts[limit as usize] += 1;
        displaced.ok_or(limit)
    }

    fn forget_block(&mut self, number: u64) {
        let Some(block) = self.open.get_mut(&number).and_then(|entry| entry.block.take()) else { return };
        if let Some(numbers) = self.by_block.get_mut(&block) {
            numbers.remove(&number);
            if numbers.is_empty() {
                self.by_block.remove(&block);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::rc::Rc;

    use super::*;

    /// A named connection whose state the test sets.
    #[derive(Debug, Clone)]
    struct Connection(&'static str, Rc<Cell<bool>>);

    impl Idle for Connection {
        fn is_idle(&self) -> bool {
            self.1.get()
        }
    }

    fn connection(name: &'static str, idle: bool) -> Connection {
        Connection(name, Rc::new(Cell::new(idle)))
    }

    #[expect(clippy::unnecessary_wraps, reason = "an argument that is optional")]
    fn block(text: &str) -> Option<AddressBlock> {
        Some(AddressBlock::of(text.parse().unwrap()))
    }

    /// The name of the displaced connection, an empty text if there is none, or the limit that refused the connection.
    fn admit(
        table: &mut ConnectionTable<Connection>,
        address: &str,
        connection: &Connection,
    ) -> Result<&'static str, ConnectionLimit> {
        let admitted = table.admit(block(address), connection.clone())?;
        Ok(admitted.displaced.map_or("", |displaced| displaced.0))
    }

    #[test]
    fn at_the_limit_of_an_address_its_oldest_idle_connection_is_closed() {
        let mut table = ConnectionTable::new(10, 2);
        let busy = connection("busy", false);
        assert_eq!(admit(&mut table, "192.0.2.1", &connection("other", true)), Ok(""));
        assert_eq!(admit(&mut table, "198.51.100.1", &busy), Ok(""));
        assert_eq!(admit(&mut table, "198.51.100.1", &connection("idle", true)), Ok(""));
        assert_eq!(admit(&mut table, "198.51.100.1", &connection("new", true)), Ok("idle"));
        busy.1.set(true);
        assert_eq!(admit(&mut table, "198.51.100.1", &connection("newer", true)), Ok("busy"));
        assert_eq!(table.counts().displaced, [2, 0, 0]);
        assert_eq!(table.counts().open, 3);
    }

    #[test]
    fn at_the_total_limit_the_oldest_idle_connection_of_all_is_closed() {
        let mut table = ConnectionTable::new(2, 2);
        admit(&mut table, "192.0.2.1", &connection("first", false)).unwrap();
        admit(&mut table, "192.0.2.2", &connection("second", true)).unwrap();
        assert_eq!(admit(&mut table, "192.0.2.3", &connection("third", false)), Ok("second"));
        assert_eq!(admit(&mut table, "192.0.2.4", &connection("fourth", true)), Err(ConnectionLimit::Total));
        assert_eq!(
            (table.counts().displaced, table.counts().refused),
            ([0, 1, 0], [0, 1, 0]),
            "no idle connection is left"
        );
    }

    #[test]
    fn a_connection_is_refused_only_if_none_of_its_address_is_idle() {
        let mut table = ConnectionTable::new(10, 1);
        admit(&mut table, "192.0.2.1", &connection("busy", false)).unwrap();
        admit(&mut table, "192.0.2.2", &connection("idle", true)).unwrap();
        assert_eq!(admit(&mut table, "192.0.2.1", &connection("new", true)), Err(ConnectionLimit::Address));
        assert_eq!((table.counts().refused, table.counts().open), ([1, 0, 0], 2));
    }

    #[test]
    fn ipv6_addresses_count_by_their_64_bit_prefix() {
        let mut table = ConnectionTable::new(10, 1);
        admit(&mut table, "2001:db8::1", &connection("first", true)).unwrap();
        assert_eq!(admit(&mut table, "2001:db8::2:1", &connection("second", true)), Ok("first"));
        assert_eq!(admit(&mut table, "2001:db8:0:1::1", &connection("neighbor", true)), Ok(""));
        assert_eq!(admit(&mut table, "192.0.2.1", &connection("v4", true)), Ok(""));
        assert_eq!(admit(&mut table, "::ffff:192.0.2.1", &connection("mapped", true)), Ok("v4"));
    }

    #[test]
    fn connections_without_an_address_count_only_in_total() {
        let mut table = ConnectionTable::new(3, 1);
        for name in ["first", "second", "third"] {
            assert!(table.admit(None, connection(name, true)).unwrap().displaced.is_none());
        }
        assert_eq!(table.admit(None, connection("fourth", true)).unwrap().displaced.unwrap().0, "first");
    }

    #[test]
    fn a_connection_counts_against_the_address_that_it_is_attributed_to() {
        let mut table = ConnectionTable::new(10, 1);
        let first = table.admit(None, connection("first", true)).unwrap().number;
        let second = table.admit(None, connection("second", true)).unwrap().number;
        let client = block("192.0.2.1").unwrap();
        assert!(table.attribute(first, client).unwrap().is_none());
        assert_eq!(table.attribute(second, client).unwrap().unwrap().0, "first");
        assert_eq!(admit(&mut table, "192.0.2.1", &connection("third", true)), Ok("second"));
    }

    #[test]
    fn closed_connections_leave_nothing_behind() {
        let mut table = ConnectionTable::new(10, 1);
        let number = table.admit(block("192.0.2.1"), connection("first", true)).unwrap().number;
        table.admit(block("192.0.2.1"), connection("second", true)).unwrap();
        // The first was displaced; its task ends later.
        assert!(table.remove(number).is_none());
        assert_eq!((table.open.len(), table.by_block.len()), (1, 1));
        table.remove(number + 1);
        assert_eq!((table.open.len(), table.by_block.len()), (0, 0));
        assert_eq!(table.counts().accepted, 2);
    }

    #[test]
    fn a_missing_descriptor_closes_the_oldest_idle_connection() {
        let mut table = ConnectionTable::new(10, 10);
        assert!(table.displace_for_descriptor().is_none());
        admit(&mut table, "192.0.2.1", &connection("busy", false)).unwrap();
        admit(&mut table, "192.0.2.1", &connection("idle", true)).unwrap();
        assert_eq!(table.displace_for_descriptor().unwrap().0, "idle");
        assert_eq!((table.counts().displaced, table.counts().refused), ([0, 0, 1], [0, 0, 1]));
    }
}
