//! `telepath webhooks …`.

use std::process::Stdio;

use anyhow::Context as _;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpListener;

use telepath_core::secret::SecretText;
use telepath_core::webhook::signature::{SigningSecret, header};

use super::{Post, id_of};
use crate::support::output::{log_file, note_secret};
use crate::support::waiting::soon;
use crate::support::{Outcome, Remote};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn webhooks_commands_manage_an_endpoint() -> Outcome {
    let post = Post::start().await?;
    let home = post.server.home();
    let run = async |words: &[&str]| -> anyhow::Result<Value> {
        let words = [&["webhooks"], words, &["--json"]].concat();
        home.run(&words).await?.expect_success()?.json()
    };
    let made = run(&["create", "--url", &post.sink.url(), "--events", "webhook.test,key.created"]).await?;
    made["secret"].as_str().into_iter().for_each(note_secret);
    let id = id_of(&made)?;
    assert_eq!(run(&["list"]).await?[0]["id"], made["id"]);
    assert_eq!(run(&["show", &id]).await?.get("secret"), None);
    let tested = run(&["test", &id]).await?;
    assert_eq!((&tested["status"], &tested["attempts"][0]["status"]), (&"delivered".into(), &200.into()));
    let rotated = run(&["rotate-secret", &id, "--grace", "1h"]).await?;
    rotated["secret"].as_str().into_iter().for_each(note_secret);
    assert_ne!(rotated["secret"], made["secret"]);
    let delivery = id_of(&tested)?;
    assert_eq!(run(&["deliveries", &id, "--status", "delivered"]).await?[0]["id"], tested["id"]);
    assert_eq!(run(&["redeliver", &delivery]).await?["status"], "pending");
    let arrivals = post.sink.until(2).await?;
    assert_eq!(arrivals[0].header("webhook-signature").split(' ').count(), 1);
    assert_eq!(arrivals[1].header("webhook-signature").split(' ').count(), 2, "both secrets sign");
    assert_eq!(run(&["recover", &id, "--since", "1h"]).await?["deliveries"], 0);
    let changed =
        run(&["update", &id, "--description", "Mine", "--status", "disabled", "--max-in-flight", "3"])
            .await?;
    assert_eq!(
        (&changed["description"], &changed["status"], &changed["max_in_flight"]),
        (&"Mine".into(), &"disabled".into(), &3.into())
    );
    let changed = run(&["update", &id, "--description", "", "--status", "active"]).await?;
    assert_eq!((&changed["description"], &changed["status"]), (&Value::Null, &"active".into()));
    let nothing = home.run(&["webhooks", "update", &id]).await?;
    assert_eq!(nothing.code, Some(2), "{}", nothing.stderr);
    assert_eq!(run(&["delete", &id]).await?["deleted"], true);
    assert_eq!(run(&["list"]).await?, Value::Array(Vec::new()));
    // The same on a remote server with a key.
    let remote = Remote::of(&post.server).await?;
    assert_eq!(remote.json(&["webhooks", "list"]).await?, Value::Array(Vec::new()));
    let refused = home.run(&["webhooks", "create", "--url", "https://127.0.0.1:1/"]).await?;
    assert_eq!(refused.code, Some(5), "{}", refused.stderr);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn headers_from_a_file_are_added_to_each_delivery() -> Outcome {
    let post = Post::start().await?;
    let home = post.server.home();
    let file = home.beside("headers.txt");
    std::fs::write(&file, "Authorization: Bearer hush\n\nX-Tenant: 7\n")?;
    let (headers, ca) = (file.to_string_lossy(), post.sink.authority.to_string_lossy());
    let url = post.sink.url();
    let create = ["webhooks", "create", "--url", &url, "--events", "webhook.*", "--json"];
    let create = [&create[..], &["--headers-file", &headers, "--endpoint-ca-file", &ca]].concat();
    let made = home.run(&create).await?.expect_success()?.json()?;
    made["secret"].as_str().into_iter().for_each(note_secret);
    let id = id_of(&made)?;
    assert_eq!((&made["events"], &made["headers"]["set"]), (&serde_json::json!(["webhook.*"]), &true.into()));
    home.run(&["webhooks", "test", &id]).await?.expect_success()?;
    let arrival = &post.sink.until(1).await?[0];
    assert_eq!((arrival.header("authorization"), arrival.header("x-tenant")), ("Bearer hush", "7"));
    let moved = ["webhooks", "update", &id, "--url", "https://hooks.example/"];
    let refused = home.run(&moved).await?;
    assert_eq!(refused.code, Some(5), "{}", refused.stderr);
    assert!(refused.stderr.contains("headers"), "{}", refused.stderr);
    let moved = [&moved[..], &["--no-headers", "--system-ca", "--json"]].concat();
    let changed = home.run(&moved).await?.expect_success()?.json()?;
    assert_eq!((&changed["headers"], &changed["ca_pem"]), (&Value::Null, &Value::Null));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn webhooks_listen_forwards_signed_events() -> Outcome {
    let post = Post::start().await?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let target = format!("http://{}/local?a=b", listener.local_addr()?);
    let (_, log) = log_file("webhooks-listen");
    let words = ["webhooks", "listen", "--forward-to", &target, "--events", "key.created"];
    let mut child = post.server.home().command(&words).stdout(Stdio::piped()).stderr(log).spawn()?;
    let mut lines = BufReader::new(child.stdout.take().context("standard output")?).lines();
    let mut line = async || anyhow::Ok(soon("a line", lines.next_line()).await??.context("a line")?);
    let secret = line().await?.trim_start_matches("Secret ").to_owned();
    note_secret(&secret);
    line().await?;
    let key = post.event().await?;

    let (stream, _) = soon("the forwarded event", listener.accept()).await??;
    let mut stream = BufReader::new(stream);
    let (mut head, mut request) = (Vec::new(), String::new());
    stream.read_line(&mut request).await?;
    assert_eq!(request.trim(), "POST /local?a=b HTTP/1.1");
    loop {
        let mut header = String::new();
        stream.read_line(&mut header).await?;
        let Some((name, value)) = header.trim().split_once(": ") else { break };
        head.push((name.to_ascii_lowercase(), value.to_owned()));
    }
    let of = |name: &str| head.iter().find(|(found, _)| found == name).map_or("", |(_, value)| value);
    let mut body = vec![0; of("content-length").parse()?];
    stream.read_exact(&mut body).await?;
    stream.write_all(b"HTTP/1.1 204 x\r\n\r\n").await?;
    let event: Value = serde_json::from_slice(&body)?;
    assert_eq!((&event["event"], &event["key_id"]), (&"key.created".into(), &key.into()));
    let secrets = [SigningSecret::parse(&SecretText::new(secret))?];
    let signature = header(&secrets, of("webhook-id"), of("webhook-timestamp").parse()?, &body);
    assert_eq!(Some(of("webhook-signature")), signature.as_deref());
    assert!(line().await?.ends_with("-> 204"));

    assert_eq!(post.get("/v1/webhooks").await?["pagination"]["total"], 1);
    let process = child.id().context("the command runs")?.to_string();
    let sent = tokio::process::Command::new("kill").args(["-INT", &process]).status().await?;
    assert!(sent.success());
    assert!(soon("the end of the command", child.wait()).await??.success());
    assert_eq!(post.get("/v1/webhooks").await?["pagination"]["total"], 0, "the command deleted its endpoint");
    Ok(())
}
