//! The client against the OpenAPI documents: every operation has a client method, which sends the method, path and query
//! parameters of the document. Bodies need no test here: server and client share their types.

use serde_json::Value;
use telepath_core::id::Id as _;

use super::server::{Server, Step};
use super::*;
use crate::page::PageQuery;
use crate::{
    AccountId, AdministerAccount, AlertId, AlertsQuery, AnalyticsQuery, AuditQuery, CallId, CallsQuery,
    CreateAccount, CreateKey, CreateTrunk, CreateUser, CreateWebhook, DeliveriesQuery, DeliveryId, KeyId,
    RequestId, RequestsQuery, SecretId, TrunkId, TrunksQuery, UpdateAccount, UpdateKey, UpdateKeyPreset,
    UpdateTrunk, UpdateWebhook, UsageQuery, UserId, WebhookId,
};

const DOCUMENTS: [&str; 2] = [
    include_str!("../../../../telepath-api/openapi.json"),
    include_str!("../../../../telepath-api/openapi-local.json"),
];

/// Operations for other programs, and second names of an operation.
const NOT_IN_THE_CLIENT: [&str; 9] = [
    "GET /.well-known/security.txt",
    "GET /.well-known/telepath-key-pattern.json",
    "GET /livez",
    "GET /metrics",
    "GET /openapi.json",
    "GET /readyz",
    "DELETE /v1/keys/{id}",
    "POST /v1/keys/secret-scanning",
    "POST /v1/trunks/{id}/rotate-password",
];

/// `METHOD /path` with the description of each operation.
fn operations() -> Vec<(String, Value)> {
    let mut operations = Vec::new();
    for document in DOCUMENTS {
        let document: Value = serde_json::from_str(document).unwrap();
        for (path, methods) in document["paths"].as_object().unwrap() {
            for (method, operation) in methods.as_object().unwrap() {
                if method != "parameters" {
                    operations.push((format!("{} {path}", method.to_uppercase()), operation.clone()));
                }
            }
        }
    }
    operations
}

fn deliveries(key_id: Option<KeyId>) -> DeliveriesQuery {
    let (call_id, word) = (key_id.map(|_| CallId::from_bytes([8; 16])), Some("a".to_owned()));
    DeliveriesQuery {
        call_id,
        key_id,
        status: word.clone(),
        sort: word.clone(),
        limit: Some(1),
        cursor: word,
    }
}

fn analytics(interval: Option<String>) -> AnalyticsQuery {
    let since = Some(Timestamp::from_unix_seconds(1_800_000_000));
    let trunk_ids = vec![TrunkId::from_bytes([2; 16]), TrunkId::from_bytes([9; 16])];
    AnalyticsQuery { interval, start_date: since, end_date: since, trunk_ids, group_by: Some("a".to_owned()) }
}

/// Sends the request of one operation with every query parameter set.
#[expect(clippy::too_many_lines, reason = "one arm for each operation, to be read like a table")]
async fn send(client: &Client, operation: &str) -> Result<(), Error> {
    let word = || Some("a".to_owned());
    let page = || PageQuery { limit: Some(1), offset: Some(1), cursor: Some("a".to_owned()) };
    let (now, count) = (Timestamp::from_unix_seconds(1_800_000_000), Some(1));
    let (key, trunk) = (KeyId::from_bytes([1; 16]), TrunkId::from_bytes([2; 16]));
    let (webhook, delivery) = (WebhookId::from_bytes([3; 16]), DeliveryId::from_bytes([4; 16]));
    let (since, account) = (Some(now), AccountId::from_bytes([8; 16]));
    match operation {
        "GET /v1/whoami" => client.whoami().await.map(drop),
        "GET /v1/stream" => client.stream(&["calls".to_owned()], Some("7")).await.map(drop),
        "GET /v1/account" => client.account().await.map(drop),
        "PATCH /v1/account" => client.update_account(&UpdateAccount::default()).await.map(drop),
        "GET /local/sip/strangers" => client.list_sip_strangers().await.map(drop),
        "GET /local/keyring" => client.keyring().await.map(drop),
        "POST /local/keyring/keys" => client.add_master_key().await.map(drop),
        "POST /local/keyring/rotate" => client.rotate_master_key(Some("a")).await.map(drop),
        "POST /local/keyring/prune" => client.prune_master_keys().await.map(drop),
        "GET /local/accounts" => client.list_accounts(&page()).await.map(drop),
        "POST /local/accounts" => client.create_account(&CreateAccount::default()).await.map(drop),
        "GET /local/accounts/{id}" => client.get_account(account).await.map(drop),
        "PATCH /local/accounts/{id}" => {
            client.administer_account(account, &AdministerAccount::default()).await.map(drop)
        }
        "GET /local/users" => client.list_users(&page()).await.map(drop),
        "POST /local/users" => client.create_user(&CreateUser::default()).await.map(drop),
        "GET /local/users/invitations" => client.list_invitations(&page()).await.map(drop),
        "POST /local/users/invitations" => {
            client.create_invitation(&telepath_api_types::users::CreateInvitation::default()).await.map(drop)
        }
        "DELETE /local/users/invitations/{id}" => {
            client.revoke_invitation(telepath_core::id::InvitationId::from_bytes([8; 16])).await
        }
        "POST /local/users/second-factor/remove" => client.remove_second_factor("a").await.map(drop),
        "POST /local/users/disable" => client.disable_user("a").await.map(drop),
        "POST /local/users/enable" => client.enable_user("a").await.map(drop),
        "POST /local/users/password-code" => client.create_password_code("a").await.map(drop),
        "POST /local/users/role" => client.set_user_role("a", None).await.map(drop),
        "GET /v1/keys" => {
            let query = KeysQuery {
                status: word(),
                preset: word(),
                idle_days: count,
                expires_before: since,
                never_expires: Some(true),
                q: word(),
                sort: word(),
                limit: count,
                offset: count,
                cursor: word(),
            };
            client.list_keys(&query).await.map(drop)
        }
        "POST /v1/keys" => client.create_key(&CreateKey::new("a", "testing")).await.map(drop),
        "GET /v1/keys/{id}" => client.get_key(key).await.map(drop),
        "PATCH /v1/keys/{id}" => client.update_key(key, &UpdateKey::default()).await.map(drop),
        "POST /v1/keys/{id}/pause" => client.pause_key(key).await.map(drop),
        "POST /v1/keys/{id}/resume" => client.resume_key(key).await.map(drop),
        "POST /v1/keys/{id}/revoke" => client.revoke_key(key, Some("a")).await.map(drop),
        "POST /v1/keys/{id}/rotate" => client.rotate_key(key, Some(Duration::from_secs(1))).await.map(drop),
        "POST /v1/keys/rotate-all" => {
            client.rotate_all_keys(Some(Duration::from_secs(1)), since).await.map(drop)
        }
        "POST /v1/keys/{id}/secrets/{secret_id}/revoke" => {
            client.end_secret(key, SecretId::from_bytes([5; 16])).await.map(drop)
        }
        "POST /v1/keys/report-leak" => client.report_leak(&[SecretText::new("a".to_owned())]).await,
        "GET /v1/keys/{id}/usage" => {
            let secret_id = Some(SecretId::from_bytes([5; 16]));
            let query = UsageQuery { secret_id, interval: word(), start_date: since, end_date: since };
            client.key_usage(key, &query).await.map(drop)
        }
        "GET /v1/usage" => {
            let query = UsageQuery { secret_id: None, interval: word(), start_date: since, end_date: since };
            client.usage_of_keys(&[key], &query).await.map(drop)
        }
        "GET /v1/key-presets" => client.list_key_presets().await.map(drop),
        "PATCH /v1/key-presets/{name}" => {
            client.update_key_preset("a", &UpdateKeyPreset::default()).await.map(drop)
        }
        "DELETE /v1/key-presets/{name}" => client.reset_key_preset("a").await,
        "GET /v1/requests" => {
            let query = RequestsQuery {
                key_id: Some(key),
                secret_id: Some(SecretId::from_bytes([5; 16])),
                user_id: Some(UserId::from_bytes([7; 16])),
                method: word(),
                route: word(),
                path: word(),
                status: word(),
                error_code: word(),
                address: word(),
                user_agent: word(),
                request_id: Some(RequestId::from_bytes([6; 16])),
                min_duration_ms: Some(1),
                start_date: since,
                end_date: since,
                sort: word(),
                limit: count,
                cursor: word(),
            };
            client.list_requests(&query).await.map(drop)
        }
        "GET /v1/audit-events" => {
            let query = AuditQuery {
                actor: word(),
                action: word(),
                target: word(),
                start_date: since,
                end_date: since,
                limit: count,
                offset: count,
                cursor: word(),
            };
            client.list_audit_events(&query).await.map(drop)
        }
        "GET /v1/audit-events/verify" => client.verify_audit(None).await.map(drop),
        "GET /v1/alerts" => {
            let query = AlertsQuery {
                key_id: Some(key),
                webhook_id: Some(webhook),
                subject_kind: word(),
                subject_id: word(),
                rule: word(),
                status: word(),
                limit: count,
                offset: count,
                cursor: word(),
            };
            client.list_alerts(&query).await.map(drop)
        }
        "POST /v1/alerts/{id}/acknowledge" => {
            client.acknowledge_alert(AlertId::from_bytes([7; 16]), Some("a")).await.map(drop)
        }
        "POST /v1/alerts/test" => client.test_alerts(Some("mail")).await.map(drop),
        "GET /v1/analytics/summary" => client.analytics_summary_csv(&analytics(None)).await.map(drop),
        "GET /v1/analytics/timeseries" => client.analytics_timeseries_csv(&analytics(word())).await.map(drop),
        "GET /v1/analytics/comparison" => {
            client.analytics_comparison(trunk, TrunkId::from_bytes([9; 16]), &analytics(None)).await.map(drop)
        }
        "GET /v1/calls" => {
            let query = CallsQuery {
                trunk_id: Some(trunk),
                status: word(),
                reason: word(),
                start_date: since,
                end_date: since,
                from: word(),
                to: word(),
                min_duration_seconds: count,
                min_carrier_lag_ms: count,
                min_ai_latency_ms: count,
                min_gateway_ms: count,
                sort: word(),
                limit: count,
                offset: count,
                cursor: word(),
            };
            client.list_calls(&query).await.map(drop)
        }
        "GET /v1/calls/{id}" => client.get_call(CallId::from_bytes([8; 16])).await.map(drop),
        "DELETE /v1/calls/{id}" => client.erase_call(CallId::from_bytes([8; 16])).await,
        "POST /v1/calls/erase" => client.erase_number("+15550100123", None).await.map(drop),
        "GET /v1/calls/{id}/sip-trace" => client.get_sip_trace(CallId::from_bytes([8; 16])).await.map(drop),
        "POST /v1/calls/{id}/hangup" => client.hang_up(CallId::from_bytes([8; 16])).await,
        "GET /v1/trunks" => {
            let query =
                TrunksQuery { status: word(), sort: word(), limit: count, offset: count, cursor: word() };
            client.list_trunks(&query).await.map(drop)
        }
        "POST /v1/trunks" => client.create_trunk(&CreateTrunk::default()).await.map(drop),
        "GET /v1/trunks/{id}" => client.get_trunk(trunk).await.map(drop),
        "PATCH /v1/trunks/{id}" => client.update_trunk(trunk, &UpdateTrunk::default()).await.map(drop),
        "DELETE /v1/trunks/{id}" => client.delete_trunk(trunk).await,
        "POST /v1/trunks/{id}/rotate-sip-password" => client.rotate_sip_password(trunk).await.map(drop),
        "GET /v1/webhooks" => client.list_webhooks(&page()).await.map(drop),
        "POST /v1/webhooks" => {
            client.create_webhook(&CreateWebhook::new("https://a.example")).await.map(drop)
        }
        "GET /v1/webhooks/{id}" => client.get_webhook(webhook).await.map(drop),
        "PATCH /v1/webhooks/{id}" => {
            client.update_webhook(webhook, &UpdateWebhook::default()).await.map(drop)
        }
        "DELETE /v1/webhooks/{id}" => client.delete_webhook(webhook).await,
        "POST /v1/webhooks/{id}/rotate-secret" => {
            client.rotate_webhook_secret(webhook, count).await.map(drop)
        }
        "POST /v1/webhooks/{id}/test" => client.test_webhook(webhook).await.map(drop),
        "POST /v1/webhooks/{id}/recover" => client.recover_webhook(webhook, now).await.map(drop),
        "GET /v1/deliveries" => client.list_all_deliveries(&deliveries(Some(key))).await.map(drop),
        "GET /v1/webhooks/{id}/deliveries" => {
            let query = deliveries(None);
            client.list_deliveries(webhook, &query).await.map(drop)
        }
        "GET /v1/deliveries/{id}" => client.get_delivery(delivery).await.map(drop),
        "POST /v1/deliveries/{id}/redeliver" => client.redeliver(delivery).await.map(drop),
        other => panic!("{other} is new: add a client method, or list it in NOT_IN_THE_CLIENT"),
    }
}

fn assert_described(name: &str, operation: &Value, request: &str) {
    let head = request.split_once("\r\n\r\n").unwrap().0;
    let target = head.split(' ').nth(1).unwrap();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let (method, template) = name.split_once(' ').unwrap();
    assert!(head.starts_with(&format!("{method} ")), "{name}: {head}");
    let (expected, sent): (Vec<&str>, Vec<&str>) = (template.split('/').collect(), path.split('/').collect());
    let fits =
        |(expected, sent): (&&str, &&str)| expected == sent || expected.starts_with('{') && !sent.is_empty();
    assert!(expected.len() == sent.len() && expected.iter().zip(&sent).all(fits), "{name}: {path}");
    let parameters: Vec<&str> = operation["parameters"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|parameter| parameter["in"] == "query")
        .filter_map(|parameter| parameter["name"].as_str())
        .collect();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let parameter = pair.split('=').next().unwrap_or_default();
        assert!(parameters.contains(&parameter), "{name}: {parameter} is none of {parameters:?}");
    }
}

#[tokio::test]
async fn every_operation_of_the_documents_has_a_client_method() {
    for (name, operation) in operations() {
        if NOT_IN_THE_CLIENT.contains(&name.as_str()) {
            continue;
        }
        let (server, client) = Server::tcp([Step::status("404 Not Found", "")]).await;
        send(&client.with_retry(RetryPolicy::NEVER), &name).await.unwrap_err();
        assert_described(&name, &operation, &server.requests().pop().unwrap());
    }
}

#[test]
fn operations_not_in_the_client_are_in_a_document() {
    let known: Vec<String> = operations().into_iter().map(|(name, _)| name).collect();
    for name in NOT_IN_THE_CLIENT {
        assert!(known.iter().any(|operation| operation == name), "{name} is no longer an operation");
    }
}
