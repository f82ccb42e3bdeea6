//! Where a stream continues, as the id of its events.

use std::fmt;

use telepath_core::clock::Timestamp;
use telepath_core::id::{AlertId, DeliveryId, EventId, Id as _};
use telepath_store::{AttemptedDelivery, RequestCursor};

/// Everything up to a position was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Position {
    /// When the stream, or the part of it after a gap, began.
    pub(super) since: Timestamp,
    /// Everything of every kind before this moment was sent.
    pub(super) complete_until: Timestamp,
    pub(super) events: EventId,
    pub(super) alerts: AlertId,
    pub(super) deliveries: AttemptedDelivery,
    pub(super) requests: Option<RequestCursor>,
}

impl Position {
    /// Only what comes later is sent.
    pub(super) fn at(now: Timestamp) -> Self {
        Self {
            since: now,
            complete_until: now,
            events: EventId::first_of(now),
            alerts: AlertId::first_of(now),
            deliveries: AttemptedDelivery { at: now, id: DeliveryId::first_of(now) },
            requests: None,
        }
    }

    /// Parses the text form.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('.');
        let mut time = || parts.next()?.parse().ok().map(Timestamp::from_unix_ms);
        let (since, complete_until) = (time()?, time()?);
        let (events, alerts) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        let at = Timestamp::from_unix_ms(parts.next()?.parse().ok()?);
        let deliveries = AttemptedDelivery { at, id: parts.next()?.parse().ok()? };
        let requests = match parts.next()? {
            "" => None,
            cursor => Some(RequestCursor::parse(cursor)?),
        };
        parts.next().is_none().then_some(Self { since, complete_until, events, alerts, deliveries, requests })
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (since, until) = (self.since.unix_ms(), self.complete_until.unix_ms());
        let AttemptedDelivery { at, id } = self.deliveries;
        write!(f, "{since}.{until}.{}.{}.{}.{id}.", self.events, self.alerts, at.unix_ms())?;
        self.requests.map_or(Ok(()), |cursor| write!(f, "{cursor}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_read_as_it_was_written() {
        let start = Position::at(Timestamp::from_unix_seconds(1_800_000_000));
        let text = start.to_string();
        assert_eq!(Position::parse(&text), Some(start));
        let cursor = "A".repeat(38);
        let requests = RequestCursor::parse(&cursor);
        assert!(requests.is_some());
        let later = Position { requests, ..start };
        assert_eq!(Position::parse(&later.to_string()), Some(later));
        for wrong in ["", "1", "1.2.3.4.", "x", &format!("{text}.x"), &format!("{text}x")] {
            assert_eq!(Position::parse(wrong), None, "{wrong}");
        }
        assert!(text.bytes().all(|byte| byte.is_ascii_graphic()));
    }
}
