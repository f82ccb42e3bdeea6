//! The filters of the request log as users write them: fields with the names of the API, or one line of text such as
//! `status:4xx key:ci route:/v1/calls`. Nothing here reads from the store.

use telepath_core::address::parse_network;
use telepath_core::clock::Timestamp;
use telepath_core::date::{DayEdge, parse_date};
use telepath_core::error::ErrorCode;
use telepath_core::id::{KeyId, RequestId, SecretId, UserId};
use telepath_core::request::{RequestFilter, RequestMethod, StatusFilter};
use telepath_core::secret::contains_key;

use crate::form::{Fields, Problems, encoded};

/// The longest value of a filter, in bytes: no longer one is kept of a request.
const LONGEST: usize = 256;
/// The longest line of text, in bytes.
const LONGEST_LINE: usize = 1024;

macro_rules! fields {
    ($($variant:ident = $name:literal, $short:literal, $label:literal, $example:literal;)+) => {
        /// A filter.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(super) enum Field {
            $($variant,)+
        }

        impl Field {
            pub(super) const ALL: &'static [Field] = &[$(Field::$variant),+];

            /// The name of the parameter, here and in the API.
            pub(super) const fn name(self) -> &'static str {
                match self { $(Field::$variant => $name,)+ }
            }

            /// The name in a line of text.
            const fn short(self) -> &'static str {
                match self { $(Field::$variant => $short,)+ }
            }

            /// The label of the field.
            pub(super) const fn label(self) -> &'static str {
                match self { $(Field::$variant => $label,)+ }
            }

            /// A value as an example.
            pub(super) const fn example(self) -> &'static str {
                match self { $(Field::$variant => $example,)+ }
            }
        }
    };
}

fields! {
    Status = "status", "status", "Status", "4xx";
    Key = "key_id", "key", "Key", "name or key_…";
    Method = "method", "method", "Method", "GET";
    Route = "route", "route", "Route", "/v1/trunks/{id}";
    Path = "path", "path", "Path", "/v1/calls";
    Code = "error_code", "code", "Error code", "NOT_FOUND";
    Duration = "min_duration_ms", "duration", "Duration at least (ms)", "500";
    Address = "address", "address", "IP address", "203.0.113.0/24";
    UserAgent = "user_agent", "agent", "User agent", "curl";
    Secret = "secret_id", "secret", "Secret", "sec_…";
    User = "user_id", "user", "User", "user_…";
    Id = "request_id", "id", "Request", "req_…";
    Start = "start_date", "from", "From", "2026-11-30";
    End = "end_date", "to", "To", "2026-11-30T12:05:00Z";
}

impl Field {
    fn of_word(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|field| field.short() == word || field.name() == word)
    }

    /// What a word without a name is a filter of.
    fn of_value(value: &str) -> Self {
        if value.starts_with('/') {
            if value.contains('{') { Field::Route } else { Field::Path }
        } else if value.parse::<RequestId>().is_ok() {
            Field::Id
        } else if value.parse::<SecretId>().is_ok() {
            Field::Secret
        } else if value.parse::<UserId>().is_ok() {
            Field::User
        } else if StatusFilter::parse(value).is_some() {
            Field::Status
        } else if RequestMethod::from_name(value).is_some() {
            Field::Method
        } else if code_named(value).is_some() {
            Field::Code
        } else if parse_network(value).is_ok() {
            Field::Address
        } else {
            Field::Key
        }
    }
}

fn code_named(text: &str) -> Option<ErrorCode> {
    ErrorCode::ALL.iter().copied().find(|code| code.name() == text)
}

/// Whether a text holds an API key, also one that was not copied completely.
fn holds_key(text: &str) -> bool {
    contains_key(text.as_bytes()) || ["sk_live_", "sk_test_"].iter().any(|prefix| text.contains(prefix))
}

/// The filters as they were written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Filters(Vec<(Field, String)>);

/// A line of text that was read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) filters: Filters,
    /// Names that no filter has.
    pub(super) unknown: Vec<String>,
    /// Whether a word was left out because it holds an API key.
    pub(super) has_key: bool,
}

/// Reads a line of text. A value with spaces stands in double quotes; of two values of one filter the last one counts.
pub(super) fn parse_line(text: &str) -> Line {
    let mut line = Line::default();
    for word in words(&text[..text.floor_char_boundary(LONGEST_LINE)]) {
        if holds_key(&word) {
            line.has_key = true;
            continue;
        }
        let named = word.split_once(':').filter(|(name, _)| {
            parse_network(&word).is_err()
                && !name.is_empty()
                && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
        });
        match named.map(|(name, value)| (Field::of_word(name), name, value)) {
            Some((Some(field), _, value)) => line.filters.set(field, value),
            Some((None, name, _)) => line.unknown.push(name.to_owned()),
            None => line.filters.set(Field::of_value(&word), &word),
        }
    }
    line
}

/// The words of a line, without the quotes around parts of them.
fn words(text: &str) -> Vec<String> {
    let (mut words, mut word, mut quoted) = (Vec::new(), String::new(), false);
    for letter in text.chars() {
        match letter {
            '"' => quoted = !quoted,
            letter if letter.is_whitespace() && !quoted => {
                if !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
            }
            letter => word.push(letter),
        }
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

impl Filters {
    /// The filters of a query string, with those of its line `q` over them.
    pub(super) fn read(query: &Fields) -> Line {
        let mut filters = Self::default();
        for field in Field::ALL {
            filters.set(*field, query.text(field.name()));
        }
        let mut line = parse_line(query.text("q"));
        for (field, value) in std::mem::take(&mut line.filters.0) {
            filters.set(field, &value);
        }
        line.filters = filters;
        line
    }

    fn set(&mut self, field: Field, value: &str) {
        let value = value.trim();
        self.0.retain(|(known, _)| *known != field);
        if !value.is_empty() && !holds_key(value) {
            let end = value.floor_char_boundary(LONGEST);
            self.0.push((field, value[..end].to_owned()));
        }
    }

    /// The same with another value; an empty one removes the filter.
    pub(super) fn with(&self, field: Field, value: &str) -> Self {
        let mut filters = self.clone();
        filters.set(field, value);
        filters
    }

    /// The value of a filter; empty if there is none.
    pub(super) fn get(&self, field: Field) -> &str {
        self.0.iter().find(|(known, _)| *known == field).map_or("", |(_, value)| value)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (Field, &str)> {
        self.0.iter().map(|(field, value)| (*field, value.as_str()))
    }

    /// The filters on one line, as [`parse_line`] reads them.
    pub(super) fn line(&self) -> String {
        let word = |(field, value): (Field, &str)| {
            let quotes = if value.contains(char::is_whitespace) { "\"" } else { "" };
            format!("{}:{quotes}{}{quotes}", field.short(), value.replace('"', ""))
        };
        self.iter().map(word).collect::<Vec<_>>().join(" ")
    }

    /// The filters as parameters, without a separator before the first.
    pub(super) fn query(&self) -> String {
        let pair = |(field, value): (Field, &str)| format!("{}={}", field.name(), encoded(value));
        self.iter().map(pair).collect::<Vec<_>>().join("&")
    }

    /// The filter of the store. `key` is the key that the value of that filter names.
    pub(super) fn check(&self, key: Option<KeyId>) -> Result<RequestFilter, Problems> {
        let mut problems = Problems::default();
        let mut filter = RequestFilter { key_id: key, ..RequestFilter::default() };
        for (field, value) in self.iter() {
            if let Err(problem) = apply(&mut filter, field, value) {
                problems.add(field.name(), format!("{} {problem}", field.label()));
            }
        }
        if problems.is_empty() { Ok(filter) } else { Err(problems) }
    }
}

fn apply(filter: &mut RequestFilter, field: Field, value: &str) -> Result<(), &'static str> {
    fn named<T: std::str::FromStr>(value: &str, problem: &'static str) -> Result<Option<T>, &'static str> {
        value.parse().map(Some).map_err(|_| problem)
    }
    let time = |edge: DayEdge| -> Result<Option<Timestamp>, &'static str> {
        let problem = "must be a date such as 2026-11-30, or a time such as 2026-11-30T12:05:00Z";
        parse_date(value, edge).map(Some).map_err(|_| problem)
    };
    match field {
        // The caller has looked it up.
        Field::Key => {}
        Field::Secret => filter.secret_id = named(value, "must be the id of a secret, sec_…")?,
        Field::User => filter.user_id = named(value, "must be the id of a user, user_…")?,
        Field::Id => filter.id = named(value, "must be the id of a request, req_…")?,
        Field::Route => filter.route = Some(value.to_owned()),
        Field::Path => filter.path = Some(value.to_owned()),
        Field::UserAgent => filter.user_agent = Some(value.to_owned()),
        Field::Method => {
            let method = RequestMethod::from_name(value)
                .or_else(|| RequestMethod::from_name(&value.to_ascii_uppercase()));
            filter.method = Some(method.ok_or("must be a method such as GET")?);
        }
        Field::Status => {
            let status = StatusFilter::parse(value);
            filter.status = Some(status.ok_or("must be a number such as 404, or a class such as 4xx")?);
        }
        Field::Code => {
            filter.error = Some(code_named(value).ok_or("must be the code of an error")?);
        }
        Field::Address => {
            let network = parse_network(value).map_err(|_| "must be an address or a network")?;
            filter.network = Some(network);
        }
        Field::Duration => {
            let ms: u32 = value.parse().map_err(|_| "must be a number of milliseconds")?;
            filter.min_duration_us = Some(u64::from(ms) * 1000);
        }
        Field::Start => filter.start = time(DayEdge::First)?,
        Field::End => filter.end = time(DayEdge::Last)?,
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> String {
        parse_line(text).filters.line()
    }

    #[test]
    fn a_line_names_filters_as_the_api_does_or_in_short() {
        assert_eq!(line("status:4xx key:ci route:/v1/calls"), "status:4xx key:ci route:/v1/calls");
        assert_eq!(line("key_id:ci error_code:NOT_FOUND"), "key:ci code:NOT_FOUND");
        assert_eq!(line("  key:\"ci smoke tests\"  "), "key:\"ci smoke tests\"");
        assert_eq!(line("status:404 status:5xx"), "status:5xx", "the last one counts");
    }

    #[test]
    fn a_word_without_a_name_is_recognized_by_its_form() {
        for (word, shown) in [
            ("/v1/calls", "path:/v1/calls"),
            ("/v1/calls/{id}", "route:/v1/calls/{id}"),
            ("404", "status:404"),
            ("5xx", "status:5xx"),
            ("DELETE", "method:DELETE"),
            ("TRUNK_NOT_FOUND", "code:TRUNK_NOT_FOUND"),
            ("203.0.113.0/24", "address:203.0.113.0/24"),
            ("2001:db8::1", "address:2001:db8::1"),
            ("abcd::1", "address:abcd::1"),
            ("req_01k9v1n2xrf6t8g3m5q7w9y0za", "id:req_01k9v1n2xrf6t8g3m5q7w9y0za"),
            ("ci-smoke-tests", "key:ci-smoke-tests"),
        ] {
            assert_eq!(line(word), shown);
        }
    }

    #[test]
    fn unknown_names_are_reported_and_a_key_is_left_out() {
        let read = parse_line("colour:blue status:200");
        assert_eq!((read.unknown, read.filters.line()), (vec!["colour".to_owned()], "status:200".to_owned()));
        let key = format!("sk_live_{}", "a1B2c3D4".repeat(7).get(..49).unwrap_or_default());
        let read = parse_line(&format!("key:{key} {key} status:200"));
        assert!(!read.filters.line().contains("sk_live"), "{read:?}");
    }

    #[test]
    fn a_line_survives_a_query_string() {
        let filters = parse_line("key:\"a & b\" route:/v1/trunks/{id} agent:=x").filters;
        let read = Filters::read(&Fields::parse(&filters.query()));
        assert_eq!(read.filters.line(), filters.line());
        let over = Filters::read(&Fields::parse("status=200&key_id=one&q=status:404"));
        assert_eq!(over.filters.line(), "key:one status:404");
    }

    #[test]
    fn values_are_bounded_and_checked() {
        assert_eq!(parse_line(&"é".repeat(3000)).filters.get(Field::Key).len(), LONGEST);
        let checked = parse_line("status:4xx duration:500 from:2026-11-30 method:get").filters.check(None);
        let filter = checked.unwrap();
        assert_eq!(filter.min_duration_us, Some(500_000));
        assert_eq!(filter.method, Some(RequestMethod::Get));
        assert_eq!(filter.start.unwrap().to_string(), "2026-11-30T00:00:00.000Z");
        let wrong = "status:9xx method:FETCH code:x address:300.1.1.1 duration:-1 from:today secret:x";
        let problems = parse_line(wrong).filters.check(None).unwrap_err();
        assert_eq!(problems.iter().count(), 7, "{:?}", problems.iter().collect::<Vec<_>>());
    }

    #[test]
    fn a_filter_is_removed_by_an_empty_value() {
        let filters = parse_line("status:4xx key:ci").filters;
        assert_eq!(filters.with(Field::Status, "").line(), "key:ci");
        assert!(filters.with(Field::Status, "").with(Field::Key, " ").is_empty());
    }
}
