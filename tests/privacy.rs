//! No secret is written in cleartext. `scripts/test` searches the output of the whole suite at its end. The test here sends
//! every kind of secret to every wrong place of one server, and proves that the search would find one.

use std::path::{Path, PathBuf};

use anyhow::ensure;
use hyper::Method;
use hyper::header::CONTENT_TYPE;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::http::Call;
use crate::support::output::note_secret;
use crate::support::server::{Home, files_below};
use crate::support::{Outcome, Server};

/// The files in the folders that contain one of the secrets.
fn files_with(secrets: &[&str], places: &[&Path]) -> Vec<PathBuf> {
    let holds = |path: &PathBuf| {
        let Ok(bytes) = std::fs::read(path) else { return false };
        secrets.iter().any(|secret| bytes.windows(secret.len()).any(|part| part == secret.as_bytes()))
    };
    let files = places
        .iter()
        .flat_map(|place| if place.is_dir() { files_below(place) } else { vec![place.to_path_buf()] });
    files.filter(holds).collect()
}

#[test]
fn the_secret_search_finds_a_planted_secret() {
    let home = Home::new();
    let folder = home.beside("planted");
    std::fs::create_dir_all(folder.join("below")).expect("a folder");
    let planted = folder.join("below/file.bin");
    std::fs::write(&planted, b"\x00\x01needle-in-a-haystack\xff").expect("a file");
    assert_eq!(files_with(&["needle-in-a-haystack"], &[&folder]), [planted]);
    assert!(files_with(&["another needle"], &[&folder]).is_empty());
}

#[tokio::test]
async fn secrets_sent_anywhere_appear_in_no_log_or_file() -> Outcome {
    let mut server = Home::new().start_with(&["--log-level", "trace"]).await?;
    let client = server.client()?;
    let key = server.admin_key().await?;
    let provider = "sk-provider-secret-0123456789";
    let header = "Bearer header-secret-0123456789";
    let chosen = "chosen-sip-password-0123456789";
    for secret in [provider, header, chosen] {
        note_secret(secret);
    }
    let openai = json!({
        "name": "a", "ai_provider": "openai", "sip_username": "trunk-a", "openai_api_key": provider, "sip_password": chosen
    });
    client.post("/v1/trunks", &key.secret, &openai).await?.expect(201)?;
    let custom = json!({
        "name": "b", "ai_provider": "custom", "sip_username": "trunk-b", "custom_endpoint": "wss://agent.example/",
        "custom_headers": {"Authorization": header}
    });
    let made = client.post("/v1/trunks", &key.secret, &custom).await?.expect(201)?;
    let password = made["sip_password"].as_str().unwrap_or_default().to_owned();
    let created = client
        .post("/v1/keys", &key.secret, &json!({"name": "c", "preset": "testing"}))
        .await?
        .expect(201)?;
    let second = created["secret"].as_str().unwrap_or_default().to_owned();

    // In a query, a path, a member name, a body that is not JSON, a header, and over plain HTTP.
    for path in [format!("/v1/trunks?token={second}"), format!("/v1/keys/{second}"), format!("/{second}")] {
        let answer = client.get(&path, &key.secret).await?;
        assert!((400..500).contains(&answer.status), "{}", answer.status);
    }
    let named = json!({ second.as_str(): 1 });
    client.post("/v1/keys", &key.secret, &named).await?.error(400)?;
    let broken =
        Call::new(Method::POST, "/v1/keys").key(&key.secret).header(CONTENT_TYPE, "application/json");
    client.send(broken.body(format!("{{\"name\": \"{second}\", "))).await?.error(400)?;
    let agent = Call::get("/v1/whoami").header(hyper::header::USER_AGENT, &second);
    client.send(agent).await?.error(401)?;
    let mut clear = TcpStream::connect(server.addresses.api).await?;
    let request =
        format!("GET /v1/whoami?key={second} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {second}\r\n\r\n");
    clear.write_all(request.as_bytes()).await?;
    let mut sink = Vec::new();
    clear.read_to_end(&mut sink).await?;

    let log = server.log.clone();
    assert!(server.stop().await?.success());
    let secrets = [key.secret.as_str(), &second, &password, provider, "header-secret-0123456789", chosen];
    ensure!(secrets.iter().all(|secret| secret.len() >= 20), "every secret was there");
    let found = files_with(&secrets, &[&server.data(), &log]);
    assert!(found.is_empty(), "a secret stands in clear in {found:?}");
    assert!(!Server::log_text(&server)?.is_empty(), "the log was searched");
    Ok(())
}
