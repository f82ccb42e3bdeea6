//! Formats values for people.

use std::time::Duration;

use telepath_client::Timestamp;
use telepath_core::validation::misleads;

/// Replaces characters that could manipulate the terminal, or that are invisible or reorder others. Some texts come from unknown
/// clients.
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(|character| if misleads(character) { '\u{fffd}' } else { character }).collect()
}

/// Truncates to `most` characters, with an ellipsis.
pub(crate) fn truncate(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most.saturating_sub(1)).chain(['…']).collect()
}

/// A duration in its largest unit.
pub(crate) fn duration(length: Duration) -> String {
    let seconds = length.as_secs();
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m", seconds / 60),
        3600..172_800 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// A count with its noun in the singular or plural.
pub(crate) fn count(count: u64, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

/// How long ago a moment was.
pub(crate) fn since(moment: Option<Timestamp>, now: Timestamp) -> String {
    moment.map_or("never".to_owned(), |moment| duration(now.since(moment)))
}

/// How far ahead a moment is.
pub(crate) fn until(moment: Option<Timestamp>, now: Timestamp) -> String {
    moment.map_or("never".to_owned(), |moment| duration(moment.since(now)))
}

/// To the second, in UTC.
pub(crate) fn second(moment: Timestamp) -> String {
    let text = moment.to_string();
    text.get(..19).map_or(text.clone(), |start| format!("{start}Z"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_unix_seconds(1_800_000_000);

    #[test]
    fn durations_are_shown_in_their_largest_unit() {
        for (seconds, wanted) in [
            (0, "0s"),
            (59, "59s"),
            (60, "1m"),
            (3599, "59m"),
            (3600, "1h"),
            (172_799, "47h"),
            (172_800, "2d"),
        ] {
            assert_eq!(duration(Duration::from_secs(seconds)), wanted);
        }
        assert_eq!(since(Some(NOW.minus(Duration::from_mins(5))), NOW), "5m");
        assert_eq!(until(Some(NOW.plus(Duration::from_mins(5))), NOW), "5m");
        assert_eq!(since(None, NOW), "never");
        assert_eq!(
            (count(1, "key", "keys"), count(0, "key", "keys")),
            ("1 key".to_owned(), "0 keys".to_owned())
        );
    }

    #[test]
    fn control_characters_are_replaced_and_long_texts_truncated() {
        assert_eq!(printable("a\u{1b}[2Jb\n"), "a\u{fffd}[2Jb\u{fffd}");
        assert_eq!(printable("nimda\u{202e}\u{200b} ä"), "nimda\u{fffd}\u{fffd} ä");
        assert_eq!(truncate("längste", 4), "län…");
        assert_eq!(truncate("läng", 4), "läng");
        assert_eq!(second(NOW), "2027-01-15T08:00:00Z");
    }
}
