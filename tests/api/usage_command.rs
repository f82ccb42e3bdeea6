//! `telepath keys usage` on real requests.

use anyhow::Context as _;
use serde_json::{Value, json};

use crate::support::http::Call;
use crate::support::waiting::until;
use crate::support::{Outcome, Remote, Server};

#[tokio::test]
async fn keys_usage_shows_a_chart_routes_and_addresses() -> Outcome {
    let server = Server::start().await?;
    let remote = Remote::of(&server).await?;
    let options = ["--name", "app", "--preset", "custom", "--scopes", "calls:read", "--rate-limit", "1000"];
    let app = server.create_key(&options).await?;
    let mut connection = server.client()?.connect().await?;
    for (path, count) in [("/v1/calls", 7), ("/v1/trunks", 2)] {
        for _ in 0..count {
            connection.send(Call::get(path).key(&app.secret)).await?;
        }
    }
    let usage = until("all requests are counted", || async {
        let usage = remote.json(&["keys", "usage", &app.id, "--interval", "minute", "--since", "1h"]).await?;
        Ok((usage["request_count"] == 9).then_some(usage))
    })
    .await?;
    assert_eq!((&usage["error_count"], &usage["interval"]), (&json!(2), &json!("minute")), "{usage}");
    assert_eq!(
        (&usage["addresses"][0]["address"], &usage["addresses"][0]["requests"]),
        (&json!("127.0.0.1"), &json!(9))
    );
    let sum = |of: &dyn Fn(&Value) -> Option<u64>| -> anyhow::Result<u64> {
        Ok(usage["buckets"].as_array().context("buckets")?.iter().filter_map(of).sum())
    };
    assert_eq!(sum(&|bucket| bucket["requests"].as_u64())?, 9);
    assert_eq!(sum(&|bucket| bucket["statuses"]["4xx"].as_u64())?, 2);

    let words = ["keys", "usage", app.id.as_str(), "--interval", "day", "--since", "2d"];
    let (far, near) = (remote.run(&words).await?, server.home().run(&words).await?);
    for shown in [far.expect_success()?.stdout, near.expect_success()?.stdout] {
        assert!(shown.contains("9 requests, 2 errors"), "{shown}");
        assert!(shown.contains("9 │") && shown.contains('█'), "{shown}");
        assert!(shown.contains("Status  2xx 7   4xx 2"), "{shown}");
        let lines: Vec<&str> = shown.lines().collect();
        let head = lines.iter().position(|line| line.starts_with("REQUESTS")).context("a table of routes")?;
        let route = lines[head].find("ROUTE").context("a column for the route")?;
        assert!(
            lines[head + 1].starts_with("7  ") && lines[head + 1][route..].ends_with("/v1/calls"),
            "{shown}"
        );
        assert!(
            lines[head + 2].starts_with("2  ") && lines[head + 2][route..].ends_with("/v1/trunks"),
            "{shown}"
        );
        assert!(lines.iter().any(|line| line.starts_with("127.0.0.1  9 ")), "{shown}");
    }
    Ok(())
}
