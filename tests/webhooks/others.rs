//! Deliveries verified by other implementations: the `standardwebhooks` packages for Python and JavaScript (`v1`) and Node's
//! Ed25519 (`v1a`). They receive the real deliveries on standard input.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::Context as _;
use serde_json::{Value, json};
use telepath_core::entropy::SystemEntropy;
use telepath_core::secret::SecretText;
use telepath_core::webhook::SignatureScheme;
use telepath_core::webhook::signature::{SigningSecret, header};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use super::{Post, id_of};
use crate::support::Outcome;
use crate::support::installed::installed;
use crate::support::output::note_secret;
use crate::support::sink::Arrival;
use crate::support::waiting::soon;

/// The age in seconds of a signature that receivers must reject; they allow five minutes.
const OLD: i64 = 600;

/// Deliveries with the verdict that each library must reach.
async fn cases() -> anyhow::Result<Value> {
    let post = Post::start().await?;
    let made = post.webhook(json!({"events": ["key.created"]})).await?;
    let (id, first) = (id_of(&made)?, text(&made["secret"])?);
    post.event().await?;
    post.sink.until(1).await?;
    let rotated = post.post(&format!("/v1/webhooks/{id}/rotate-secret"), &json!({}), 200).await?;
    let second = text(&rotated["secret"])?;
    note_secret(&second);
    post.event().await?;
    let arrivals = post.sink.until(2).await?;
    let stranger = SigningSecret::generate(SignatureScheme::V1, &SystemEntropy::default())?.to_text();
    let mut changed = arrivals[0].clone();
    changed.body.push(' ');
    let old = old(&arrivals[0], &first)?;
    Ok(json!([
        case("a delivery", &first, &arrivals[0], true),
        case("during a rotation, by the old secret", &first, &arrivals[1], true),
        case("during a rotation, by the new secret", &second, &arrivals[1], true),
        case("by a secret that came later", &second, &arrivals[0], false),
        case("by a stranger's secret", stranger.expose(), &arrivals[0], false),
        case("with a changed body", &first, &changed, false),
        case("signed long ago", &first, &old, false),
    ]))
}

fn text(value: &Value) -> anyhow::Result<String> {
    value.as_str().map(str::to_owned).context("a text")
}

fn case(what: &str, secret: &str, arrival: &Arrival, good: bool) -> Value {
    let headers: serde_json::Map<_, _> =
        arrival.headers.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
    json!({"what": what, "secret": secret, "headers": headers, "body": arrival.body, "good": good})
}

/// The same delivery, signed earlier.
fn old(arrival: &Arrival, secret: &str) -> anyhow::Result<Arrival> {
    let secrets = [SigningSecret::parse(&SecretText::new(secret.to_owned()))?];
    let then = arrival.header("webhook-timestamp").parse::<i64>()? - OLD;
    let signature = header(&secrets, arrival.header("webhook-id"), then, arrival.body.as_bytes());
    let mut old = arrival.clone();
    for (name, value) in &mut old.headers {
        match name.as_str() {
            "webhook-timestamp" => *value = then.to_string(),
            "webhook-signature" => *value = signature.clone().context("a signature")?,
            _ => {}
        }
    }
    Ok(old)
}

/// Runs a script on the cases. It prints wrong verdicts.
async fn verify(mut interpreter: Command, cases: &Value) -> anyhow::Result<()> {
    let mut child = interpreter
        .kill_on_drop(true)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let mut stdin = child.stdin.take().context("the script reads its standard input")?;
    stdin.write_all(cases.to_string().as_bytes()).await?;
    drop(stdin);
    let output = soon("the verification", child.wait_with_output()).await??;
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    let count = cases.as_array().map_or(0, Vec::len);
    assert_eq!(said.trim(), format!("{count} as expected"));
    Ok(())
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("webhooks").join(name)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_python_package_verifies_deliveries() -> Outcome {
    let Some(python) = installed("TELEPATH_TEST_PYTHON_WEBHOOKS", "python3 with standardwebhooks") else {
        return Ok(());
    };
    let mut command = Command::new(python);
    command.arg(script("verify.py"));
    verify(command, &cases().await?).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_javascript_package_verifies_deliveries() -> Outcome {
    let Some(modules) = installed("TELEPATH_TEST_NODE_MODULES", "node with standardwebhooks") else {
        return Ok(());
    };
    let mut command = Command::new("node");
    command.arg(script("verify.cjs")).env("NODE_PATH", modules);
    verify(command, &cases().await?).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn node_crypto_verifies_ed25519_signatures() -> Outcome {
    if installed("TELEPATH_TEST_NODE_MODULES", "node").is_none() {
        return Ok(());
    }
    let post = Post::start().await?;
    let made = post.webhook(json!({"events": ["key.created"], "signature": "v1a"})).await?;
    let first = text(&made["public_keys"][0])?;
    post.event().await?;
    post.sink.until(1).await?;
    let rotate = format!("/v1/webhooks/{}/rotate-secret", id_of(&made)?);
    let second = text(&post.post(&rotate, &json!({}), 200).await?["public_keys"][0])?;
    post.event().await?;
    let arrivals = post.sink.until(2).await?;
    let mut changed = arrivals[0].clone();
    changed.body.push(' ');
    let cases = json!([
        case("a delivery", &first, &arrivals[0], true),
        case("during a rotation, by the old key", &first, &arrivals[1], true),
        case("during a rotation, by the new key", &second, &arrivals[1], true),
        case("by a key that came later", &second, &arrivals[0], false),
        case("with a changed body", &first, &changed, false),
    ]);
    let mut command = Command::new("node");
    command.arg(script("verify_ed25519.cjs"));
    verify(command, &cases).await
}
