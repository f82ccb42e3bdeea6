//! Times in query strings and forms: a date-time, or a date that includes its whole day.

use std::time::Duration;

use crate::clock::{InvalidTimestamp, Timestamp};

/// The end of a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DayEdge {
    /// Its first millisecond.
    First,
    /// Its last millisecond.
    Last,
}

/// A date-time, or a date of which `edge` selects the first or the last millisecond.
pub fn parse_date(text: &str, edge: DayEdge) -> Result<Timestamp, InvalidTimestamp> {
    if text.len() != "2026-01-31".len() {
        return Timestamp::parse_rfc3339(text);
    }
    let midnight = Timestamp::parse_rfc3339(&format!("{text}T00:00:00Z"))?;
    Ok(match edge {
        DayEdge::First => midnight,
        DayEdge::Last => midnight.plus(Duration::from_millis(24 * 3_600_000 - 1)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_means_its_whole_day() {
        let first = parse_date("2026-01-31", DayEdge::First).unwrap();
        let last = parse_date("2026-01-31", DayEdge::Last).unwrap();
        assert_eq!(first.to_string(), "2026-01-31T00:00:00.000Z");
        assert_eq!(last.to_string(), "2026-01-31T23:59:59.999Z");
        assert!(parse_date("2026-02-30", DayEdge::First).is_err());
        assert_eq!(
            parse_date("2026-01-31T12:00:00Z", DayEdge::Last).unwrap().to_string(),
            "2026-01-31T12:00:00.000Z"
        );
    }
}
