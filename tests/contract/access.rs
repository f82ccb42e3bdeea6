//! Authorization. The table is written by hand from the API's contract, not from its code, and must contain exactly the
//! published routes.

use std::collections::BTreeSet;

use anyhow::Context as _;
use hyper::Method;
use serde_json::json;

use crate::support::http::Call;
use crate::support::{Outcome, Server};

const TRUNK: &str = "conn_00000000000000000000000000";
const KEY: &str = "key_00000000000000000000000000";
const SECRET: &str = "sec_00000000000000000000000000";
const CALL: &str = "call_00000000000000000000000000";
const ALERT: &str = "alr_00000000000000000000000000";
const WEBHOOK: &str = "whk_00000000000000000000000000";
const DELIVERY: &str = "dlv_00000000000000000000000000";

/// Method, path, required scope, and a similar but insufficient scope. An empty scope means any valid key.
const ROWS: &[(&str, &str, &str, &str)] = &[
    ("get", "/v1/whoami", "", ""),
    ("get", "/v1/stream", "", ""),
    ("get", "/v1/trunks", "trunks:read", "calls:write"),
    ("post", "/v1/trunks", "trunks:write", "trunks:read"),
    ("get", "/v1/trunks/{id}", "trunks:read", "calls:write"),
    ("patch", "/v1/trunks/{id}", "trunks:write", "trunks:read"),
    ("delete", "/v1/trunks/{id}", "trunks:write", "trunks:read"),
    ("post", "/v1/trunks/{id}/rotate-sip-password", "trunks:write", "trunks:read"),
    ("post", "/v1/trunks/{id}/rotate-password", "trunks:write", "trunks:read"),
    ("get", "/v1/calls", "calls:read", "trunks:write"),
    ("get", "/v1/calls/{id}", "calls:read", "trunks:write"),
    ("delete", "/v1/calls/{id}", "calls:write", "calls:read"),
    ("post", "/v1/calls/erase", "calls:write", "calls:read"),
    ("get", "/v1/calls/{id}/sip-trace", "calls:read", "trunks:write"),
    ("post", "/v1/calls/{id}/hangup", "calls:write", "calls:read"),
    ("get", "/v1/keys", "keys:read", "trunks:write"),
    ("post", "/v1/keys", "keys:write", "keys:read"),
    ("get", "/v1/keys/{id}", "keys:read", "trunks:write"),
    ("patch", "/v1/keys/{id}", "keys:write", "keys:read"),
    ("delete", "/v1/keys/{id}", "keys:write", "keys:read"),
    ("post", "/v1/keys/{id}/revoke", "keys:write", "keys:read"),
    ("post", "/v1/keys/{id}/pause", "keys:write", "keys:read"),
    ("post", "/v1/keys/{id}/resume", "keys:write", "keys:read"),
    ("post", "/v1/keys/{id}/rotate", "keys:write", "keys:read"),
    ("post", "/v1/keys/{id}/secrets/{secret_id}/revoke", "keys:write", "keys:read"),
    ("post", "/v1/keys/rotate-all", "keys:write", "keys:read"),
    ("get", "/v1/key-presets", "keys:read", "trunks:write"),
    ("patch", "/v1/key-presets/{name}", "keys:write", "keys:read"),
    ("delete", "/v1/key-presets/{name}", "keys:write", "keys:read"),
    ("get", "/v1/account", "account:read", "keys:write"),
    ("patch", "/v1/account", "account:write", "account:read"),
    ("get", "/v1/keys/{id}/usage", "usage:read", "keys:write"),
    ("get", "/v1/analytics/summary", "analytics:read", "calls:read"),
    ("get", "/v1/analytics/timeseries", "analytics:read", "calls:read"),
    ("get", "/v1/analytics/comparison", "analytics:read", "calls:read"),
    ("get", "/v1/usage", "usage:read", "keys:write"),
    ("get", "/v1/requests", "audit:read", "usage:read"),
    ("get", "/v1/audit-events", "audit:read", "usage:read"),
    ("get", "/v1/audit-events/verify", "audit:read", "usage:read"),
    ("get", "/v1/alerts", "usage:read", "keys:write"),
    ("post", "/v1/alerts/{id}/acknowledge", "keys:write", "usage:read"),
    ("post", "/v1/alerts/test", "keys:write", "usage:read"),
    ("get", "/v1/webhooks", "webhooks:read", "trunks:write"),
    ("post", "/v1/webhooks", "webhooks:write", "webhooks:read"),
    ("get", "/v1/webhooks/{id}", "webhooks:read", "trunks:write"),
    ("patch", "/v1/webhooks/{id}", "webhooks:write", "webhooks:read"),
    ("delete", "/v1/webhooks/{id}", "webhooks:write", "webhooks:read"),
    ("post", "/v1/webhooks/{id}/rotate-secret", "webhooks:write", "webhooks:read"),
    ("post", "/v1/webhooks/{id}/test", "webhooks:write", "webhooks:read"),
    ("post", "/v1/webhooks/{id}/recover", "webhooks:write", "webhooks:read"),
    ("get", "/v1/webhooks/{id}/deliveries", "webhooks:read", "trunks:write"),
    ("get", "/v1/deliveries", "webhooks:read", "trunks:write"),
    ("get", "/v1/deliveries/{id}", "webhooks:read", "trunks:write"),
    ("post", "/v1/deliveries/{id}/redeliver", "webhooks:write", "webhooks:read"),
    ("get", "/metrics", "metrics:read", "audit:read"),
];

/// Routes without authentication.
const OPEN: &[(&str, &str)] = &[
    ("get", "/livez"),
    ("get", "/readyz"),
    ("get", "/openapi.json"),
    ("get", "/.well-known/telepath-key-pattern.json"),
];

/// Routes for local administration. They are not published, and exist on the Unix socket only.
const LOCAL: &[(&str, &str)] = &[
    ("get", "/local/sip/strangers"),
    ("get", "/local/keyring"),
    ("post", "/local/keyring/keys"),
    ("post", "/local/keyring/rotate"),
    ("post", "/local/keyring/prune"),
    ("get", "/local/accounts"),
    ("post", "/local/accounts"),
    ("get", "/local/accounts/{id}"),
    ("patch", "/local/accounts/{id}"),
    ("get", "/local/users"),
    ("post", "/local/users"),
    ("post", "/local/users/disable"),
    ("post", "/local/users/second-factor/remove"),
    ("post", "/local/users/enable"),
    ("get", "/local/users/invitations"),
    ("post", "/local/users/invitations"),
    ("delete", "/local/users/invitations/{id}"),
    ("post", "/local/users/password-code"),
    ("post", "/local/users/role"),
];

/// Leak reporting routes without authentication; one exists only when configured.
const FOR_FINDERS: &[(&str, &str)] = &[
    ("post", "/v1/keys/report-leak"),
    ("post", "/v1/keys/secret-scanning"),
    ("get", "/.well-known/security.txt"),
];

/// The path with a well-formed id of no existing object.
fn concrete(path: &str) -> String {
    const IDS: [(&str, &str); 5] = [
        ("/v1/trunks", TRUNK),
        ("/v1/calls", CALL),
        ("/v1/alerts", ALERT),
        ("/v1/webhooks", WEBHOOK),
        ("/v1/deliveries", DELIVERY),
    ];
    let id = IDS.iter().find(|(start, _)| path.starts_with(start)).map_or(KEY, |(_, id)| id);
    path.replace("{id}", id).replace("{secret_id}", SECRET).replace("{name}", "monitoring")
}

fn call<'a>(method: &str, path: &'a str) -> anyhow::Result<Call<'a>> {
    let call = Call::new(Method::from_bytes(method.to_ascii_uppercase().as_bytes())?, path);
    Ok(if method == "get" || method == "delete" { call } else { call.json(&json!({})) })
}

#[tokio::test]
async fn the_published_routes_match_the_access_table() -> Outcome {
    let server = Server::start().await?;
    let document = server.client()?.send(Call::get("/openapi.json")).await?.expect(200)?;
    assert!(
        document["openapi"].as_str().is_some_and(|version| version.starts_with("3.1")),
        "{}",
        document["openapi"]
    );
    let mut published = BTreeSet::new();
    for (path, item) in document["paths"].as_object().context("paths")? {
        for method in item.as_object().context("operations")?.keys() {
            if ["get", "post", "put", "patch", "delete"].contains(&method.as_str()) {
                published.insert((method.clone(), path.clone()));
            }
        }
    }
    let known = ROWS
        .iter()
        .map(|(method, path, ..)| (*method, *path))
        .chain(OPEN.iter().copied())
        .chain(FOR_FINDERS.iter().copied());
    let known: BTreeSet<(String, String)> =
        known.map(|(method, path)| (method.to_owned(), path.to_owned())).collect();
    let without_row: Vec<_> = published.difference(&known).collect();
    let unpublished: Vec<_> = known.difference(&published).collect();
    assert!(without_row.is_empty(), "routes without a row: {without_row:?}");
    assert!(unpublished.is_empty(), "rows without a published route: {unpublished:?}");
    Ok(())
}

#[tokio::test]
async fn every_route_requires_a_key_with_its_scope() -> Outcome {
    let server = Server::start().await?;
    let client = server.client()?;
    for (method, path, needed, close) in ROWS {
        let at = format!("{method} {path}");
        let path = concrete(path);
        let answer = client.send(call(method, &path)?).await?;
        assert_eq!(answer.error(401)?, "MISSING_API_KEY", "{at}");
        if needed.is_empty() {
            continue;
        }
        let weak = server.create_key(&["--name", "weak", "--preset", "custom", "--scopes", close]).await?;
        let answer = client.send(call(method, &path)?.key(&weak.secret)).await?;
        assert_eq!(answer.error(403)?, "INSUFFICIENT_SCOPE", "{at}");
        assert_eq!(answer.json()?["error"]["required_scope"], *needed, "{at}");
        let challenge = answer.header("www-authenticate").context("a challenge")?;
        assert!(challenge.contains("error=\"insufficient_scope\""), "{at}: {challenge}");
        assert!(challenge.contains(&format!("scope=\"{needed}\"")), "{at}: {challenge}");
        let strong =
            server.create_key(&["--name", "strong", "--preset", "custom", "--scopes", needed]).await?;
        let answer = client.send(call(method, &path)?.key(&strong.secret)).await?;
        let lacks_other_rights =
            answer.status == 403 && answer.json()?["error"].get("required_scope").is_none();
        let is_served = ![401, 403, 404, 405].contains(&answer.status);
        assert!(is_served || is_absent(&path, answer.status) || lacks_other_rights, "{at}");
    }
    let scopes = "keys:write,account:write,trunks:write,calls:write,webhooks:write,usage:read,audit:read";
    let strong = server.create_key(&["--name", "strong", "--preset", "custom", "--scopes", scopes]).await?;
    for (method, path) in LOCAL {
        let path = concrete(path);
        for call in [call(method, &path)?.key(&strong.secret), call(method, &path)?] {
            let answer = client.send(call).await?;
            assert_eq!(answer.error(404)?, "NOT_FOUND", "{method} {path}");
        }
    }
    for (_, path) in OPEN {
        assert_eq!(client.send(Call::get(path)).await?.status, 200, "{path}");
    }
    Ok(())
}

/// A route with the id of no existing object answers 404.
fn is_absent(path: &str, status: u16) -> bool {
    status == 404 && [TRUNK, KEY, CALL, ALERT, WEBHOOK, DELIVERY].iter().any(|id| path.contains(id))
}

#[tokio::test]
async fn a_key_cannot_grant_more_than_it_has() -> Outcome {
    let server = Server::start().await?;
    let client = server.client()?;
    let giver = server
        .create_key(&["--name", "giver", "--preset", "custom", "--scopes", "keys:write,trunks:read"])
        .await?;
    let more = json!({"name": "more", "preset": "custom", "scopes": ["trunks:write"]});
    let refused = client.post("/v1/keys", &giver.secret, &more).await?;
    assert!([400, 403].contains(&refused.status), "{}", refused.text());
    let preset = json!({"name": "more", "preset": "production"});
    let refused = client.post("/v1/keys", &giver.secret, &preset).await?;
    assert!([400, 403].contains(&refused.status), "{}", refused.text());
    let same = json!({"name": "same", "preset": "custom", "scopes": ["trunks:read"]});
    let child = client.post("/v1/keys", &giver.secret, &same).await?.expect(201)?;
    let id = child["id"].as_str().context("id")?;
    let path = format!("/v1/keys/{id}");
    let patch = Call::new(Method::PATCH, &path).key(&giver.secret).json(&json!({"scopes": ["calls:read"]}));
    let refused = client.send(patch).await?;
    assert!([400, 403].contains(&refused.status), "{}", refused.text());
    for (member, value) in [
        ("rate_limit_per_minute", json!(601)),
        ("allowed_ips", json!(["198.51.100.0/24"])),
        ("expires_at", json!("2099-06-02T00:00:00Z")),
    ] {
        let options =
            ["--name", "bound", "--preset", "custom", "--scopes", "keys:write", "--allow-ip", "127.0.0.0/8"];
        let giver =
            server.create_key(&[&options[..], &["--expires", "2099-06-01T00:00:00Z"]].concat()).await?;
        let mut draft = json!({"name": "n", "preset": "custom", "scopes": ["keys:read"],
            "allowed_ips": ["127.0.0.1"], "expires_at": "2099-01-01T00:00:00Z"});
        client.post("/v1/keys", &giver.secret, &draft).await?.expect(201)?;
        draft[member] = value;
        let refused = client.post("/v1/keys", &giver.secret, &draft).await?.expect(400)?;
        assert_eq!(refused["error"]["details"][0]["field"], member, "{refused}");
    }
    Ok(())
}
