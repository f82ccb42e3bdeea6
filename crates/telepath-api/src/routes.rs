//! Every route with what it asks of its caller, in one table. Handlers prove the scope by an argument type; this table is
//! what people, the OpenAPI document and the tests read, and a test fails when the two disagree.

use std::sync::LazyLock;

use axum::http::Method;
use telepath_core::request::RouteNumber;
use telepath_core::scope::Scope;

/// What a route asks of its caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Nothing.
    Open,
    /// Nothing, but the caller's address has a strict window of its own here.
    Reporter,
    /// A valid key.
    AnyKey,
    /// A valid key with this scope.
    Scope(Scope),
}

/// One route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteRow {
    /// The method. `GET` stands for `HEAD` too.
    pub method: Method,
    /// The path; a name in braces, such as `{id}`, is one segment.
    pub path: &'static str,
    /// What it asks of its caller.
    pub access: Access,
}

impl RouteRow {
    /// The method as text.
    pub(crate) fn verb(&self) -> &'static str {
        [Method::GET, Method::POST, Method::PATCH, Method::DELETE]
            .iter()
            .zip(["GET", "POST", "PATCH", "DELETE"])
            .find(|(method, _)| **method == self.method)
            .map_or("other", |(_, verb)| verb)
    }
}

const fn row(method: Method, path: &'static str, access: Access) -> RouteRow {
    RouteRow { method, path, access }
}

/// Every route.
pub static ROUTES: &[RouteRow] = &[
    row(Method::GET, "/v1/whoami", Access::AnyKey),
    row(Method::GET, "/v1/trunks", Access::Scope(Scope::TrunksRead)),
    row(Method::POST, "/v1/trunks", Access::Scope(Scope::TrunksWrite)),
    row(Method::GET, "/v1/trunks/{id}", Access::Scope(Scope::TrunksRead)),
    row(Method::PATCH, "/v1/trunks/{id}", Access::Scope(Scope::TrunksWrite)),
    row(Method::DELETE, "/v1/trunks/{id}", Access::Scope(Scope::TrunksWrite)),
    row(Method::POST, "/v1/trunks/{id}/rotate-sip-password", Access::Scope(Scope::TrunksWrite)),
    row(Method::POST, "/v1/trunks/{id}/rotate-password", Access::Scope(Scope::TrunksWrite)),
    row(Method::GET, "/v1/calls", Access::Scope(Scope::CallsRead)),
    row(Method::GET, "/v1/calls/{id}", Access::Scope(Scope::CallsRead)),
    row(Method::POST, "/v1/calls/{id}/hangup", Access::Scope(Scope::CallsWrite)),
    row(Method::GET, "/v1/keys", Access::Scope(Scope::KeysRead)),
    row(Method::POST, "/v1/keys", Access::Scope(Scope::KeysWrite)),
    row(Method::GET, "/v1/keys/{id}", Access::Scope(Scope::KeysRead)),
    row(Method::PATCH, "/v1/keys/{id}", Access::Scope(Scope::KeysWrite)),
    row(Method::DELETE, "/v1/keys/{id}", Access::Scope(Scope::KeysWrite)),
    row(Method::POST, "/v1/keys/{id}/revoke", Access::Scope(Scope::KeysWrite)),
    row(Method::POST, "/v1/keys/{id}/rotate", Access::Scope(Scope::KeysWrite)),
    row(Method::POST, "/v1/keys/{id}/secrets/{secret_id}/revoke", Access::Scope(Scope::KeysWrite)),
    row(Method::POST, "/v1/keys/rotate-all", Access::Scope(Scope::KeysWrite)),
    row(Method::POST, "/v1/keys/report-leak", Access::Reporter),
    row(Method::POST, "/v1/keys/secret-scanning", Access::Reporter),
    row(Method::GET, "/v1/key-presets", Access::Scope(Scope::KeysRead)),
    row(Method::PATCH, "/v1/key-presets/{name}", Access::Scope(Scope::KeysWrite)),
    row(Method::DELETE, "/v1/key-presets/{name}", Access::Scope(Scope::KeysWrite)),
    row(Method::GET, "/v1/account", Access::Scope(Scope::KeysRead)),
    row(Method::PATCH, "/v1/account", Access::Scope(Scope::KeysWrite)),
    row(Method::GET, "/v1/keys/{id}/usage", Access::Scope(Scope::UsageRead)),
    row(Method::GET, "/v1/requests", Access::Scope(Scope::AuditRead)),
    row(Method::GET, "/v1/audit-events", Access::Scope(Scope::AuditRead)),
    row(Method::GET, "/v1/audit-events/verify", Access::Scope(Scope::AuditRead)),
    row(Method::GET, "/v1/alerts", Access::Scope(Scope::UsageRead)),
    row(Method::POST, "/v1/alerts/{id}/acknowledge", Access::Scope(Scope::KeysWrite)),
    row(Method::GET, "/v1/webhooks", Access::Scope(Scope::WebhooksRead)),
    row(Method::POST, "/v1/webhooks", Access::Scope(Scope::WebhooksWrite)),
    row(Method::GET, "/v1/webhooks/{id}", Access::Scope(Scope::WebhooksRead)),
    row(Method::PATCH, "/v1/webhooks/{id}", Access::Scope(Scope::WebhooksWrite)),
    row(Method::DELETE, "/v1/webhooks/{id}", Access::Scope(Scope::WebhooksWrite)),
    row(Method::POST, "/v1/webhooks/{id}/rotate-secret", Access::Scope(Scope::WebhooksWrite)),
    row(Method::POST, "/v1/webhooks/{id}/test", Access::Scope(Scope::WebhooksWrite)),
    row(Method::POST, "/v1/webhooks/{id}/recover", Access::Scope(Scope::WebhooksWrite)),
    row(Method::GET, "/v1/webhooks/{id}/deliveries", Access::Scope(Scope::WebhooksRead)),
    row(Method::GET, "/v1/deliveries/{id}", Access::Scope(Scope::WebhooksRead)),
    row(Method::POST, "/v1/deliveries/{id}/redeliver", Access::Scope(Scope::WebhooksWrite)),
    row(Method::GET, "/livez", Access::Open),
    row(Method::GET, "/readyz", Access::Open),
    row(Method::GET, "/metrics", Access::Open),
    row(Method::GET, "/openapi.json", Access::Open),
    row(Method::GET, "/.well-known/telepath-key-pattern.json", Access::Open),
    row(Method::GET, "/.well-known/security.txt", Access::Open),
];

/// What the table knows of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct RouteMatch {
    /// The place of the row in [`ROUTES`], if path and method match.
    pub(crate) row: Option<usize>,
    /// The path of the table, if the path matches; for logs.
    pub(crate) template: Option<&'static str>,
    /// Whether the path is open to everybody.
    pub(crate) open: bool,
    /// Whether the path is for those who report leaks.
    pub(crate) reporter: bool,
}

impl RouteMatch {
    /// The number of the route in the request log.
    pub(crate) fn number(self) -> Option<RouteNumber> {
        self.row.and_then(|row| u16::try_from(row).ok()).map(RouteNumber)
    }

    /// Whether the route is known and the template is the path.
    pub(crate) fn is_one_path(self) -> bool {
        self.row.is_some() && self.template.is_some_and(|template| !template.contains('{'))
    }
}

/// What each route is called in the request log, in the order of its numbers.
pub(crate) fn labels() -> Vec<String> {
    ROUTES.iter().map(|row| format!("{} {}", row.verb(), row.path)).collect()
}

/// The most slashes that are told apart, and how many values of a byte are.
const DEPTHS: usize = 8;
const LETTERS: usize = 32;

/// The places of the rows that a path could fit, by its [`group`]: a handful instead of all.
static GROUPS: LazyLock<Box<[Vec<usize>]>> = LazyLock::new(|| {
    let of_group = |wanted: usize| {
        let rows = ROUTES.iter().enumerate();
        rows.filter(|(_, row)| group(row.path) == wanted).map(|(place, _)| place).collect()
    };
    (0..DEPTHS * LETTERS).map(of_group).collect()
});

/// A number that a path shares with each template that it fits: from its slashes and from the byte behind `/v1/`, which is
/// never a name's in a template.
fn group(path: &str) -> usize {
    let depth = path.bytes().filter(|byte| *byte == b'/').count() % DEPTHS;
    let letter = path.as_bytes().get(4).map_or(0, |byte| usize::from(*byte) % LETTERS);
    depth * LETTERS + letter
}

/// Finds a request in the table.
pub(crate) fn find(method: &Method, path: &str) -> RouteMatch {
    find_among(GROUPS.get(group(path)).map_or(&[], Vec::as_slice), method, path)
}

fn find_among(places: &[usize], method: &Method, path: &str) -> RouteMatch {
    let method = if *method == Method::HEAD { &Method::GET } else { method };
    let mut found = RouteMatch::default();
    for (place, row) in places.iter().filter_map(|place| Some((*place, ROUTES.get(*place)?))) {
        if fits(row.path, path) {
            found.template = Some(row.path);
            found.open = row.access == Access::Open;
            found.reporter = row.access == Access::Reporter;
            if row.method == *method {
                found.row = Some(place);
                break;
            }
        }
    }
    found
}

/// Whether a path has the form of a template. Most templates differ from the path within a few bytes.
fn fits(template: &str, path: &str) -> bool {
    let (mut template, mut path) = (template.as_bytes(), path.as_bytes());
    loop {
        let same = template.iter().zip(path).take_while(|(one, other)| one == other && **one != b'{').count();
        (template, path) = (&template[same..], &path[same..]);
        let Some((b'{', _)) = template.split_first() else { return template.is_empty() && path.is_empty() };
        let name = template.iter().position(|byte| *byte == b'}').map_or(template.len(), |end| end + 1);
        let segment = path.iter().position(|byte| *byte == b'/').unwrap_or(path.len());
        if segment == 0 {
            return false;
        }
        (template, path) = (&template[name..], &path[segment..]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_found_by_path_and_method() {
        let found = find(&Method::PATCH, "/v1/keys/key_1");
        assert_eq!(found.template, Some("/v1/keys/{id}"));
        assert_eq!(ROUTES[found.row.unwrap()].method, Method::PATCH);
        assert_eq!(find(&Method::HEAD, "/v1/keys").row, find(&Method::GET, "/v1/keys").row);
        let wrong_method = find(&Method::PUT, "/v1/keys/key_1");
        assert_eq!((wrong_method.row, wrong_method.template), (None, Some("/v1/keys/{id}")));
        for path in ["/v1/keys/", "/v1/keys/a/b", "/v1", "/", "/v1/keys/x/revoke/"] {
            assert_eq!(find(&Method::GET, path), RouteMatch::default(), "{path}");
        }
        assert!(find(&Method::GET, "/livez").open);
        let two = find(&Method::POST, "/v1/keys/key_1/secrets/sec_1/revoke");
        assert_eq!(two.template, Some("/v1/keys/{id}/secrets/{secret_id}/revoke"));
        let exact = find(&Method::POST, "/v1/keys/rotate-all");
        assert_eq!(ROUTES[exact.row.unwrap()].path, "/v1/keys/rotate-all");
        for path in ["/v1/keys/key_1/secrets//revoke", "/v1/keys/key_1/secrets/s/x/revoke", "/v1/keys/{id"] {
            assert_eq!(find(&Method::POST, path).row, None, "{path}");
        }
    }

    #[test]
    fn the_groups_hide_no_route() {
        let all: Vec<usize> = (0..ROUTES.len()).collect();
        let methods = [Method::GET, Method::HEAD, Method::POST, Method::PATCH, Method::DELETE, Method::PUT];
        let names = ["key_1", "rotate-all", "a", "", "%7Bid%7D"];
        let templates = ROUTES.iter().map(|row| row.path);
        let paths = templates.flat_map(|template| {
            let mut paths: Vec<String> = names.iter().map(|name| filled(template, name)).collect();
            paths.extend([format!("{template}/"), format!("/v1{template}"), template[1..].to_owned()]);
            paths
        });
        for path in paths.chain(["", "/", "/v1", "/v1/", "/v1/é"].map(str::to_owned)) {
            for method in &methods {
                assert_eq!(find(method, &path), find_among(&all, method, &path), "{method} {path}");
            }
        }
        for row in ROUTES {
            assert!(row.path.find('{').is_none_or(|name| name > 4), "{} has a name too early", row.path);
        }
    }

    /// A template with this in the place of each name.
    fn filled(template: &str, name: &str) -> String {
        let segments =
            template.split('/').map(|segment| if segment.starts_with('{') { name } else { segment });
        segments.collect::<Vec<_>>().join("/")
    }

    #[test]
    fn every_route_under_v1_but_those_for_reporters_asks_for_a_key_and_no_other_does() {
        const FOR_REPORTERS: [&str; 2] = ["/v1/keys/report-leak", "/v1/keys/secret-scanning"];
        for row in ROUTES {
            let for_reporters = FOR_REPORTERS.contains(&row.path);
            assert_eq!(row.access == Access::Reporter, for_reporters, "{}", row.path);
            let asks = !matches!(row.access, Access::Open | Access::Reporter);
            assert_eq!(row.path.starts_with("/v1/") && !for_reporters, asks, "{}", row.path);
        }
        assert!(!find(&Method::GET, "/v1/keys/report-leak").reporter, "only for that method");
    }
}
