//! Query strings. A route takes the parameters that it knows; any other parameter, or one that is repeated, is refused,
//! because a filter that is silently ignored returns the wrong list.

use std::collections::BTreeMap;
use std::fmt::Display;

use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;
use telepath_core::clock::Timestamp;
use telepath_core::id::Id;
use telepath_core::page::{Cursor, DEFAULT_LIMIT, MAX_LIMIT, PageRequest, PageStart, SortKey};
use telepath_core::secret::contains_key;
use telepath_core::validation::{Invalid, MUST_NOT_CONTAIN_KEY};

use crate::error::ApiError;
use crate::extract::path::safe_excerpt;
use telepath_core::date::{DayEdge, parse_date};

/// The parameters of a route.
pub(crate) trait QueryForm: Sized {
    /// Reads the parameters.
    fn read(query: &mut QueryReader) -> Self;
}

/// The parameters that were not read yet, and the problems found so far.
#[derive(Debug, Default)]
pub(crate) struct QueryReader {
    parameters: BTreeMap<String, Vec<String>>,
    problems: Invalid,
}

impl QueryReader {
    fn new(pairs: Vec<(String, String)>) -> Self {
        let mut reader = Self::default();
        for (name, value) in pairs {
            if contains_key(name.as_bytes()) || contains_key(value.as_bytes()) {
                reader.problems.wrong(&safe_excerpt(&name), MUST_NOT_CONTAIN_KEY);
                continue;
            }
            reader.parameters.entry(name).or_default().push(value);
        }
        reader
    }

    /// Takes one parameter, if it is present.
    pub(crate) fn take<T, E: Display>(
        &mut self,
        name: &str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        let mut texts = self.parameters.remove(name)?.into_iter();
        let text = texts.next()?;
        if texts.next().is_some() {
            self.problems.wrong(name, "must be given only once");
            return None;
        }
        self.problems.keep(name, parse(&text))
    }

    /// Takes one parameter that must be present.
    pub(crate) fn required<T, E: Display>(
        &mut self,
        name: &str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        if !self.parameters.contains_key(name) {
            self.problems.missing(name);
        }
        self.take(name, parse)
    }

    /// Takes the values of a parameter that can be repeated, each of which is one of a closed list.
    pub(crate) fn choices<T: PartialEq>(
        &mut self,
        name: &str,
        parse: impl Fn(&str) -> Option<T>,
        values: impl IntoIterator<Item = &'static str>,
    ) -> Vec<T> {
        let texts = self.parameters.remove(name).unwrap_or_default();
        let mut chosen = Vec::new();
        let parsed: Option<Vec<T>> = texts.iter().map(|text| parse(text)).collect();
        match parsed {
            None => {
                let values: Vec<_> = values.into_iter().collect();
                self.problems.wrong(name, format!("must be one of {}", values.join(", ")));
            }
            Some(parsed) => {
                for value in parsed {
                    if !chosen.contains(&value) {
                        chosen.push(value);
                    }
                }
            }
        }
        chosen
    }

    /// Takes the ids of a parameter that can be repeated, at most `most` times, without duplicates.
    pub(crate) fn ids<I: Id>(&mut self, name: &str, most: usize) -> Vec<I> {
        let texts = self.parameters.remove(name).unwrap_or_default();
        if texts.len() > most {
            self.problems.wrong(name, format!("must be given at most {most} times"));
            return Vec::new();
        }
        let mut ids: Vec<I> = Vec::new();
        for text in texts {
            match self.problems.keep(name, text.parse::<I>()) {
                Some(id) if !ids.contains(&id) => ids.push(id),
                Some(_) | None => {}
            }
        }
        ids
    }

    /// Takes the ids of a parameter that is given at least once.
    pub(crate) fn required_ids<I: Id>(&mut self, name: &str, most: usize) -> Vec<I> {
        if !self.parameters.contains_key(name) {
            self.problems.missing(name);
        }
        self.ids(name, most)
    }

    /// Takes a parameter that has one of these values.
    pub(crate) fn choice<T>(
        &mut self,
        name: &str,
        parse: impl FnOnce(&str) -> Option<T>,
        values: impl IntoIterator<Item = &'static str>,
    ) -> Option<T> {
        self.take(name, |text| {
            parse(text).ok_or_else(|| {
                let values: Vec<_> = values.into_iter().collect();
                format!("must be one of {}", values.join(", "))
            })
        })
    }

    /// Takes a whole number.
    pub(crate) fn number(&mut self, name: &str) -> Option<u32> {
        self.take(name, |text| text.parse().map_err(|_| "must be a whole number from 0 to 4294967295"))
    }

    /// Records a parameter that conflicts with another.
    pub(crate) fn refuse(&mut self, name: &str, message: &str) {
        self.problems.wrong(name, message);
    }

    /// Takes a date-time, or a date of which `edge` selects the start or the end.
    pub(crate) fn date(&mut self, name: &str, edge: DayEdge) -> Option<Timestamp> {
        self.take(name, |text| parse_date(text, edge))
    }

    /// Takes a text of 1 to `longest` bytes.
    pub(crate) fn text(&mut self, name: &str, longest: usize) -> Option<String> {
        self.take(name, |text| {
            let fits = (1..=longest).contains(&text.len());
            if fits { Ok(text.to_owned()) } else { Err(format!("must have 1 to {longest} bytes")) }
        })
    }

    /// Takes `limit`.
    pub(crate) fn limit(&mut self) -> Option<u32> {
        let problem = format!("must be between 1 and {MAX_LIMIT}");
        self.take("limit", |text| {
            text.parse::<u32>().ok().filter(|limit| (1..=MAX_LIMIT).contains(limit)).ok_or(problem)
        })
    }

    /// Takes `limit`, and `offset` or `cursor`, of a list of `I` that is sorted by `key`, or by id.
    pub(crate) fn page<I: Id>(&mut self, key: Option<SortKey>) -> PageRequest {
        let limit = self.limit().unwrap_or(DEFAULT_LIMIT);
        let offset =
            self.take("offset", |text| text.parse::<u32>().map_err(|_| "must be a whole number from 0"));
        let cursor = self.take("cursor", |text| Cursor::parse::<I>(text, key));
        let start = match (cursor, offset) {
            (Some(_), Some(offset)) if offset > 0 => {
                self.refuse("offset", "must not be given together with cursor");
                PageStart::Offset(0)
            }
            (Some(cursor), _) => PageStart::After(cursor),
            (None, offset) => PageStart::Offset(offset.unwrap_or(0)),
        };
        PageRequest::starting(limit, start).unwrap_or_default()
    }

    /// Takes `sort` of a list that is sorted by its creation times: whether the oldest comes first.
    pub(crate) fn oldest_first(&mut self) -> bool {
        let parse = |text: &str| match text {
            "created_at" => Some(true),
            "-created_at" => Some(false),
            _ => None,
        };
        self.choice("sort", parse, ["created_at", "-created_at"]).unwrap_or_default()
    }

    fn finish<T>(mut self, form: T) -> Result<T, ApiError> {
        for name in self.parameters.into_keys() {
            self.problems.wrong(&safe_excerpt(&name), "is not a known parameter");
        }
        if self.problems.is_empty() { Ok(form) } else { Err(self.problems.into()) }
    }
}

/// A query string in which every parameter is known and valid.
#[derive(Debug)]
pub(crate) struct StrictQuery<T>(pub(crate) T);

impl<S: Send + Sync, T: QueryForm> FromRequestParts<S> for StrictQuery<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, ApiError> {
        let pairs = Query::<Vec<(String, String)>>::try_from_uri(&parts.uri)
            .map_err(|_| ApiError::invalid("query", "must be percent-encoded UTF-8"))?;
        let mut reader = QueryReader::new(pairs.0);
        let form = T::read(&mut reader);
        reader.finish(form).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use telepath_core::id::KeyId;

    use super::*;

    struct Paged(PageRequest);

    impl QueryForm for Paged {
        fn read(query: &mut QueryReader) -> Self {
            Self(query.page::<KeyId>(None))
        }
    }

    fn read(pairs: &[(&str, &str)]) -> Result<Paged, ApiError> {
        let pairs = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let mut reader = QueryReader::new(pairs);
        let form = Paged::read(&mut reader);
        reader.finish(form)
    }

    #[test]
    fn pages_have_defaults_and_bounds() {
        let page = read(&[]).ok().unwrap().0;
        assert_eq!((page.limit(), page.start()), (20, &PageStart::Offset(0)));
        let page = read(&[("limit", "100"), ("offset", "7")]).ok().unwrap().0;
        assert_eq!((page.limit(), page.start()), (100, &PageStart::Offset(7)));
        for bad in [
            ("limit", "0"),
            ("limit", "101"),
            ("limit", "-1"),
            ("limit", ""),
            ("offset", "-1"),
            ("offset", "x"),
        ] {
            assert!(read(&[bad]).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn unknown_and_repeated_parameters_are_refused() {
        assert!(read(&[("limit", "5"), ("page", "2")]).is_err());
        assert!(read(&[("limit", "5"), ("limit", "5")]).is_err());
        assert!(read(&[("page", "5"), ("page", "5")]).is_err());
    }

    #[test]
    fn repeated_ids_are_taken_once_each_up_to_a_bound() {
        let ids = |texts: &[&str], most: usize| {
            let pairs = texts.iter().map(|text| ("key_id".to_owned(), (*text).to_owned())).collect();
            let mut reader = QueryReader::new(pairs);
            let ids: Vec<KeyId> = reader.required_ids("key_id", most);
            reader.finish(ids.len())
        };
        let (one, two) = ("key_00000000000000000000000001", "key_00000000000000000000000002");
        assert_eq!(ids(&[one, two, one], 3).ok(), Some(2));
        for (wrong, most) in [(&[one, two][..], 1), (&[one, "key_x"], 2), (&[""], 2), (&[], 2)] {
            assert!(ids(wrong, most).is_err(), "{wrong:?}");
        }
    }
}
