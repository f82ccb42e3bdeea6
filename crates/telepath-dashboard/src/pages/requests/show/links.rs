//! Where a request leads: what its path names, what it changed, and the command that sends it again.

use telepath_core::audit::AuditRecord;
use telepath_core::request::{RequestMethod, RequestRecord};

use crate::object::page_of;

/// A page that belongs to a request.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) label: String,
    pub(super) path: String,
}

/// What the path names, and the audit entries of what was changed.
pub(super) fn of(request: &RequestRecord, changes: &[AuditRecord]) -> Vec<Link> {
    let named = request.path.split('/').filter_map(|part| {
        let (what, path) = page_of(part)?;
        Some(Link { label: format!("{what} {part}"), path })
    });
    let changed = changes.iter().map(|entry| Link {
        label: format!("Audit entry {}: {}", entry.position, entry.action),
        path: format!("/audit?target={}", crate::form::encoded(&entry.target)),
    });
    named.chain(changed).collect()
}

/// The request as a command without its secret and its body; `None` when its path was not kept.
pub(super) fn curl(request: &RequestRecord, origin: &str) -> Option<String> {
    if !request.path.starts_with('/') || request.path.contains('…') {
        return None;
    }
    let method = match request.facts.method {
        RequestMethod::Get => String::new(),
        RequestMethod::Other => return None,
        RequestMethod::Head => " --head".to_owned(),
        method @ (RequestMethod::Post
        | RequestMethod::Put
        | RequestMethod::Patch
        | RequestMethod::Delete
        | RequestMethod::Options) => format!(" -X {method}"),
    };
    let url = quoted(&format!("{origin}{}", request.path.replace(' ', "%20")));
    Some(format!("curl{method} {url} \\\n  -H \"Authorization: Bearer $TELEPATH_API_KEY\""))
}

/// A text in single quotes, as a shell reads it.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use telepath_core::clock::Timestamp;
    use telepath_core::id::{Id as _, KeyId, RequestId};
    use telepath_core::request::{RequestCaller, RequestFacts, SecretMark};

    use super::*;

    fn request(method: RequestMethod, path: &str) -> RequestRecord {
        RequestRecord {
            id: RequestId::from_bytes([1; 16]),
            facts: RequestFacts {
                at: Timestamp::from_unix_seconds(0),
                caller: RequestCaller::Key { key: KeyId::from_bytes([1; 16]), secret: SecretMark([1; 8]) },
                method,
                status: 200,
                address: std::net::IpAddr::from([192, 0, 2, 1]),
                duration_us: 1,
                admitted: true,
            },
            secret_id: None,
            route: None,
            path: path.to_owned(),
            error: None,
            user_agent: None,
        }
    }

    #[test]
    fn ids_in_a_path_lead_to_their_pages() {
        let found = of(&request(RequestMethod::Get, "/v1/calls/call_01kb7x4d2q/events"), &[]);
        assert_eq!(
            found,
            [Link { label: "Call call_01kb7x4d2q".to_owned(), path: "/calls/call_01kb7x4d2q".to_owned() }]
        );
        assert_eq!(of(&request(RequestMethod::Get, "/v1/call_<b>\"/x"), &[]), []);
    }

    #[test]
    fn a_command_has_no_secret_and_cannot_leave_its_quotes() {
        let command = |path: &str| curl(&request(RequestMethod::Delete, path), "https://voice.example");
        let shown = command("/v1/a'; rm -rf b").unwrap();
        assert!(
            shown.starts_with("curl -X DELETE 'https://voice.example/v1/a'\\'';%20rm%20-rf%20b' "),
            "{shown}"
        );
        assert!(shown.ends_with("-H \"Authorization: Bearer $TELEPATH_API_KEY\""));
        assert_eq!((command("…"), command("/v1/…")), (None, None));
    }
}
