//! Measures every number in `docs/benchmarks.md` and prints one table. `scripts/bench` builds and starts it. The load
//! generator and the baseline server are separate processes, so that CPU time is attributed correctly.

mod bare;
mod calls;
mod cluster;
mod database;
mod flood;
mod goal;
mod load;
mod machine;
mod pages;
mod part;
mod peers;
mod process;
mod proxies;
mod requests;
mod scale;
mod server;
mod sip_flood;
mod stages;
mod table;
mod webhooks;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;

use part::Plan;
use table::Table;

/// How long each part measures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effort {
    /// A quick check.
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
    let missed = table.missed_goals();
    anyhow::ensure!(!plan.check || missed.is_empty(), "goals were missed: {}", missed.join("; "));
    Ok(())
}

/// A folder that is deleted with the value.
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
        // If this fails, the folder stays among the temporary files.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
