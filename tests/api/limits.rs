//! The rate limit window of a key under concurrent connections.

use std::collections::BTreeMap;

use crate::support::database::Database;
use crate::support::http::Call;
use crate::support::{Client, Outcome, Server};

const CONNECTIONS: usize = 64;
const REQUESTS: usize = 2000;
const LIMIT: u64 = 100;

/// What one connection saw: per window, identified by its reset time, how many requests were answered and admitted.
type Seen = BTreeMap<u64, (u64, u64)>;

async fn hammer(client: Client, secret: String) -> anyhow::Result<Seen> {
    let mut seen = Seen::new();
    let mut connection = client.connect().await?;
    for _ in 0..REQUESTS {
        let answer = connection.send(Call::get("/v1/whoami").key(&secret)).await?;
        let rate = answer.rate()?;
        assert_eq!(rate.limit, LIMIT);
        // On PostgreSQL, a server that is too busy to renew its lease in time refuses requests, which counts nothing.
        if answer.status == 503 && Database::is_postgres_run() {
            assert_eq!(answer.error(503)?, "UNAVAILABLE");
            continue;
        }
        assert!([200, 429].contains(&answer.status), "{}", answer.text());
        let (answered, admitted) = seen.entry(rate.reset).or_default();
        *answered += 1;
        *admitted += u64::from(answer.status == 200);
    }
    Ok(seen)
}

/// A window may end while requests are in flight. Each response names its window by the reset time, so the count is exact for
/// every window.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_load_exactly_the_limit_is_admitted_in_each_window() -> Outcome {
    let server = Server::start().await?;
    let limit = LIMIT.to_string();
    let key = server.create_key(&["--name", "busy", "--preset", "testing", "--rate-limit", &limit]).await?;
    let tasks: Vec<_> = (0..CONNECTIONS)
        .map(|_| anyhow::Ok(tokio::spawn(hammer(server.client()?, key.secret.clone()))))
        .collect::<Result<_, _>>()?;
    let mut windows = Seen::new();
    for task in tasks {
        for (reset, (answered, admitted)) in task.await?? {
            let sum = windows.entry(reset).or_default();
            *sum = (sum.0 + answered, sum.1 + admitted);
        }
    }
    let answered: u64 = windows.values().map(|(answered, _)| answered).sum();
    let sent = (CONNECTIONS * REQUESTS) as u64;
    assert!(if Database::is_postgres_run() { answered > sent / 2 } else { answered == sent }, "{answered}");
    for (reset, (answered, admitted)) in &windows {
        assert_eq!(*admitted, LIMIT.min(*answered), "in the window that ends at {reset}: {windows:?}");
    }
    assert!(windows.values().any(|(_, admitted)| *admitted == LIMIT), "{windows:?}");
    Ok(())
}
