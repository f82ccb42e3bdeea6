//! The report of a leak as Markdown.

use std::fmt::Write as _;

use super::steps::{Facts, Found};
use crate::visible::visible;

/// What Markdown reads as more than a letter is escaped, because names and programs come from outside.
fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for letter in visible(text).chars() {
        if letter.is_ascii_punctuation() && !matches!(letter, '.' | ',' | ':' | '-' | '/' | '@' | '%' | '\'')
        {
            plain.push('\\');
        }
        plain.push(letter);
    }
    plain
}

/// The steps with what was found, as Markdown.
pub(super) fn markdown(facts: &Facts<'_>, started_by: &str, reader: &str) -> String {
    let (zone, guide) = (facts.zone, &facts.response.guide);
    let mut text = format!("# Leaked key: {}\n\n", plain(&facts.key.name));
    // Writing to a String cannot fail.
    let _ = writeln!(text, "- Key: `{}`", facts.key.id);
    let _ = writeln!(text, "- Started: {} by {}", zone.exact(guide.started_at), plain(started_by));
    let _ = writeln!(text, "- Written: {} for {}", zone.exact(facts.now), plain(reader));
    for (place, step) in facts.steps().iter().enumerate() {
        let state = if step.done { "done" } else { "open" };
        let _ = write!(text, "\n## {}. {} ({state})\n\n", place + 1, step.title);
        let lead: String = step.lead.iter().map(|(_, part)| part.as_str()).collect();
        let _ = writeln!(text, "{}", plain(&lead));
        if !step.found.is_empty() {
            text.push('\n');
        }
        for Found { strong, rest, aside, .. } in &step.found {
            let aside = if aside.is_empty() { String::new() } else { format!(" ({})", plain(aside)) };
            let _ = writeln!(text, "- **{}** {}{aside}", plain(strong), plain(rest));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_from_outside_is_neither_markup_nor_a_new_line() {
        assert_eq!(plain("a *b* <i>\n# [x](y)"), "a \\*b\\* \\<i\\>\\\\u\\{a\\}\\# \\[x\\]\\(y\\)");
        assert_eq!(plain("203.0.113.10 gateway/4.1, 14:05"), "203.0.113.10 gateway/4.1, 14:05");
    }
}
