//! The route table, the OpenAPI document and the handlers say the same about who may do what.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use telepath_core::scope::{Scope, ScopeSet};

use super::harness::Harness;
use crate::router::{local_document, routes};
use crate::routes::Access;

fn concrete(path: &str) -> String {
    path.replace("{id}", "nothing").replace("{secret_id}", "nothing").replace("{name}", "nothing")
}

/// Path and method of every operation of an OpenAPI document.
fn documented_routes(document: &str) -> BTreeSet<(String, String)> {
    let document: Value = serde_json::from_str(document).unwrap();
    let paths = document["paths"].as_object().unwrap();
    let operations = paths.iter().flat_map(|(path, item)| {
        item.as_object().unwrap().keys().map(move |method| (path.clone(), method.to_uppercase()))
    });
    operations.collect()
}

#[test]
fn the_table_and_the_documents_have_the_same_routes() {
    let routes = routes().unwrap();
    let rows = routes.table.rows();
    let mut documented = documented_routes(&routes.document);
    assert!(documented.iter().all(|(path, _)| !path.starts_with("/local/")), "{documented:?}");
    let local = documented_routes(&local_document());
    for row in rows {
        assert_eq!(row.path.starts_with("/local/"), row.access == Access::Local, "{}", row.path);
    }
    assert!(local.iter().all(|(path, _)| path.starts_with("/local/")), "{local:?}");
    documented.extend(local);
    let listed: BTreeSet<_> = rows.iter().map(|row| (row.path.clone(), row.method.to_string())).collect();
    assert_eq!(documented, listed);
    assert_eq!(listed.len(), rows.len(), "no row appears twice");
}

#[test]
fn every_route_under_v1_except_those_for_reporters_requires_a_key_and_so_do_the_metrics() {
    const FOR_REPORTERS: [&str; 2] = ["/v1/keys/report-leak", "/v1/keys/secret-scanning"];
    for row in routes().unwrap().table.rows() {
        let for_reporters = FOR_REPORTERS.contains(&row.path.as_str());
        let needs_none = matches!(row.access, Access::Reporter | Access::Partner);
        assert_eq!(needs_none, for_reporters, "{}", row.path);
        let requires_a_key = matches!(row.access, Access::AnyKey | Access::Scope(_));
        let is_private = row.path == "/metrics" || (row.path.starts_with("/v1/") && !for_reporters);
        assert_eq!(is_private, requires_a_key, "{}", row.path);
    }
}

#[tokio::test]
async fn without_a_key_only_open_routes_are_served() {
    let harness = Harness::new().await;
    for row in routes().unwrap().table.rows() {
        let answer = harness.ask(row.method.as_str(), &concrete(&row.path), "", None).await;
        let expected = match (row.access, row.path.as_str()) {
            // Neither is configured here, and a report without a body is none.
            (_, "/.well-known/security.txt" | "/v1/keys/secret-scanning") | (Access::Local, _) => 404,
            (Access::Reporter | Access::Partner, _) => 415,
            (Access::Probe | Access::Open, _) => 200,
            (Access::AnyKey | Access::Scope(_), _) => 401,
        };
        assert_eq!(answer.status.as_u16(), expected, "{} {}", row.method, row.path);
    }
}

#[tokio::test]
async fn each_route_requires_its_own_scope_and_no_other() {
    let harness = Harness::new().await;
    for row in routes().unwrap().table.rows() {
        let Access::Scope(scope) = row.access else { continue };
        let case = format!("{} {}", row.method, row.path);
        let all_that_do_not_bring_it: ScopeSet =
            Scope::ALL.iter().copied().filter(|other| !ScopeSet::of(&[*other]).allows(scope)).collect();
        let names: Vec<_> = all_that_do_not_bring_it.iter().map(Scope::name).collect();
        let without = harness.key(json!({"preset": "custom", "scopes": names})).await;
        let refused = harness.ask(row.method.as_str(), &concrete(&row.path), &without, None).await;
        assert_eq!(refused.status.as_u16(), 403, "{case}");
        assert_eq!(refused.code(), "INSUFFICIENT_SCOPE", "{case}");
        assert_eq!(refused.json()["error"]["required_scope"], scope.name(), "{case}");
        assert_eq!(
            refused.header("www-authenticate"),
            format!("Bearer realm=\"telepath\", error=\"insufficient_scope\", scope=\"{scope}\""),
            "{case}"
        );
        let with = harness.key(json!({"preset": "custom", "scopes": [scope.name()]})).await;
        let allowed = harness.ask(row.method.as_str(), &concrete(&row.path), &with, None).await;
        assert!(![401, 405, 500].contains(&allowed.status.as_u16()), "{case}: {}", allowed.status);
        // A key with the scope may still be refused for what else it lacks, as where all keys are rotated.
        if allowed.status.as_u16() == 403 {
            assert_eq!(allowed.json()["error"].get("required_scope"), None, "{case}");
        }
    }
}

#[tokio::test]
async fn routes_for_any_key_accept_a_key_with_an_unrelated_scope() {
    let harness = Harness::new().await;
    let weakest = harness.key(json!({"preset": "custom", "scopes": ["usage:read"]})).await;
    for row in routes().unwrap().table.rows().iter().filter(|row| row.access == Access::AnyKey) {
        harness.ask(row.method.as_str(), &row.path, &weakest, None).await.expect(200);
    }
}
