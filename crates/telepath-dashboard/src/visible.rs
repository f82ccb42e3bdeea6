//! Texts from outside, such as the names in SIP messages: characters that are invisible or change the order of others are shown
//! as escapes, so that a text cannot look like another one.

use telepath_core::validation::misleads;

/// The text with `\u{…}` in place of characters that mislead.
pub(crate) fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for letter in text.chars() {
        if misleads(letter) {
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
}
