//! Makes every number that the documentation states and prints them as one table. `scripts/bench` builds what it needs
//! and starts it. The load generator and the bare server beside which we are measured are processes of their own, so
//! that the time of the server's process is its own too.

mod bare;
mod calls;
mod cluster;
mod flood;
mod load;
mod machine;
mod peers;
mod process;
mod proxies;
mod requests;
mod scale;
mod server;
mod stages;
mod table;
mod webhooks;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, bail};

use table::Table;

/// How much work is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effort {
    /// For a look.
    Quick,
    /// For the documentation.
    Full,
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            table::say(&format!("telepath-bench: {problem:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run() -> anyhow::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    match words.first().map(String::as_str) {
        None => runtime.block_on(report(Effort::Full)),
        Some("--quick") => runtime.block_on(report(Effort::Quick)),
        Some("cluster") if words.get(1).is_some_and(|word| word == "--quick") => {
            runtime.block_on(report_cluster(Effort::Quick))
        }
        Some("cluster") => runtime.block_on(report_cluster(Effort::Full)),
        Some("webhooks") => {
            runtime.block_on(webhooks_only(words.get(1).is_some_and(|word| word == "--quick")))
        }
        Some("load") => runtime.block_on(load::main()),
        Some("bare") => runtime.block_on(bare::main()),
        Some(other) => bail!("unknown argument {other}; usage: telepath-bench [cluster|webhooks] [--quick]"),
    }
}

async fn report(effort: Effort) -> anyhow::Result<()> {
    let mut table = Table::new(&machine::facts());
    let scratch = Scratch::new()?;
    stages::measure(&mut table)?;
    flood::measure(&mut table)?;
    requests::measure(&mut table, effort, &scratch.0).await?;
    proxies::measure(&mut table, effort, &scratch.0).await?;
    scale::measure(&mut table, effort, &scratch.0).await?;
    calls::measure(&mut table, effort, &scratch.0).await?;
    cluster::measure(&mut table, effort, &scratch.0).await?;
    webhooks::measure(&mut table, effort, &scratch.0).await?;
    table.print();
    Ok(())
}

/// Only what concerns several servers.
async fn report_cluster(effort: Effort) -> anyhow::Result<()> {
    let mut table = Table::new(&machine::facts());
    let scratch = Scratch::new()?;
    cluster::measure(&mut table, effort, &scratch.0).await?;
    table.print();
    Ok(())
}

/// Only what concerns webhooks.
async fn webhooks_only(quick: bool) -> anyhow::Result<()> {
    let mut table = Table::new(&machine::facts());
    let scratch = Scratch::new()?;
    let effort = if quick { Effort::Quick } else { Effort::Full };
    webhooks::measure(&mut table, effort, &scratch.0).await?;
    table.print();
    Ok(())
}

/// A folder that is gone afterwards.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> anyhow::Result<Self> {
        let path = std::env::temp_dir().join(format!("telepath-bench-{}", std::process::id()));
        std::fs::create_dir_all(&path).with_context(|| format!("cannot make {}", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What stays behind is in the folder for temporary files.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
