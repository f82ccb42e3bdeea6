//! Snapshot files that are generated from the code. `TELEPATH_BLESS=1` rewrites them. Tests only.

use std::path::Path;

/// Compares a file with the expected text, or rewrites it when blessed.
pub(crate) fn check(path: &Path, expected: &str) {
    if std::env::var_os("TELEPATH_BLESS").is_some_and(|value| value == "1") {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, expected).unwrap();
        return;
    }
    let found = std::fs::read_to_string(path).unwrap_or_default();
    let first = found.lines().zip(expected.lines()).find(|(a, b)| a != b);
    assert!(
        found == expected,
        "{} does not match the code (first difference: {first:?}); run the test again with TELEPATH_BLESS=1",
        path.display()
    );
}
