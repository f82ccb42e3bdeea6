//! `telepath requests …` on a real server, on its data folder and over HTTPS.

use std::process::Stdio;

use anyhow::Context as _;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use crate::support::cli::finish;
use crate::support::http::{Call, Connection};
use crate::support::waiting::{soon, until};
use crate::support::{CreatedKey, Outcome, Remote, Server};

/// More than one page.
const CALLS: usize = 103;
const REFUSED: usize = 3;

/// Sends requests with one key and collects their ids.
struct Caller {
    connection: Connection,
    key: CreatedKey,
}

impl Caller {
    /// Uses a key with only `calls:read`.
    async fn of(server: &Server) -> anyhow::Result<Self> {
        let options =
            ["--name", "app", "--preset", "custom", "--scopes", "calls:read", "--rate-limit", "1000"];
        let key = server.create_key(&options).await?;
        Ok(Self { connection: server.client()?.connect().await?, key })
    }

    async fn ask(&mut self, path: &str, status: u16) -> anyhow::Result<String> {
        let answer = self.connection.send(Call::get(path).key(&self.key.secret)).await?;
        anyhow::ensure!(answer.status == status, "{path}: {} {}", answer.status, answer.text());
        Ok(answer.header("x-request-id").context("every answer has an id")?.to_owned())
    }
}

fn ids(requests: &[Value]) -> Vec<&str> {
    requests.iter().filter_map(|request| request["id"].as_str()).collect()
}

fn sorted(mut ids: Vec<&str>) -> Vec<&str> {
    ids.sort_unstable();
    ids
}

/// Waits until `requests list` returns `count` requests.
async fn listed(remote: &Remote<'_>, options: &[&str], count: usize) -> anyhow::Result<Vec<Value>> {
    let words = [&["requests", "list", "--limit", "1000"], options].concat();
    until(&format!("{count} requests are listed"), || async {
        let found = remote.json(&words).await?;
        let found = found.as_array().context("an array")?;
        Ok((found.len() == count).then(|| found.clone()))
    })
    .await
}

#[tokio::test]
async fn requests_are_listed_newest_first_across_pages_and_filtered() -> Outcome {
    let server = Server::start().await?;
    let remote = Remote::of(&server).await?;
    let mut app = Caller::of(&server).await?;
    let mut asked = Vec::new();
    for _ in 0..CALLS {
        asked.push(app.ask("/v1/calls?limit=1", 200).await?);
    }
    let own = format!("/v1/keys/{}", app.key.id);
    for _ in 0..REFUSED {
        asked.push(app.ask(&own, 403).await?);
    }
    let of_app = ["--key", app.key.id.as_str()];
    let found = listed(&remote, &of_app, asked.len()).await?;
    assert_eq!(sorted(ids(&found)), sorted(asked.iter().map(String::as_str).collect()));
    // Requests in the same millisecond may come in either order.
    let times: Vec<_> = found.iter().map(|request| request["time"].as_str()).collect();
    assert!(times.is_sorted_by(|newer, older| newer >= older), "{times:?}");
    let refusals = asked[CALLS..].iter().map(String::as_str).collect();

    let refused = [&of_app[..], &["--status", "4xx", "--route", "/v1/keys/{id}"]].concat();
    let refused = [&refused[..], &["--error-code", "INSUFFICIENT_SCOPE", "--address", "127.0.0.1"]].concat();
    let refused = listed(&remote, &refused, REFUSED).await?;
    assert_eq!(sorted(ids(&refused)), sorted(refusals));
    assert_eq!((&refused[0]["path"], &refused[0]["status"]), (&own.as_str().into(), &403.into()));
    let one = ["--request-id", asked[5].as_str(), "--method", "GET", "--path", "/v1/calls", "--since", "1h"];
    assert_eq!(ids(&listed(&remote, &one, 1).await?), [asked[5].as_str()]);
    let slow = remote.run(&["requests", "list", "--min-duration", "1h"]).await?.expect_success()?;
    assert_eq!(slow.stdout, "No requests.\n");
    let wrong = remote.run(&["requests", "list", "--status", "often"]).await?;
    assert_eq!(wrong.code, Some(5), "{}", wrong.stderr);
    assert!(wrong.stderr.contains("status"), "{}", wrong.stderr);
    Ok(())
}

#[tokio::test]
async fn the_table_is_aligned_and_the_same_locally_and_remotely() -> Outcome {
    let server = Server::start().await?;
    let remote = Remote::of(&server).await?;
    let mut app = Caller::of(&server).await?;
    for number in 0..CALLS {
        app.ask(&format!("/v1/calls?limit={}", number % 9 + 1), 200).await?;
    }
    app.ask("/v1/trunks", 403).await?;
    listed(&remote, &["--key", &app.key.id], CALLS + 1).await?;
    let words = ["requests", "list", "--key", app.key.id.as_str(), "--limit", "102"];
    let far = remote.run(&words).await?.expect_success()?;
    let near = server.home().run(&words).await?.expect_success()?;
    assert_eq!(far.stdout, near.stdout);
    assert!(far.stderr.contains("Showing the first 102. Use --limit to see more."), "{}", far.stderr);
    let lines: Vec<&str> = far.stdout.lines().collect();
    assert_eq!(lines.len(), 103);
    let column = |name: &str| lines[0].find(name).with_context(|| format!("no {name} in {}", lines[0]));
    let (status, from, key, request) =
        (column("STATUS")?, column("ADDRESS")?, column("CALLER")?, column("REQUEST")?);
    for line in &lines[1..] {
        assert_eq!(&line[status - 3..status], "Z  ", "a time with its zone: {line}");
        assert!(line[from..].starts_with("127.0.0.1 ") && line[key..].starts_with(&app.key.id), "{line}");
        assert!(line[request..].starts_with("GET /v1/"), "{line}");
    }
    assert!(lines[1].ends_with("GET /v1/trunks (INSUFFICIENT_SCOPE)"), "{}", lines[1]);
    assert!(lines[1][status..].starts_with("403 "), "{}", lines[1]);
    Ok(())
}

#[tokio::test]
async fn an_export_matches_the_list_and_never_overwrites_a_file() -> Outcome {
    let server = Server::start().await?;
    let remote = Remote::of(&server).await?;
    let mut app = Caller::of(&server).await?;
    for _ in 0..CALLS {
        app.ask("/v1/calls", 200).await?;
    }
    let found = listed(&remote, &["--key", &app.key.id], CALLS).await?;
    let wanted = sorted(ids(&found));
    let words = ["requests", "export", "--key", app.key.id.as_str(), "--format"];
    let lines = remote.run(&[&words[..], &["ndjson"]].concat()).await?.expect_success()?.stdout;
    let rows: Vec<Value> = lines.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    assert_eq!(sorted(ids(&rows)), wanted);
    assert_eq!((&rows[0]["route"], &rows[0]["status"]), (&"/v1/calls".into(), &200.into()), "{}", rows[0]);

    let csv = server.home().run(&[&words[..], &["csv"]].concat()).await?.expect_success()?.stdout;
    let (head, rows) = csv.split_once("\r\n").context("lines end as RFC 4180 section 2 says")?;
    assert!(head.starts_with("id,time,"), "{head}");
    let exported = rows.lines().filter_map(|row| row.split(',').next()).map(|id| id.trim_matches('"'));
    assert_eq!(sorted(exported.collect()), wanted);

    let path = server.home().beside("requests.csv");
    let file = path.to_str().context("a path in UTF-8")?;
    let words = [&words[..], &["csv", "--output", file]].concat();
    let written = remote.run(&words).await?.expect_success()?;
    assert_eq!(std::fs::read_to_string(&path)?, csv);
    assert!(written.stderr.contains(&format!("{} bytes", csv.len())), "{}", written.stderr);
    let again = remote.run(&words).await?;
    assert_eq!(again.code, Some(2), "{}", again.stderr);
    assert_eq!(std::fs::read_to_string(&path)?, csv);
    Ok(())
}

/// A running `requests tail`.
struct Tail {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Tail {
    fn start(mut command: Command) -> anyhow::Result<Self> {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
        let stdout = child.stdout.take().context("its output is read")?;
        Ok(Self { child, lines: BufReader::new(stdout).lines() })
    }

    async fn next(&mut self) -> anyhow::Result<Value> {
        let line = soon("a line of the tail", self.lines.next_line()).await??;
        Ok(serde_json::from_str(&line.context("the tail goes on")?)?)
    }

    /// Sends Ctrl-C. Returns the exit code and the remaining output.
    async fn interrupt(mut self) -> anyhow::Result<(Option<i32>, Vec<String>)> {
        let interrupt = format!("kill -INT {}", self.child.id().context("it runs")?);
        Command::new("sh").arg("-c").arg(interrupt).status().await?;
        let mut rest = Vec::new();
        while let Some(line) = soon("the end of the output", self.lines.next_line()).await?? {
            rest.push(line);
        }
        Ok((soon("the end of the tail", self.child.wait()).await??.code(), rest))
    }
}

#[tokio::test]
async fn tail_shows_each_request_once_and_in_order() -> Outcome {
    let server = Server::start().await?;
    let remote = Remote::of(&server).await?;
    let mut app = Caller::of(&server).await?;
    for _ in 0..5 {
        app.ask("/v1/calls", 200).await?;
    }
    let words =
        ["requests", "tail", "--key", app.key.id.as_str(), "--lines", "2", "--interval", "200ms", "--json"];
    for (command, count) in [(remote.command(&words), 5), (server.home().command(&words), 9)] {
        let before = listed(&remote, &["--key", &app.key.id], count).await?;
        let mut tail = Tail::start(command)?;
        assert_eq!([tail.next().await?, tail.next().await?], [before[1].clone(), before[0].clone()]);
        for _ in 0..4 {
            let id = app.ask("/v1/calls", 200).await?;
            assert_eq!(tail.next().await?["id"], id.as_str());
        }
        let (code, rest) = tail.interrupt().await?;
        assert_eq!((code, rest), (Some(0), Vec::new()));
    }
    Ok(())
}

#[tokio::test]
async fn tail_hides_its_own_requests_and_requires_a_server() -> Outcome {
    let server = Server::start().await?;
    let remote = Remote::of(&server).await?;
    let mut app = Caller::of(&server).await?;
    let words = ["requests", "tail", "--lines", "0", "--interval", "200ms", "--json"];
    let mut tail = Tail::start(remote.command(&words))?;
    for _ in 0..3 {
        let id = app.ask("/v1/calls", 200).await?;
        loop {
            let shown = tail.next().await?;
            assert_ne!(
                (&shown["key_id"], &shown["path"]),
                (&remote.key.id.as_str().into(), &"/v1/requests".into())
            );
            if shown["id"] == id.as_str() {
                break;
            }
        }
    }
    assert_eq!(tail.interrupt().await?.0, Some(0));

    let mut server = server;
    assert!(server.stop().await?.success());
    let alone = finish(server.home().command(&words), "tail").await?;
    assert_eq!(alone.code, Some(4), "{}", alone.stderr);
    assert!(alone.stderr.contains("no server runs on this folder"), "{}", alone.stderr);
    Ok(())
}
