//! When a key ends, as people say it: a length of time from now, or a moment.

use telepath_core::clock::Timestamp;

use crate::config::duration;

/// `90d`, `24h` … from now, or an RFC 3339 date-time. Whether it lies in the future is the server's to judge.
pub(crate) fn parse(text: &str, now: Timestamp) -> Result<Timestamp, String> {
    if let Ok(length) = duration(text) {
        return Ok(now.plus(length));
    }
    Timestamp::parse_rfc3339(text).map_err(|_| {
        "must be a length of time such as 90d or 24h, or a date-time such as 2027-01-31T12:00:00Z".to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_unix_seconds(1_800_000_000);

    #[test]
    fn lengths_count_from_now_and_moments_stand_for_themselves() {
        assert_eq!(parse("90d", NOW), Ok(Timestamp::from_unix_seconds(1_800_000_000 + 90 * 86_400)));
        assert_eq!(parse("1970-01-01T01:00:10+01:00", NOW), Ok(Timestamp::from_unix_seconds(10)));
    }

    #[test]
    fn anything_else_is_refused_with_examples() {
        for wrong in ["", "soon", "90", "2027-01-31", "-5d", "90 d x"] {
            assert!(parse(wrong, NOW).is_err_and(|message| message.contains("90d")), "{wrong}");
        }
    }
}
