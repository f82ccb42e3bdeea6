//! Texts from outside, such as the names in SIP messages and the responses of webhooks. Templates escape HTML; this makes visible
//! what is invisible or changes the order of other characters, so that a text cannot look like another one.

use telepath_core::validation::misleads;

/// The text with `\u{…}` in place of characters that mislead.
pub(crate) fn visible(text: &str) -> String {
    escaped(text, misleads)
}

/// The same for a text of several lines: line breaks and tabs stay.
pub(crate) fn visible_lines(text: &str) -> String {
    escaped(text, |letter| !matches!(letter, '\n' | '\t') && misleads(letter))
}

fn escaped(text: &str, hides: impl Fn(char) -> bool) -> String {
    let mut shown = String::with_capacity(text.len());
    for letter in text.chars() {
        if hides(letter) {
            shown.extend(letter.escape_unicode());
        } else {
            shown.push(letter);
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_seen_is_written_out() {
        assert_eq!(visible("+1555\u{202e}0100\u{0}"), "+1555\\u{202e}0100\\u{0}");
        assert_eq!(visible("Zoë <b>"), "Zoë <b>");
    }

    #[test]
    fn what_hides_or_reorders_text_is_shown_as_an_escape() {
        assert_eq!(visible_lines("a\u{202e}b\u{0}\r\nÄ\t"), "a\\u{202e}b\\u{0}\\u{d}\nÄ\t");
    }
}
