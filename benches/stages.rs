//! Reads criterion's results: the stages of the auth pipeline, and the codecs.

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

const CODECS: [(&str, &str); 9] = [
    ("g711-transcode", "G.711, from one law to the other"),
    ("g722-encode", "G.722, encoding"),
    ("g722-decode", "G.722, decoding"),
    ("resample-8-16", "from 8 to 16 kHz"),
    ("resample-16-8", "from 16 to 8 kHz"),
    ("resample-8-24", "from 8 to 24 kHz"),
    ("resample-24-8", "from 24 to 8 kHz"),
    ("resample-16-24", "from 16 to 24 kHz"),
    ("resample-24-16", "from 24 to 16 kHz"),
];

pub(crate) fn measure(table: &mut Table) -> anyhow::Result<()> {
    for (stage, meaning) in STAGES {
        let nanoseconds = median("pipeline", stage)?;
        table.row(format!("auth pipeline, {stage}: {meaning}"), format!("{nanoseconds:.0} ns"));
    }
    Ok(())
}

pub(crate) fn measure_codecs(table: &mut Table) -> anyhow::Result<()> {
    for (codec, meaning) in CODECS {
        let microseconds = median("codecs", codec)? / 1000.0;
        table.row(format!("20 ms of audio, {meaning}"), format!("{microseconds:.2} µs"));
    }
    Ok(())
}

/// The median of criterion's last run.
fn median(group: &str, stage: &str) -> anyhow::Result<f64> {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| PathBuf::from("target"), PathBuf::from);
    let path = target.join("criterion").join(group).join(stage).join("new/estimates.json");
    let text = std::fs::read_to_string(&path)
        .with_context(|| format!("{} is not there; scripts/bench makes it", path.display()))?;
    let estimates: Value = serde_json::from_str(&text)?;
    estimates["median"]["point_estimate"].as_f64().context("no median in the estimates")
}
