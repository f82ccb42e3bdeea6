//! Fields of forms and of query strings (`application/x-www-form-urlencoded`), and what is wrong with them.

use std::collections::BTreeMap;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use telepath_core::secret::SecretText;
use telepath_core::validation::Invalid;
use zeroize::Zeroize as _;

/// The most bytes of a form.
pub(crate) const FORM_BYTES: usize = 64 * 1024;
/// The most fields of a form or a query string.
const FIELDS: usize = 500;

/// The unreserved characters of RFC 3986 section 2.3 stay as they are.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A text for a query string.
pub(crate) fn encoded(text: &str) -> String {
    utf8_percent_encode(text, RESERVED).to_string()
}

/// The fields of a form or a query string, in their order. They are wiped when dropped, because some hold passwords.
#[derive(Clone, Default)]
pub(crate) struct Fields(Vec<(String, String)>);

impl Fields {
    /// Reads fields; what is not UTF-8 is replaced, and fields beyond the bound are left out.
    pub(crate) fn parse(text: &str) -> Self {
        let fields = text.split('&').filter(|field| !field.is_empty()).take(FIELDS);
        Self(
            fields
                .map(|field| {
                    let (name, value) = field.split_once('=').unwrap_or((field, ""));
                    (decoded(name), decoded(value))
                })
                .collect(),
        )
    }

    /// The first value of a field.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    /// The first value of a field; empty if there is none.
    pub(crate) fn text(&self, name: &str) -> &str {
        self.get(name).unwrap_or_default()
    }

    /// Every value of a field.
    pub(crate) fn all<'a, 'n>(&'a self, name: &'n str) -> impl Iterator<Item = &'a str> + use<'a, 'n> {
        self.0.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Whether a box is ticked.
    pub(crate) fn is_checked(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// A password, or another value that is not shown again.
    pub(crate) fn secret(&self, name: &str) -> SecretText {
        SecretText::new(self.text(name).to_owned())
    }
}

impl Drop for Fields {
    fn drop(&mut self) {
        self.0.iter_mut().for_each(|(_, value)| value.zeroize());
    }
}

impl std::fmt::Debug for Fields {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

fn decoded(text: &str) -> String {
    let spaced = text.replace('+', " ");
    percent_decode_str(&spaced).decode_utf8_lossy().into_owned()
}

/// What is wrong with a form, by field. The names of fields are those of the form.
#[derive(Debug, Default, Clone)]
pub(crate) struct Problems(BTreeMap<String, String>);

impl Problems {
    /// One problem.
    pub(crate) fn one(field: &str, problem: impl Into<String>) -> Self {
        let mut problems = Self::default();
        problems.add(field, problem);
        problems
    }

    /// Adds a problem as a sentence; the first one of a field stays.
    pub(crate) fn add(&mut self, field: &str, problem: impl Into<String>) {
        self.0.entry(field.to_owned()).or_insert_with(|| sentence(&problem.into()));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The problem of a field.
    pub(crate) fn of(&self, field: &str) -> Option<&str> {
        self.0.get(field).map(String::as_str)
    }

    /// Every field with its problem, for the summary at the top of a form.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(field, problem)| (field.as_str(), problem.as_str()))
    }
}

/// The lines of a text that are not blank, without spaces around them.
pub(crate) fn lines(text: &str) -> Vec<String> {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

/// HTTP headers, one per line. Their values are secrets.
pub(crate) fn headers(text: &str, field: &str, problems: &mut Problems) -> BTreeMap<String, SecretText> {
    let mut headers = BTreeMap::new();
    for (place, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        match line.split_once(':') {
            Some((name, value)) => {
                headers.insert(name.trim().to_owned(), SecretText::new(value.trim().to_owned()));
            }
            None => problems.add(field, format!("Line {} has no colon between name and value", place + 1)),
        }
    }
    headers
}

/// The text, if it is not blank.
pub(crate) fn given(text: &str) -> Option<String> {
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

/// The text with a capital letter at its start and a full stop at its end.
pub(crate) fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(char::to_uppercase).into_iter().flatten();
    let mut sentence: String = first.chain(letters).collect();
    if !sentence.ends_with(['.', '?', '!']) {
        sentence.push('.');
    }
    sentence
}

impl From<Invalid> for Problems {
    fn from(invalid: Invalid) -> Self {
        let mut problems = Self::default();
        for problem in invalid.into_details() {
            problems.add(&problem.field, problem.message);
        }
        problems
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_decoded_and_keep_their_order() {
        let fields = Fields::parse("name=a+b&scope=calls%3Aread&scope=usage%3Aread&on&x=%C3%A9=&bad=%ff%zz");
        assert_eq!(fields.get("name"), Some("a b"));
        assert_eq!(fields.all("scope").collect::<Vec<_>>(), ["calls:read", "usage:read"]);
        assert!(fields.is_checked("on") && !fields.is_checked("off"));
        assert_eq!((fields.text("x"), fields.text("off")), ("é=", ""));
        assert_eq!(fields.text("bad"), "\u{fffd}%zz");
    }

    #[test]
    fn the_number_of_fields_is_bounded() {
        let many = "a=1&".repeat(FIELDS + 1);
        assert_eq!(Fields::parse(&many).all("a").count(), FIELDS);
    }

    #[test]
    fn debug_output_names_fields_and_shows_no_values() {
        assert_eq!(format!("{:?}", Fields::parse("password=hunter2")), "[\"password\"]");
    }

    #[test]
    fn a_problem_reads_as_a_sentence_and_the_first_of_a_field_stays() {
        let mut problems = Problems::one("name", "must not be blank");
        problems.add("name", "is too long");
        problems.add("email", "Enter an address.");
        let all: Vec<_> = problems.iter().collect();
        assert_eq!(all, [("email", "Enter an address."), ("name", "Must not be blank.")]);
        assert_eq!((problems.of("name"), problems.of("other")), (Some("Must not be blank."), None));
    }

    #[test]
    fn encoded_text_survives_a_query_string() {
        let text = "/a?b=c&d=é #/+%";
        let query = format!("next={}", encoded(text));
        assert_eq!(Fields::parse(&query).get("next"), Some(text));
    }
}
