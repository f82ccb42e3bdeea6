//! Reads criterion's results for the stages of the auth pipeline.

use std::path::PathBuf;

use anyhow::Context as _;
use serde_json::Value;

use crate::table::Table;

const STAGES: [(&str, &str); 6] = [
    ("parse", "form and checksum"),
    ("hmac", "HMAC-SHA-256"),
    ("find", "look-up among 10,000 keys"),
    ("admit", "policy, secret, address, window"),
    ("record", "request log, from which counters are made"),
    ("all", "all of these together"),
];

pub(crate) fn measure(table: &mut Table) -> anyhow::Result<()> {
    for (stage, meaning) in STAGES {
        let nanoseconds = median(stage)?;
        table.row(format!("auth pipeline, {stage}: {meaning}"), format!("{nanoseconds:.0} ns"));
    }
    Ok(())
}

/// The median of criterion's last run.
fn median(stage: &str) -> anyhow::Result<f64> {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| PathBuf::from("target"), PathBuf::from);
    let path = target.join("criterion/pipeline").join(stage).join("new/estimates.json");
    let text = std::fs::read_to_string(&path)
        .with_context(|| format!("{} is not there; scripts/bench makes it", path.display()))?;
    let estimates: Value = serde_json::from_str(&text)?;
    estimates["median"]["point_estimate"].as_f64().context("no median in the estimates")
}
