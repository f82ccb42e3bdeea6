//! Which servers may join a database, and how a dead one is replaced.

use anyhow::{Context as _, ensure};

use super::is_possible;
use super::test_cluster::{master_key, redis, shared};
use crate::support::Outcome;
use crate::support::database::Database;
use crate::support::output::unique;
use crate::support::server::Home;

#[tokio::test]
async fn a_second_server_without_a_shared_limiter_is_refused_while_the_first_runs() -> Outcome {
    if !is_possible() {
        return Ok(());
    }
    let database = Database::postgres();
    let url = database.url().context("a database URL")?;
    let home = Home::on(Database::Elsewhere { url: url.clone() }, Vec::new());
    let mut first = home.start().await?;
    let key = master_key(&first.data());
    let second = |settings: Vec<(&'static str, String)>| {
        let settings = [settings, vec![key.clone()]].concat();
        Home::on(Database::Elsewhere { url: url.clone() }, settings)
    };
    let ports = ["serve", "--api-listen", "127.0.0.1:0", "--sip-listen", "127.0.0.1:0"];
    let prefix = format!("telepath-test-{}:", unique());
    for settings in [Vec::new(), shared(&redis()?, &prefix, "second")] {
        let refused = second(settings).run(&ports).await?;
        ensure!(refused.code.is_some_and(|code| code != 0), "it must not start");
        ensure!(refused.stderr.contains("already uses this database"), "{}", refused.stderr);
        ensure!(refused.stderr.contains("cluster.redis_url"), "{}", refused.stderr);
    }
    ensure!(first.stop().await?.success());
    let mut other = second(Vec::new()).start().await?;
    ensure!(other.stop().await?.success());
    // A command does not count as a second server.
    let mut next = second(Vec::new()).start().await?;
    other.home().run(&["keys", "list"]).await?.expect_success()?;
    ensure!(next.stop().await?.success());
    Ok(())
}

#[tokio::test]
async fn a_killed_server_does_not_block_its_successor() -> Outcome {
    if !is_possible() {
        return Ok(());
    }
    let database = Database::postgres();
    let url = database.url().context("a database URL")?;
    let server = Home::on(Database::Elsewhere { url }, Vec::new()).start().await?;
    let mut server = server.kill_and_restart().await?;
    ensure!(server.stop().await?.success());
    Ok(())
}
