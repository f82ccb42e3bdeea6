//! Pausing keys, their description and metadata, and search and order of the list.

use serde_json::json;

use super::harness::Harness;

#[tokio::test]
async fn a_paused_key_gets_invalid_api_key_until_it_is_resumed() {
    let harness = Harness::new().await;
    let master = harness.master().await;
    let key = harness.key(json!({"preset": "testing", "name": "paused"})).await;
    let id = harness.get("/v1/whoami", &key).await.expect(200).json()["id"].as_str().unwrap().to_owned();
    let path = |action: &str| format!("/v1/keys/{id}/{action}");
    let paused = harness.ask("POST", &path("pause"), &master, None).await.expect(200).json();
    assert_eq!((&paused["status"], paused["paused_at"].is_string()), (&json!("paused"), true));
    assert_eq!(harness.get("/v1/whoami", &key).await.expect(401).code(), "INVALID_API_KEY");
    let listed = harness.get("/v1/keys?status=paused", &master).await.expect(200).json();
    assert_eq!(listed["keys"][0]["id"], json!(id));
    let narrow = harness.key(json!({"preset": "custom", "scopes": ["keys:write"]})).await;
    for action in ["pause", "resume"] {
        harness.ask("POST", &path(action), &narrow, None).await.expect(403);
    }
    let resumed = harness.ask("POST", &path("resume"), &master, None).await.expect(200).json();
    assert_eq!((&resumed["status"], &resumed["paused_at"]), (&json!("active"), &json!(null)));
    harness.get("/v1/whoami", &key).await.expect(200);
    for unknown in ["key_00000000000000000000000000", "nothing"] {
        harness.ask("POST", &format!("/v1/keys/{unknown}/pause"), &master, None).await.expect(404);
    }
    harness.ask("POST", &path("pause"), &master, Some(json!({"reason": "x"}))).await.expect(400);
    harness.ask("POST", &path("revoke"), &master, None).await.expect(200);
    harness.ask("POST", &path("resume"), &master, None).await.expect(400);
}

#[tokio::test]
async fn a_key_has_a_description_and_metadata() {
    let harness = Harness::new().await;
    let master = harness.master().await;
    let body = json!({"name": "n", "preset": "testing", "description": "Nightly\nreports",
        "metadata": {"team": "billing"}});
    let made = harness.post("/v1/keys", &master, body).await.expect(201).json();
    assert_eq!(
        (&made["description"], &made["metadata"]),
        (&json!("Nightly\nreports"), &json!({"team": "billing"}))
    );
    let path = format!("/v1/keys/{}", made["id"].as_str().unwrap());
    let update = async |body| harness.ask("PATCH", &path, &master, Some(body)).await;
    let kept = update(json!({"name": "m"})).await.expect(200).json();
    assert_eq!((&kept["description"], &kept["metadata"]), (&made["description"], &made["metadata"]));
    let changed = update(json!({"description": null, "metadata": {}})).await.expect(200).json();
    assert_eq!((&changed["description"], &changed["metadata"]), (&json!(null), &json!({})));
    let target = made["id"].as_str().unwrap();
    let trail = harness.get(&format!("/v1/audit-events?target={target}"), &master).await.expect(200).json();
    assert_eq!(trail["audit_events"][0]["before"]["metadata"], json!({"team": "billing"}));
    assert_eq!(trail["audit_events"][0]["after"]["description"], json!(null));
    let many: serde_json::Map<_, _> = (0..17).map(|n| (format!("k{n}"), json!("v"))).collect();
    for bad in [
        json!({"metadata": many}),
        json!({"metadata": {"": "v"}}),
        json!({"metadata": {"k": "v".repeat(513)}}),
        json!({"description": ""}),
        json!({"description": "d".repeat(501)}),
        json!({"metadata": {"k": 1}}),
    ] {
        update(bad).await.expect(400);
    }
}

#[tokio::test]
async fn keys_are_searched_and_sorted() {
    let harness = Harness::new().await;
    let master = harness.key(json!({"name": "Master", "preset": "custom", "scopes": ["keys:write"]})).await;
    for name in ["Charlie", "Alpha", "Bravo"] {
        harness.key(json!({"preset": "testing", "name": name})).await;
    }
    let names = async |query: &str| -> Vec<String> {
        let list = harness.get(&format!("/v1/keys?preset=testing&{query}"), &master).await.expect(200).json();
        list["keys"].as_array().unwrap().iter().map(|key| key["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names("sort=name").await, ["Alpha", "Bravo", "Charlie"]);
    assert_eq!(names("sort=-name&limit=2").await, ["Charlie", "Bravo"]);
    assert_eq!(names("q=ALP").await, ["Alpha"]);
    assert_eq!(names("q=nothing").await, [""; 0]);
    assert_eq!(names("never_expires=false").await, [""; 0]);
    let first = harness.get("/v1/keys?sort=name&limit=1", &master).await.expect(200).json();
    let cursor = first["pagination"]["next_cursor"].as_str().unwrap();
    harness.get(&format!("/v1/keys?sort=name&cursor={cursor}"), &master).await.expect(200);
    for wrong in [
        format!("sort=-last_used_at&cursor={cursor}"),
        format!("cursor={cursor}"),
        "sort=scopes".to_owned(),
        "q=".to_owned(),
        "never_expires=yes".to_owned(),
    ] {
        harness.get(&format!("/v1/keys?{wrong}"), &master).await.expect(400);
    }
}
