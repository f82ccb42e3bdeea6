//! Texts from outside. Templates escape HTML; this makes visible what would otherwise hide or reorder text.

/// The text with control characters, and those that change its direction or have no width, written as escapes. Line breaks and
/// tabs stay.
pub(crate) fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for letter in text.chars() {
        if is_hidden(letter) { shown.extend(letter.escape_unicode()) } else { shown.push(letter) }
    }
    shown
}

fn is_hidden(letter: char) -> bool {
    match letter {
        '\n' | '\t' => false,
        '\u{200b}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}'
        | '\u{61c}'
        | '\u{feff}' => true,
        other => other.is_control(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_hides_or_reorders_text_is_shown_as_an_escape() {
        assert_eq!(visible("a\u{202e}b\u{0}\r\nÄ\t"), "a\\u{202e}b\\u{0}\\u{d}\nÄ\t");
    }
}
