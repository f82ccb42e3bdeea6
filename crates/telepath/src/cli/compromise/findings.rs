//! The findings of the steps, as text and as members of a JSON object.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Value, json};
use telepath_client::{
    AuditEvent, Key, KeyId, KeySecret, KeyUsageAddress, LoggedRequest, RotatedKeys, Timestamp, Trunk,
};

use crate::cli::keys::{all_as_json, secrets_table};
use crate::cli::{audit, output, requests, text};
use crate::exit::Failure;

/// The number of requests printed; JSON contains all that were read.
const LINES: usize = 20;

/// The findings of a step.
pub(super) struct Finding {
    pub(super) text: String,
    /// A JSON object whose members are merged into the step's.
    pub(super) json: Value,
}

pub(super) fn revoked(key: &Key) -> Finding {
    Finding {
        text: format!("Revoked {}. It no longer admits requests.\n", key.id),
        json: json!({"key": key}),
    }
}

pub(super) fn rotated(rotated: &RotatedKeys, own: Option<KeyId>) -> Result<Finding, Failure> {
    let mut text = secrets_table(&rotated.keys);
    text.push_str("These secrets are not stored and cannot be shown again. Save them now.\n");
    if let Some(own) = rotated.keys.iter().find(|created| Some(created.key.id) == own) {
        let _ = writeln!(
            text,
            "The key of this command, {}, was rotated too. Update TELEPATH_API_KEY.",
            own.key.id
        );
    }
    Ok(Finding { text, json: all_as_json(rotated)? })
}

pub(super) fn calls(
    key: &Key,
    seen: &[LoggedRequest],
    more: bool,
    changes: &[AuditEvent],
    addresses: &[KeyUsageAddress],
    now: Timestamp,
) -> Finding {
    let count = text::count(key.request_count, "request", "requests");
    let mut text = format!("{count}, {}.\n", text::count(key.error_count, "error", "errors"));
    if !addresses.is_empty() {
        text.push_str("\nAddresses:\n");
    }
    for seen in addresses {
        let (first, last) = (text::since(Some(seen.first_seen), now), text::since(Some(seen.last_seen), now));
        let (address, requests) = (seen.address, text::count(seen.requests, "request", "requests"));
        // Writing to a String cannot fail.
        let _ = writeln!(text, "  {address}  {requests}, first {first} ago, last {last} ago");
    }
    if !seen.is_empty() {
        let newest = &seen[..seen.len().min(LINES)];
        let _ = write!(text, "\nRequests, newest first:\n{}", requests::table(newest));
    }
    if seen.len() > LINES || more {
        let _ = writeln!(text, "To export all: telepath requests export --key {}", key.id);
    }
    if changes.is_empty() {
        text.push_str("\nIt made no changes.\n");
    } else {
        let _ = write!(text, "\nChanges, newest first:\n{}", audit::table(changes));
    }
    let json =
        json!({"requests": seen, "more_requests": more, "audit_events": changes, "addresses": addresses});
    Finding { text, json }
}

/// Old secrets that were used.
fn old_in_use(keys: &[Key]) -> Vec<(&Key, &KeySecret)> {
    let old = |key: &&Key| key.status != "revoked";
    keys.iter()
        .filter(old)
        .flat_map(|key| key.secrets.iter().skip(1).map(move |secret| (key, secret)))
        .filter(|(_, secret)| secret.last_used_at.is_some())
        .collect()
}

pub(super) fn old_secrets(keys: &[Key], refused: &[LoggedRequest], more: bool, now: Timestamp) -> Finding {
    let old = old_in_use(keys);
    let row = |(key, secret): &(&Key, &KeySecret)| {
        vec![
            key.id.to_string(),
            text::truncate(&key.name, 16),
            secret.masked.clone(),
            text::since(secret.last_used_at, now),
            secret.last_used_ip.map_or("-".to_owned(), |address| address.to_string()),
            if secret.status == "ended" { "ended".to_owned() } else { text::until(secret.expires_at, now) },
        ]
    };
    let head = ["KEY", "NAME", "OLD SECRET", "LAST USED", "ADDRESS", "EXPIRES IN"];
    let mut text = if old.is_empty() {
        "No old secret was used.\n".to_owned()
    } else {
        output::table(&head, &old.iter().map(row).collect::<Vec<_>>())
    };
    text.push('\n');
    let callers = by_caller(refused);
    if callers.is_empty() {
        text.push_str(
            "No request was rejected for its key in the last hour. Check again after clients have made requests.\n",
        );
    } else {
        let row = |((key, address), count): (&(String, String), &u64)| {
            vec![key.clone(), address.clone(), count.to_string()]
        };
        let head = ["REJECTED KEY", "ADDRESS", "REQUESTS"];
        text.push_str(&output::table(&head, &callers.iter().map(row).collect::<Vec<_>>()));
    }
    let secrets: Vec<Value> = old
        .iter()
        .map(|(key, secret)| json!({"key_id": key.id, "key_name": key.name, "secret": secret}))
        .collect();
    let callers: Vec<Value> = callers
        .iter()
        .map(|((key, address), count)| json!({"key_id": key, "address": address, "requests": count}))
        .collect();
    Finding { text, json: json!({"old_secrets": secrets, "refused": callers, "more_refused": more}) }
}

fn by_caller(refused: &[LoggedRequest]) -> BTreeMap<(String, String), u64> {
    let mut callers = BTreeMap::new();
    for request in refused {
        let address = request.address.map_or("-".to_owned(), |address| address.to_string());
        *callers.entry((requests::caller(request), address)).or_default() += 1;
    }
    callers
}

pub(super) fn credentials(trunks: &[Trunk]) -> Finding {
    let held: Vec<(&Trunk, &str, Option<&str>, Timestamp)> = trunks
        .iter()
        .flat_map(|trunk| {
            trunk.credentials().map(move |(name, held)| (trunk, name, held.last4.as_deref(), held.updated_at))
        })
        .collect();
    let row = |(trunk, name, last4, since): &(&Trunk, &str, Option<&str>, Timestamp)| {
        let shown = last4.map_or("-".to_owned(), |last4| format!("…{last4}"));
        vec![
            trunk.id.to_string(),
            text::truncate(&trunk.name, 16),
            (*name).to_owned(),
            shown,
            text::second(*since),
        ]
    };
    let text = if held.is_empty() {
        "No trunk has a provider credential.\n".to_owned()
    } else {
        let head = ["TRUNK", "NAME", "CREDENTIAL", "LAST 4", "SET"];
        output::table(&head, &held.iter().map(row).collect::<Vec<_>>())
    };
    let list: Vec<Value> = held
        .iter()
        .map(|(trunk, name, last4, since)| {
            json!({"trunk_id": trunk.id, "trunk_name": trunk.name, "credential": name, "last4": last4,
                "updated_at": since})
        })
        .collect();
    Finding { text, json: json!({"credentials": list}) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_unix_seconds(1_800_000_000);

    fn key(status: &str, uses: &[Option<&str>]) -> Key {
        let secrets: Vec<Value> = uses
            .iter()
            .enumerate()
            .map(|(number, used)| {
                json!({"id": format!("sec_0000000000000000000000000{number}"), "masked": format!("masked-{number}"),
                    "status": if number == 0 { "current" } else { "grace" }, "created_at": "2026-01-31T12:00:00Z", "last_used_at": used, "last_used_ip": "192.0.2.1"})
            })
            .collect();
        serde_json::from_value(json!({"id": "key_01k9v1n2xrf6t8g3m5q7w9y0za", "name": "App", "preset": "custom",
            "scopes": [], "rate_limit_per_minute": 1, "allowed_ips": [], "status": status, "expires_at": null,
            "created_at": "2026-01-31T12:00:00Z", "created_by": "local", "last_used_at": null, "request_count": 0,
            "error_count": 0, "revoked_at": null, "revoke_reason": null, "secrets": secrets}))
        .unwrap()
    }

    fn refused(address: &str) -> LoggedRequest {
        serde_json::from_value(json!({"id": "req_00000000000000000000000001", "time": NOW, "method": "GET",
            "key_id": "key_01k9v1n2xrf6t8g3m5q7w9y0za", "path": "/v1/calls", "status": 401, "duration_us": 1,
            "address": address}))
        .unwrap()
    }

    #[test]
    fn only_used_old_secrets_are_listed() {
        let used = Some("2027-01-15T07:00:00Z");
        let found = old_secrets(
            &[key("active", &[used, used, None]), key("revoked", &[used, used])],
            &[],
            false,
            NOW,
        );
        assert_eq!(found.json["old_secrets"].as_array().unwrap().len(), 1);
        assert!(found.text.contains("masked-1") && !found.text.contains("masked-0"), "{}", found.text);
        assert!(found.text.contains("1h         192.0.2.1"), "{}", found.text);
    }

    #[test]
    fn rejected_requests_are_grouped_by_key_and_address() {
        let seen = [refused("192.0.2.1"), refused("192.0.2.1"), refused("192.0.2.2")];
        let found = old_secrets(&[], &seen, true, NOW);
        assert_eq!(found.json["refused"][0]["requests"], 2);
        assert_eq!(found.json["refused"].as_array().unwrap().len(), 2);
        assert_eq!(found.json["more_refused"], true);
        assert!(found.text.starts_with("No old secret was used."), "{}", found.text);
    }

    #[test]
    fn credentials_are_listed_by_trunk() {
        let trunk = |held: Value| -> Trunk {
            serde_json::from_value(json!({"id": "conn_01k9v1n2xrf6t8g3m5q7w9y0za", "name": "Support",
                "status": "active", "ai_provider": "openai", "sip_username": "s", "sip_endpoint": "sip:s@h",
                "agent_protocol": "telepath.v1", "inbound_numbers": [], "allowed_ips": [], "codecs": [], "metadata": {},
                "metrics": {"calls_today": 0, "success_rate": null, "avg_latency_ms": null},
                "openai_api_key": held, "created_at": NOW, "updated_at": NOW}))
            .unwrap()
        };
        let held = json!({"set": true, "last4": "wxyz", "updated_at": NOW});
        let found = credentials(&[trunk(held), trunk(Value::Null)]);
        assert_eq!(found.json["credentials"].as_array().unwrap().len(), 1);
        assert!(found.text.contains("openai_api_key  …wxyz"), "{}", found.text);
    }
}
