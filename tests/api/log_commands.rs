//! Commands that read what happened, and the guide for keys that others may know, against an API that answers what the
//! test says: what was asked, what was printed, and the exit code.

use std::process::Stdio;

use anyhow::Context as _;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;

use crate::support::Outcome;
use crate::support::cli::finish;
use crate::support::fake_api::{Asked, FakeApi};
use crate::support::waiting::soon;

const KEY: &str = "sk_live_0000000000000000000000000000000000000000000abcdef";
const NEW_KEY: &str = "sk_live_1111111111111111111111111111111111111111111abcdef";
const VICTIM: &str = "key_01k9v1n2xrf6t8g3m5q7w9y0za";
const OWN: &str = "key_01k9v1n2xrf6t8g3m5q7w9y0zb";
const NOW: &str = "2026-01-31T12:00:00.000Z";

fn request(number: u32) -> Value {
    json!({"id": format!("req_000000000000000000000000{number:02}"), "time": format!("2026-01-31T12:00:{number:02}.000Z"),
        "key_id": VICTIM, "method": "GET", "route": "/v1/calls", "path": format!("/v1/calls?{number}\u{1b}[2J"),
        "status": 403, "error_code": "INSUFFICIENT_SCOPE", "address": "192.0.2.1", "user_agent": "curl",
        "duration_us": 1250})
}

fn requests(numbers: &[u32], cursor: Option<&str>) -> Value {
    let found: Vec<Value> = numbers.iter().map(|number| request(*number)).collect();
    json!({"requests": found, "pagination": {"limit": 100, "next_cursor": cursor}})
}

fn key(id: &str, name: &str) -> Value {
    let secret = |number: u32, status: &str| {
        json!({"id": format!("sec_000000000000000000000000{number:02}"), "masked": format!("sk_live_AbC…{number:04}"),
            "status": status, "created_at": NOW, "expires_at": null, "last_used_at": NOW, "last_used_ip": "192.0.2.9"})
    };
    json!({"id": id, "name": name, "preset": "custom", "scopes": ["keys:write"], "rate_limit_per_minute": 60,
        "allowed_ips": [], "status": "active", "expires_at": null, "not_before": null, "created_at": NOW,
        "created_by": "local", "last_used_at": NOW, "last_used_ip": "192.0.2.1", "request_count": 7, "error_count": 2,
        "revoked_at": null, "revoked_by": null, "revoke_reason": null,
        "secrets": [secret(2, "current"), secret(1, "ended")]})
}

fn nothing(_: &Asked) -> (u16, Value) {
    (404, json!({"error": {"code": "NOT_FOUND", "message": "no such route", "status": 404}}))
}

#[tokio::test]
async fn requests_are_listed_page_by_page_and_nothing_in_them_steers_the_terminal() -> Outcome {
    let api = FakeApi::answering(|asked| {
        let is_second = asked.query.contains("cursor=next");
        (200, if is_second { requests(&[1], None) } else { requests(&[3, 2], Some("next")) })
    })
    .await?;
    let words =
        ["requests", "list", "--key", VICTIM, "--status", "4xx", "--min-duration", "1s", "--limit", "3"];
    let listed = finish(api.command(KEY, &words), "list").await?.expect_success()?;
    assert_eq!(listed.stdout.lines().count(), 4, "{}", listed.stdout);
    assert!(listed.stdout.contains("2026-01-31T12:00:03Z 403        1.2  192.0.2.1"), "{}", listed.stdout);
    assert!(listed.stdout.contains("(INSUFFICIENT_SCOPE)") && !listed.stdout.contains('\u{1b}'));
    let asked = api.asked();
    assert_eq!(asked[0].query, format!("key_id={VICTIM}&status=4xx&min_duration_ms=1000&limit=3"));
    assert!(asked[1].query.ends_with("limit=1&cursor=next"), "{}", asked[1].query);
    Ok(())
}

#[tokio::test]
async fn an_export_is_written_as_it_comes_and_never_over_a_file() -> Outcome {
    let api = FakeApi::answering(|_| (200, json!("id,time\nreq_1,now\n"))).await?;
    let folder = crate::support::output::Folder::new();
    let path = folder.path().join("requests.csv");
    let file = path.to_str().context("a path in UTF-8")?;
    let words = ["requests", "export", "--format", "csv"];
    let shown = finish(api.command(KEY, &words), "export").await?.expect_success()?;
    assert_eq!(shown.stdout, "id,time\nreq_1,now\n");
    assert_eq!(api.asked()[0].query, "format=csv");
    let words = [&words[..], &["--output", file]].concat();
    finish(api.command(KEY, &words), "export").await?.expect_success()?;
    assert_eq!(std::fs::read_to_string(&path)?, "id,time\nreq_1,now\n");
    assert_eq!(finish(api.command(KEY, &words), "export").await?.code, Some(2));
    Ok(())
}

#[tokio::test]
async fn a_tail_shows_each_request_once_until_it_is_interrupted() -> Outcome {
    let api = FakeApi::answering(|asked| match asked.query.as_str() {
        _ if asked.path == "/v1/whoami" => compromised(asked),
        query if query.contains("cursor=b") => (200, requests(&[], Some("b"))),
        query if query.contains("cursor=a") => (200, requests(&[4], Some("b"))),
        query if query.contains("sort=time") => (200, requests(&[1, 2, 3], Some("a"))),
        _ => (200, requests(&[2, 1], Some("older"))),
    })
    .await?;
    let mut command =
        api.command(KEY, &["requests", "tail", "--lines", "2", "--interval", "200ms", "--json"]);
    let mut tail = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
    let mut lines = BufReader::new(tail.stdout.take().context("its output is read")?).lines();
    let mut shown = Vec::new();
    while shown.len() < 4 {
        let line = soon("a line of the tail", lines.next_line()).await??.context("the tail goes on")?;
        shown.push(serde_json::from_str::<Value>(&line)?["time"].as_str().context("a time")?.to_owned());
    }
    let wanted = ["01", "02", "03", "04"].map(|second| format!("2026-01-31T12:00:{second}.000Z"));
    assert_eq!(shown, wanted);
    let interrupt = format!("kill -INT {}", tail.id().context("it runs")?);
    Command::new("sh").arg("-c").arg(interrupt).status().await?;
    assert_eq!(soon("the end of the tail", tail.wait()).await??.code(), Some(0));
    Ok(())
}

#[tokio::test]
async fn a_broken_audit_trail_is_a_failure_and_a_whole_one_is_not() -> Outcome {
    for (intact, code) in [(true, 0), (false, 1)] {
        let broken_at = if intact { Value::Null } else { json!(7) };
        let found = json!({"intact": intact, "entries": 12, "broken_at": broken_at});
        let api = FakeApi::answering(move |_| (200, found.clone())).await?;
        let plain = finish(api.command(KEY, &["audit", "verify"]), "verify").await?;
        assert_eq!(plain.code, Some(code), "{}", plain.stderr);
        assert_eq!(plain.stderr.contains("broken at entry 7 of 12"), !intact, "{}", plain.stderr);
        let machine = finish(api.command(KEY, &["audit", "verify", "--json"]), "verify").await?;
        assert_eq!((machine.code, machine.json()?["intact"].as_bool()), (Some(code), Some(intact)));
    }
    Ok(())
}

#[tokio::test]
async fn entries_and_alerts_are_shown_and_alerts_acknowledged() -> Outcome {
    let pagination = json!({"limit": 50, "offset": 0, "total": 9, "next_cursor": null});
    let entry = json!({"id": "aud_00000000000000000000000001", "position": 3, "time": NOW, "actor": "local",
        "address": null, "action": "key.revoked", "target": VICTIM, "before": {}, "after": {}, "hash": "00"});
    let alert = json!({"id": "alr_00000000000000000000000001", "rule": "new_address", "severity": "warning",
        "key_id": VICTIM, "key_name": "App", "message": "first use from 192.0.2.0/24", "figures": {}, "raised_at": NOW,
        "acknowledged_at": null, "acknowledged_by": null});
    let api = FakeApi::answering(move |asked| match asked.path.as_str() {
        "/v1/audit-events" => (200, json!({"audit_events": [entry], "pagination": pagination})),
        "/v1/alerts" => (200, json!({"alerts": [alert], "pagination": pagination})),
        _ => (200, alert.clone()),
    })
    .await?;
    let words = ["audit", "list", "--target", VICTIM, "--since", "2026-01-01T00:00:00Z"];
    let entries = finish(api.command(KEY, &words), "audit").await?.expect_success()?;
    assert!(
        entries.stdout.contains("key.revoked") && entries.stderr.contains("1 of 9"),
        "{}",
        entries.stdout
    );
    let alerts = finish(api.command(KEY, &["alerts", "list", "--status", "open"]), "alerts").await?;
    assert!(alerts.stdout.contains("new_address: first use from 192.0.2.0/24"), "{}", alerts.stdout);
    let id = "alr_00000000000000000000000001";
    finish(api.command(KEY, &["alerts", "ack", id]), "alerts").await?.expect_success()?;
    let asked = api.asked();
    assert_eq!(asked[0].query, format!("target={VICTIM}&start_date=2026-01-01T00%3A00%3A00.000Z&limit=50"));
    let last = asked.last().context("a request")?;
    assert_eq!(
        (last.method.as_str(), last.path.as_str()),
        ("POST", "/v1/alerts/alr_00000000000000000000000001/acknowledge")
    );
    Ok(())
}

/// Plays a server on which all goes well: with the old secrets dead after the rotation.
fn compromised(asked: &Asked) -> (u16, Value) {
    let rotated = |id, name| {
        let mut key = key(id, name);
        key["secret"] = json!(NEW_KEY);
        key
    };
    let mut revoked = key(VICTIM, "App");
    revoked["status"] = json!("revoked");
    let pagination = json!({"limit": 100, "offset": 0, "total": 1, "next_cursor": null});
    let credential = json!({"set": true, "last4": "wxyz", "updated_at": NOW});
    let trunk = json!({"id": "conn_00000000000000000000000001", "name": "Support", "status": "active",
        "ai_provider": "openai", "sip_username": "s", "sip_endpoint": "sip:s@h", "openai_api_key": credential,
        "created_at": NOW, "updated_at": NOW});
    let account = json!({"id": "acct_00000000000000000000000001", "name": "a", "mode": "live"});
    let me = json!({"id": OWN, "name": "admin", "preset": "custom", "scopes": ["keys:write"],
        "rate_limit_per_minute": 60, "expires_at": null, "account": account});
    let usage = json!({"key_id": VICTIM, "interval": "day", "start_date": NOW, "end_date": NOW, "request_count": 7,
        "error_count": 2, "buckets": [], "addresses": [{"address": "192.0.2.1", "first_seen": NOW, "last_seen": NOW,
            "requests": 7}]});
    match (asked.method.as_str(), asked.path.as_str()) {
        ("GET", "/v1/whoami") => (200, me),
        ("POST", "/v1/keys/rotate-all") => {
            (200, json!({"rotated_at": NOW, "grace_seconds": 0, "keys": [rotated(OWN, "admin")]}))
        }
        ("GET", "/v1/requests") => (200, requests(&[2, 1], None)),
        ("GET", "/v1/audit-events") => (200, json!({"audit_events": [], "pagination": pagination})),
        ("GET", "/v1/keys") => (200, json!({"keys": [key(OWN, "admin")], "pagination": pagination})),
        ("GET", "/v1/trunks") => (200, json!({"trunks": [trunk], "pagination": pagination})),
        ("GET", path) if path.ends_with("/usage") => (200, usage),
        ("GET", _) => (200, key(VICTIM, "App")),
        ("POST", path) if path.ends_with("/revoke") => (200, revoked),
        _ => nothing(asked),
    }
}

#[tokio::test]
async fn a_compromised_key_is_led_through_five_steps_with_the_new_secret_after_the_rotation() -> Outcome {
    let api = FakeApi::answering(compromised).await?;
    let led = finish(api.command(KEY, &["compromise", VICTIM, "--yes", "--json"]), "compromise").await?;
    let led = led.expect_success()?;
    let steps: Vec<Value> = led.stdout.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    let names: Vec<_> = steps.iter().map(|step| (&step["step"], &step["name"], &step["outcome"])).collect();
    let wanted = ["revoke", "rotate_all", "audit_calls", "old_secrets", "provider_credentials"];
    for (place, name) in wanted.iter().enumerate() {
        assert_eq!(names[place], (&json!(place + 1), &json!(name), &json!("done")));
    }
    assert_eq!(steps[1]["keys"][0]["secret"], NEW_KEY);
    assert_eq!(
        (&steps[2]["requests"][0]["status"], &steps[2]["addresses"][0]["requests"]),
        (&json!(403), &json!(7))
    );
    assert_eq!(steps[3]["old_secrets"][0]["secret"]["masked"], "sk_live_AbC…0001");
    assert_eq!(steps[4]["credentials"][0]["last4"], "wxyz");
    assert!(led.stderr.contains("lacks usage:read, audit:read, trunks:read"), "{}", led.stderr);
    assert!(!led.stderr.contains(NEW_KEY) && !led.stderr.contains(KEY));
    for (number, asked) in api.asked().iter().enumerate() {
        let rotated = api.asked().iter().take(number).any(|earlier| earlier.path.ends_with("rotate-all"));
        assert_eq!(asked.key, if rotated { NEW_KEY } else { KEY }, "{asked:?}");
    }
    let revoke =
        api.asked().into_iter().find(|asked| asked.path.ends_with("/revoke")).context("a revocation")?;
    assert_eq!(revoke.body, r#"{"reason":"compromised"}"#);
    Ok(())
}

#[tokio::test]
async fn a_step_that_fails_keeps_no_other_from_being_done() -> Outcome {
    let api = FakeApi::answering(|asked| match asked.path.as_str() {
        "/v1/keys/rotate-all" | "/v1/audit-events" => {
            (403, json!({"error": {"code": "INSUFFICIENT_SCOPE", "message": "no right", "status": 403}}))
        }
        _ => compromised(asked),
    })
    .await?;
    let led = finish(api.command(KEY, &["compromise", VICTIM, "--yes"]), "compromise").await?;
    assert_eq!(led.code, Some(5), "{}", led.stderr);
    assert!(led.stderr.contains("step 2 was not done: no right"), "{}", led.stderr);
    assert!(led.stdout.contains("Revoked key_") && led.stdout.contains(VICTIM), "{}", led.stdout);
    assert!(
        led.stdout.contains("openai_api_key  …wxyz") && led.stdout.contains("sk_live_AbC…0001"),
        "{}",
        led.stdout
    );
    Ok(())
}

#[tokio::test]
async fn usage_is_drawn_and_presets_are_changed() -> Outcome {
    let preset =
        json!({"name": "testing", "scopes": ["calls:read"], "rate_limit_per_minute": 5, "modified": true});
    let api = FakeApi::answering(move |asked| match (asked.method.as_str(), asked.path.as_str()) {
        ("PATCH", "/v1/key-presets/testing") => (200, preset.clone()),
        ("GET", path) if path.ends_with("/usage") => (
            200,
            json!({"key_id": VICTIM, "interval": "hour", "start_date": "2026-01-31T10:00:00Z", "end_date": NOW,
                "request_count": 9, "error_count": 0, "addresses": [],
                "buckets": [{"start": "2026-01-31T11:00:00Z", "requests": 9, "errors": 0, "statuses": {"2xx": 9}}]}),
        ),
        _ => nothing(asked),
    })
    .await?;
    let words = ["keys", "usage", VICTIM, "--interval", "hour", "--since", "2026-01-31T10:00:00Z"];
    let drawn = finish(api.command(KEY, &words), "usage").await?.expect_success()?;
    assert!(drawn.stdout.contains("9 │ █\n") && drawn.stdout.contains("2xx 9"), "{}", drawn.stdout);
    let words = ["keys", "presets", "set", "testing", "--rate-limit", "5"];
    let changed = finish(api.command(KEY, &words), "presets").await?.expect_success()?;
    assert!(changed.stdout.contains("testing  5      yes      calls:read"), "{}", changed.stdout);
    assert_eq!(api.asked()[1].body, r#"{"rate_limit_per_minute":5}"#);
    Ok(())
}

#[tokio::test]
async fn trouble_of_the_server_is_told_apart_from_a_refusal_after_four_attempts() -> Outcome {
    let api = FakeApi::answering(|_| {
        (400, json!({"error": {"code": "INVALID_PARAMS", "message": "no", "status": 400}}))
    })
    .await?;
    assert_eq!(finish(api.command(KEY, &["alerts", "list"]), "refused").await?.code, Some(5));
    let api =
        FakeApi::answering(|_| (500, json!({"error": {"code": "INTERNAL", "message": "no", "status": 500}})))
            .await?;
    let failed = finish(api.command(KEY, &["alerts", "list"]), "failed").await?;
    assert_eq!((failed.code, api.asked().len()), (Some(6), 4), "{}", failed.stderr);
    assert!(failed.stderr.contains("the request is sent again"), "{}", failed.stderr);
    Ok(())
}
