//! Validation of input. A draft (a body or a command line as received) is converted into a checked type. All problems are
//! collected, so that the caller sees all of them at once.

use std::collections::BTreeMap;

/// The message for a text that contains an API key.
pub const MUST_NOT_CONTAIN_KEY: &str = "must not contain an API key";

/// One problem with one member of the input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldError {
    /// The member, such as `allowed_ips[2]`.
    pub field: String,
    /// What a valid value is.
    pub message: String,
}

/// Why a draft was refused: at least one missing or invalid member.
#[derive(Debug, Clone, PartialEq, Eq, Default, thiserror::Error)]
#[error("{}", self.summary())]
pub struct Invalid {
    missing: Vec<FieldError>,
    wrong: Vec<FieldError>,
}

impl Invalid {
    /// A single wrong member.
    pub fn one(field: &str, message: impl Into<String>) -> Self {
        let mut problems = Self::default();
        problems.wrong(field, message);
        problems
    }

    /// Notes a required member that is not there.
    pub fn missing(&mut self, field: &str) {
        let message = format!("Missing required field: {field}");
        self.missing.push(FieldError { field: field.to_owned(), message });
    }

    /// Notes a member with a wrong value.
    pub fn wrong(&mut self, field: &str, message: impl Into<String>) {
        self.wrong.push(FieldError { field: field.to_owned(), message: message.into() });
    }

    /// Keeps the value of a check, or notes its error and gives `None`.
    pub fn keep<T>(&mut self, field: &str, checked: Result<T, impl std::fmt::Display>) -> Option<T> {
        checked.map_err(|problem| self.wrong(field, problem.to_string())).ok()
    }

    /// Like [`Invalid::keep`] for a member that must be there.
    pub fn require<T, R, E: std::fmt::Display>(
        &mut self,
        field: &str,
        raw: Option<R>,
        check: impl FnOnce(R) -> Result<T, E>,
    ) -> Option<T> {
        if raw.is_none() {
            self.missing(field);
        }
        self.optional(field, raw, check)
    }

    /// Like [`Invalid::keep`] for a member that may be left out.
    pub fn optional<T, R, E: std::fmt::Display>(
        &mut self,
        field: &str,
        raw: Option<R>,
        check: impl FnOnce(R) -> Result<T, E>,
    ) -> Option<T> {
        raw.and_then(|raw| self.keep(field, check(raw)))
    }

    /// Whether nothing was noted.
    pub fn is_empty(&self) -> bool {
        self.missing.is_empty() && self.wrong.is_empty()
    }

    /// The first missing member, if members are missing.
    pub fn first_missing(&self) -> Option<&str> {
        self.missing.first().map(|problem| problem.field.as_str())
    }

    /// One sentence: the first problem, the missing ones first.
    pub fn summary(&self) -> String {
        match (self.missing.first(), self.wrong.first()) {
            (Some(missing), _) => missing.message.clone(),
            (None, Some(wrong)) => format!("{} {}", wrong.field, wrong.message),
            (None, None) => "no problem was found".to_owned(),
        }
    }

    /// All problems, the missing members first.
    pub fn into_details(self) -> Vec<FieldError> {
        self.missing.into_iter().chain(self.wrong).collect()
    }
}

/// The longest name, in characters.
const LONGEST_NAME: usize = 100;

/// A name for people: 1–100 characters that can be seen, and that show in the order in which they are stored.
pub fn checked_name(text: String) -> Result<String, String> {
    let text = bounded_text(text, 1, LONGEST_NAME, &[])?;
    if text.chars().any(misleads) {
        return Err(
            "must not hold invisible characters or characters that change the direction of text".to_owned()
        );
    }
    if emoji_style_after_text(&text) {
        return Err("must not hold a variation selector after a letter or digit".to_owned());
    }
    if !text.chars().any(is_visible_alone) {
        return Err("must not be blank".to_owned());
    }
    Ok(text)
}

/// Whether an emoji variation selector (U+FE0F) follows a letter or digit, where it changes nothing that can be seen. Keycaps,
/// such as 1️⃣, are a digit, the selector and U+20E3.
fn emoji_style_after_text(text: &str) -> bool {
    let characters: Vec<char> = text.chars().collect();
    (0..characters.len()).filter(|at| characters[*at] == '\u{fe0f}').any(|at| {
        let base = at.checked_sub(1).map(|before| characters[before]);
        base.is_none_or(char::is_alphanumeric) && characters.get(at + 1) != Some(&'\u{20e3}')
    })
}

/// Whether a character can be seen without others: blanks cannot, and marks combine with what is before them.
fn is_visible_alone(character: char) -> bool {
    !character.is_whitespace() && !misleads(character) && !is_mark(character)
}

/// The combining marks of the blocks that hold nothing else, and variation selectors.
const fn is_mark(character: char) -> bool {
    matches!(
        character,
        '\u{300}'..='\u{36f}' | '\u{483}'..='\u{489}' | '\u{1ab0}'..='\u{1aff}' | '\u{1dc0}'..='\u{1dff}'
        | '\u{20d0}'..='\u{20ff}' | '\u{fe00}'..='\u{fe0f}' | '\u{fe20}'..='\u{fe2f}'
    )
}

/// Whether a character is invisible or changes the order in which others are shown, so that a text can look like another
/// (Unicode Standard Annex 9 and Technical Report 36). Control characters and line separators are among them.
pub fn misleads(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            // Soft hyphen, joiners, marks, embeddings, overrides, isolates and other formats.
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{fe00}'..='\u{fe0e}' | '\u{feff}'
            | '\u{fff0}'..='\u{fffc}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
            | '\u{13430}'..='\u{1343f}' | '\u{e0000}'..='\u{e0fff}'
            // Letters and symbols that are drawn as blanks.
            | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{2800}' | '\u{3164}' | '\u{ffa0}'
            | '\u{16fe4}' | '\u{1d159}'
        )
}

/// The maximum number of pairs in `metadata`.
const MAX_METADATA: usize = 16;

/// Checks the pairs that a caller attaches to a resource, and reports every problem under `metadata`.
pub fn checked_metadata(pairs: BTreeMap<String, String>, problems: &mut Invalid) -> BTreeMap<String, String> {
    if pairs.len() > MAX_METADATA {
        problems.wrong("metadata", format!("must hold at most {MAX_METADATA} pairs"));
    }
    for (key, value) in &pairs {
        if !(1..=64).contains(&key.chars().count()) || value.chars().count() > 512 {
            problems.wrong(
                &format!("metadata.{key}"),
                "must have a name of 1 to 64 and a value of at most 512 characters",
            );
        }
        if key.chars().any(misleads) || value.chars().any(|c| misleads(c) && !matches!(c, '\n' | '\t')) {
            problems.wrong(
                &format!("metadata.{}", key.escape_default()),
                "must not hold control or invisible characters, or characters that change the direction of text",
            );
        }
    }
    pairs
}

/// The maximum length of a description in characters.
const LONGEST_DESCRIPTION: usize = 500;

/// A description for people: at most 500 characters, with line breaks.
pub fn checked_description(text: String) -> Result<String, String> {
    bounded_text(text, 1, LONGEST_DESCRIPTION, &['\n', '\t'])
}

/// Text whose length in characters is within bounds, without control characters but for those listed.
pub fn bounded_text(text: String, shortest: usize, longest: usize, also: &[char]) -> Result<String, String> {
    let length = text.chars().count();
    if !(shortest..=longest).contains(&length) {
        return Err(format!("must have {shortest} to {longest} characters"));
    }
    if text.chars().any(|c| c.is_control() && !also.contains(&c)) {
        return Err("must not hold control characters".to_owned());
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_cannot_be_seen_or_that_show_as_others_are_refused() {
        for name in [
            "",
            " ",
            "\u{a0}\u{3000}\t",
            "a\nb",
            "\u{1b}[2Jx",
            "nimda\u{202e}",
            "\u{2066}a\u{2069}",
            "a\u{200b}b",
        ] {
            assert!(checked_name(name.to_owned()).is_err(), "{name:?}");
        }
        for name in [
            "\u{feff}a",
            "a\u{200d}b",
            "a\u{ad}b",
            "\u{2800}",
            "\u{3164}",
            "a\u{2028}b",
            "a\u{e0041}",
            "\u{61c}",
            "\u{1d159}",
            "\u{16fe4}",
            "a\u{13430}b",
            "admin\u{fe0f}",
            "\u{fe0f}",
            "\u{301}\u{302}",
            " \u{301}",
        ] {
            assert!(checked_name(name.to_owned()).is_err(), "{name:?}");
        }
        assert!(checked_name("x".repeat(101)).is_err());
        for name in [
            "Production",
            "Prüfung 2",
            "本番",
            "مفتاح",
            "מפתח",
            "O'Neil <ops>",
            "❤\u{fe0f}",
            "1\u{fe0f}\u{20e3}",
            "e\u{301}cole",
            &"x".repeat(100),
        ] {
            assert_eq!(checked_name(name.to_owned()).as_deref(), Ok(name));
        }
    }

    #[test]
    fn metadata_holds_no_characters_that_mislead() {
        for (key, value) in
            [("team\u{202e}", "a"), ("team", "a\u{1b}[2J"), ("a\u{200b}", "a"), ("team", "x\u{202e}y")]
        {
            let mut problems = Invalid::default();
            checked_metadata([(key.to_owned(), value.to_owned())].into(), &mut problems);
            assert!(!problems.is_empty(), "{key:?}: {value:?}");
        }
        let mut problems = Invalid::default();
        checked_metadata([("équipe".to_owned(), "two\nlines\t✓".to_owned())].into(), &mut problems);
        assert!(problems.is_empty());
    }
}
