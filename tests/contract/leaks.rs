//! Leak reports: anyone can revoke a leaked key, and the response reveals nothing.

use hyper::Method;
use serde_json::json;

use crate::support::http::Call;
use crate::support::waiting::until;
use crate::support::{Outcome, Server};

#[tokio::test]
async fn a_reported_key_is_revoked_and_the_response_reveals_nothing() -> Outcome {
    let server = Server::start().await?;
    let client = server.client()?;
    let leaked = server.create_key(&["--name", "leaked", "--preset", "testing"]).await?;
    let kept = server.create_key(&["--name", "kept", "--preset", "testing"]).await?;
    let report = async |secrets: serde_json::Value| {
        let call = Call::new(Method::POST, "/v1/keys/report-leak").json(&json!({"secrets": secrets}));
        client.send(call).await?.expect(202)
    };
    assert_eq!(report(json!([leaked.secret.as_str(), "nonsense"])).await?, json!({}));
    assert_eq!(report(json!(["nonsense"])).await?, json!({}));
    let is_dead = || async {
        let status = client.get("/v1/whoami", &leaked.secret).await?.status;
        Ok((status == 401).then_some(()))
    };
    until("the reported key is dead", is_dead).await?;
    assert_eq!(client.get("/v1/whoami", &kept.secret).await?.status, 200);
    let unsigned = Call::new(Method::POST, "/v1/keys/secret-scanning").json(&json!([]));
    assert_eq!(client.send(unsigned).await?.error(404)?, "NOT_FOUND");
    let pattern = client.send(Call::get("/.well-known/telepath-key-pattern.json")).await?.expect(200)?;
    assert_eq!(pattern["pattern"], "sk_(live|test)_[0-9A-Za-z]{49}");
    Ok(())
}
