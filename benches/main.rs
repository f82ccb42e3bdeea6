//! Makes every number that the documentation states and prints them as one table. `scripts/bench` builds what it needs
//! and starts it. The load generator and the bare server beside which we are measured are processes of their own, so
//! that the time of the server's process is its own too.

mod bare;
mod calls;
mod cluster;
mod database;
mod flood;
mod load;
mod machine;
mod part;
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

use anyhow::Context as _;

use part::Plan;
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
        Some("load") => runtime.block_on(load::main()),
        Some("bare") => runtime.block_on(bare::main()),
        Some(_) | None => runtime.block_on(report(Plan::parse(&words)?)),
    }
}

async fn report(plan: Plan) -> anyhow::Result<()> {
    let mut table = Table::new(&machine::facts());
    let scratch = Scratch::new()?;
    for part in plan.parts {
        part.measure(&mut table, plan.effort, &scratch.0).await?;
    }
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
