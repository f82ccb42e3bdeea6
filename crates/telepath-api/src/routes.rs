//! The route table: every route with its requirements and its errors. The table is built from the handlers; the OpenAPI
//! document, the metrics, the request log and the tests read it.

use axum::http::Method;
use telepath_core::error::ErrorCode;
use telepath_core::request::RouteNumber;
use telepath_core::scope::Scope;

/// What a route requires of its client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Nothing, and requests are not counted.
    Probe,
    /// Nothing. Requests are counted against the address.
    Open,
    /// Nothing, but requests are limited by address to a few a minute.
    Reporter,
    /// The same, with a window of its own for partners, who sign what they send.
    Partner,
    /// A valid key.
    AnyKey,
    /// A valid key with this scope.
    Scope(Scope),
    /// Local administration; for every other client, the route does not exist.
    Local,
}

impl Access {
    /// Whether a request with this method may carry an `Idempotency-Key`: every `POST` of a known caller may.
    pub(crate) fn takes_idempotency_key(self, method: &Method) -> bool {
        *method == Method::POST && matches!(self, Access::AnyKey | Access::Scope(_) | Access::Local)
    }
}

/// One route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RouteRow {
    /// `GET` stands for `HEAD` too.
    pub(crate) method: Method,
    /// The path template; a name in braces, such as `{id}`, matches one segment.
    pub(crate) path: String,
    /// What the route requires.
    pub(crate) access: Access,
    /// The errors that the route may return, in the order of the error table.
    pub(crate) codes: Vec<ErrorCode>,
}

impl RouteRow {
    /// The method as a label of metrics and logs.
    pub(crate) fn verb(&self) -> &'static str {
        [Method::GET, Method::POST, Method::PATCH, Method::DELETE]
            .iter()
            .zip(["GET", "POST", "PATCH", "DELETE"])
            .find(|(method, _)| **method == self.method)
            .map_or("other", |(_, verb)| verb)
    }
}

/// Two templates match the same path, or one is malformed.
#[derive(Debug, thiserror::Error)]
#[error("the route {path} conflicts with another: {source}")]
pub struct RouteConflict {
    path: String,
    source: matchit::InsertError,
}

/// Every route, and the search by path.
#[derive(Debug, Clone)]
pub(crate) struct RouteTable {
    rows: Vec<RouteRow>,
    /// The places of the rows of each path.
    by_path: matchit::Router<Vec<usize>>,
}

/// What the table knows of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct RouteMatch<'t> {
    /// The place and the row of the route, if path and method match.
    pub(crate) row: Option<(usize, &'t RouteRow)>,
    /// The template, if the path matches.
    pub(crate) template: Option<&'t str>,
    /// Whether the path is open to every client.
    pub(crate) open: bool,
    /// Whether the path needs a key.
    pub(crate) keyed: bool,
}

impl RouteMatch<'_> {
    /// The number of the route in the request log.
    pub(crate) fn number(self) -> Option<RouteNumber> {
        self.row.and_then(|(place, _)| u16::try_from(place).ok()).map(RouteNumber)
    }

    /// Whether the route is a health probe.
    pub(crate) fn is_probe(self) -> bool {
        self.row.is_some_and(|(_, row)| row.access == Access::Probe)
    }

    /// Whether the route is for clients that report leaked keys.
    pub(crate) fn is_for_reporters(self) -> bool {
        self.row.is_some_and(|(_, row)| row.access == Access::Reporter)
    }

    /// Whether the route is for partners that send signed lists of leaked keys.
    pub(crate) fn is_for_partners(self) -> bool {
        self.row.is_some_and(|(_, row)| row.access == Access::Partner)
    }

    /// Whether the route is known and its template has no parameters.
    pub(crate) fn is_one_path(self) -> bool {
        self.row.is_some_and(|(_, row)| !row.path.contains('{'))
    }
}

impl RouteTable {
    /// Builds the table from the rows of all handlers.
    pub(crate) fn new(rows: Vec<RouteRow>) -> Result<Self, RouteConflict> {
        let mut by_path = matchit::Router::new();
        for (place, row) in rows.iter().enumerate() {
            if rows[..place].iter().any(|earlier| earlier.path == row.path) {
                continue;
            }
            let same = rows.iter().enumerate().filter(|(_, other)| other.path == row.path);
            let places = same.map(|(place, _)| place).collect();
            by_path
                .insert(row.path.clone(), places)
                .map_err(|source| RouteConflict { path: row.path.clone(), source })?;
        }
        Ok(Self { rows, by_path })
    }

    pub(crate) fn rows(&self) -> &[RouteRow] {
        &self.rows
    }

    /// The name of each route in the request log, in the order of the route numbers.
    pub(crate) fn labels(&self) -> Vec<String> {
        self.rows.iter().map(|row| format!("{} {}", row.verb(), row.path)).collect()
    }

    /// Finds the route of a request.
    pub(crate) fn find(&self, method: &Method, path: &str) -> RouteMatch<'_> {
        let method = if *method == Method::HEAD { &Method::GET } else { method };
        let Ok(found) = self.by_path.at(path) else { return RouteMatch::default() };
        if found.params.iter().any(|(_, segment)| segment.is_empty()) {
            return RouteMatch::default();
        }
        let rows = || found.value.iter().filter_map(|place| Some((*place, self.rows.get(*place)?)));
        RouteMatch {
            row: rows().find(|(_, row)| row.method == *method),
            template: rows().next().map(|(_, row)| row.path.as_str()),
            open: rows().any(|(_, row)| matches!(row.access, Access::Open | Access::Probe)),
            keyed: rows().any(|(_, row)| matches!(row.access, Access::AnyKey | Access::Scope(_))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> RouteTable {
        let row = |method: Method, path: &str, access| {
            let path = path.to_owned();
            RouteRow { method, path, access, codes: Vec::new() }
        };
        RouteTable::new(vec![
            row(Method::GET, "/v1/keys", Access::AnyKey),
            row(Method::GET, "/v1/keys/{id}", Access::AnyKey),
            row(Method::PATCH, "/v1/keys/{id}", Access::AnyKey),
            row(Method::POST, "/v1/keys/rotate-all", Access::AnyKey),
            row(Method::POST, "/v1/keys/report-leak", Access::Reporter),
            row(Method::POST, "/v1/keys/{id}/secrets/{secret_id}/revoke", Access::AnyKey),
            row(Method::GET, "/livez", Access::Probe),
        ])
        .unwrap()
    }

    #[test]
    fn requests_are_found_by_path_and_method() {
        let table = table();
        let found = table.find(&Method::PATCH, "/v1/keys/key_1");
        assert_eq!(found.template, Some("/v1/keys/{id}"));
        assert_eq!(found.row.unwrap().1.method, Method::PATCH);
        assert!(!found.is_one_path());
        assert_eq!(table.find(&Method::HEAD, "/v1/keys"), table.find(&Method::GET, "/v1/keys"));
        let wrong_method = table.find(&Method::PUT, "/v1/keys/key_1");
        assert_eq!((wrong_method.row, wrong_method.template), (None, Some("/v1/keys/{id}")));
        for path in ["/v1/keys/", "/v1/keys/a/b", "/v1", "/", "", "v1/keys", "/v1/keys/x/revoke/", "/v1/é"] {
            assert_eq!(table.find(&Method::GET, path), RouteMatch::default(), "{path}");
        }
        let open = table.find(&Method::GET, "/livez");
        assert!(open.open && open.is_one_path());
        let two = table.find(&Method::POST, "/v1/keys/key_1/secrets/sec_1/revoke");
        assert_eq!(two.template, Some("/v1/keys/{id}/secrets/{secret_id}/revoke"));
        let exact = table.find(&Method::POST, "/v1/keys/rotate-all");
        assert_eq!(exact.template, Some("/v1/keys/rotate-all"));
        for path in ["/v1/keys/key_1/secrets//revoke", "/v1/keys/key_1/secrets/s/x/revoke", "/v1/keys/{id"] {
            assert_eq!(table.find(&Method::POST, path).row, None, "{path}");
        }
    }

    #[test]
    fn a_route_is_for_reporters_with_its_own_method_only() {
        let table = table();
        assert!(table.find(&Method::POST, "/v1/keys/report-leak").is_for_reporters());
        assert!(!table.find(&Method::GET, "/v1/keys/report-leak").is_for_reporters());
    }

    #[test]
    fn two_routes_for_one_path_are_a_conflict() {
        let mut rows = table().rows;
        rows.push(RouteRow { path: "/v1/keys/{key}".to_owned(), ..rows[1].clone() });
        assert!(RouteTable::new(rows).unwrap_err().to_string().contains("/v1/keys/{key}"));
    }
}
