//! Drawings in files, to be looked at when they change. `TELEPATH_BLESS=1` rewrites them.

use std::fmt::Write as _;
use std::path::PathBuf;

use super::Chart;

/// Compares both drawings and the table of a chart with a file of `src/chart/golden`.
pub(super) fn check(name: &str, chart: &Chart) {
    let mut text = format!("{}\n{}\n\n", chart.title, chart.summary);
    for drawing in [&chart.wide, &chart.narrow] {
        text.push_str(&drawing.replace('<', "\n<").replace("\n</", "</"));
        text.push('\n');
    }
    for key in &chart.legend {
        let _ = write!(text, "\n{}: {} ({})", key.name, key.figure, key.class);
    }
    let _ = write!(text, "\n\n{}\n", chart.table.head.join(" | "));
    for row in &chart.table.rows {
        let _ = writeln!(text, "{} | {}", row.heading, row.cells.join(" | "));
    }
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/chart/golden").join(name);
    if std::env::var_os("TELEPATH_BLESS").is_some_and(|value| value == "1") {
        std::fs::write(&path, &text).unwrap();
        return;
    }
    let golden = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(text, golden, "{name} changed; look at it, then run the test again with TELEPATH_BLESS=1");
}
