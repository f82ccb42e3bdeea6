//! Alerts raised by the real program.

use serde_json::json;

use crate::support::waiting::until;
use crate::support::{Outcome, Server};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn using_a_revoked_key_raises_an_alert_that_survives_kill_9() -> Outcome {
    let server = Server::start().await?;
    let admin = server.admin_key().await?.secret;
    let old = server.create_key(&["--name", "old", "--preset", "testing"]).await?;
    let client = server.client()?;
    client.post(&format!("/v1/keys/{}/revoke", old.id), &admin, &json!({})).await?.expect(200)?;
    client.get("/v1/whoami", &old.secret).await?.expect(401)?;
    let alert = until("the alert is there", || async {
        let list = client.get("/v1/alerts?rule=dead_key_used", &admin).await?.expect(200)?;
        Ok(list["alerts"].as_array().and_then(|alerts| alerts.first()).cloned())
    })
    .await?;
    assert_eq!(alert["key_id"], old.id.as_str());
    assert_eq!(alert["figures"]["state"], json!("revoked"));
    assert_eq!(server.metric("telepath_alerts_raised_total").await?, Some(1.0));

    let server = server.kill_and_restart().await?;
    let client = server.client()?;
    let path = format!("/v1/alerts/{}/acknowledge", alert["id"].as_str().unwrap_or_default());
    client.post(&path, &admin, &json!({})).await?.expect(200)?;
    let open = client.get("/v1/alerts?status=open", &admin).await?.expect(200)?;
    assert_eq!(open["alerts"], json!([]));
    Ok(())
}
