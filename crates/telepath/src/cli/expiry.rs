//! Parses points in time: relative durations or date-times.

use std::time::Duration;

use telepath_core::clock::Timestamp;

use crate::config::duration;
use crate::exit::{Exit, Failure};

/// `90d`, `24h` … from now, or an RFC 3339 date-time. The server checks that it is in the future.
pub(crate) fn parse(text: &str, now: Timestamp) -> Result<Timestamp, String> {
    if let Ok(length) = duration(text) {
        return Ok(now.plus(length));
    }
    Timestamp::parse_rfc3339(text).map_err(|_| {
        "must be a duration such as 90d or 24h, or a date-time such as 2027-01-31T12:00:00Z".to_owned()
    })
}

/// `90d`, `24h` … ago, or an RFC 3339 date-time.
pub(crate) fn parse_past(text: &str, now: Timestamp) -> Result<Timestamp, String> {
    match duration(text) {
        Ok(length) => Ok(now.minus(length)),
        Err(_) => parse(text, now),
    }
}

/// Parses the value of a flag.
pub(crate) fn past(flag: &str, text: Option<&str>, now: Timestamp) -> Result<Option<Timestamp>, Failure> {
    let wrong = |message| Failure::new(Exit::Usage, format!("{flag} {message}"));
    text.map(|text| parse_past(text, now).map_err(wrong)).transpose()
}

/// A duration in whole seconds, as the API takes it.
pub(crate) fn whole_seconds(text: &str) -> Result<Duration, String> {
    let length = duration(text)?;
    if length.subsec_millis() == 0 {
        Ok(length)
    } else {
        Err("must be whole seconds, such as 30s or 24h".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_unix_seconds(1_800_000_000);

    #[test]
    fn durations_count_from_now_and_date_times_are_absolute() {
        assert_eq!(parse("90d", NOW), Ok(Timestamp::from_unix_seconds(1_800_000_000 + 90 * 86_400)));
        assert_eq!(parse("1970-01-01T01:00:10+01:00", NOW), Ok(Timestamp::from_unix_seconds(10)));
    }

    #[test]
    fn past_durations_count_back_from_now() {
        assert_eq!(parse_past("1h", NOW), Ok(Timestamp::from_unix_seconds(1_800_000_000 - 3600)));
        assert_eq!(parse_past("1970-01-01T00:00:10Z", NOW), Ok(Timestamp::from_unix_seconds(10)));
        assert!(parse_past("yesterday", NOW).is_err());
    }

    #[test]
    fn grace_periods_must_be_whole_seconds() {
        assert_eq!(whole_seconds("0s"), Ok(Duration::ZERO));
        assert_eq!(whole_seconds("2d"), Ok(Duration::from_hours(48)));
        assert!(whole_seconds("1500ms").is_err() && whole_seconds("1").is_err());
    }

    #[test]
    fn invalid_times_are_rejected_with_examples() {
        for wrong in ["", "soon", "90", "2027-01-31", "-5d", "90 d x"] {
            assert!(parse(wrong, NOW).is_err_and(|message| message.contains("90d")), "{wrong}");
        }
    }
}
