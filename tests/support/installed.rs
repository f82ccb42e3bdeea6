//! Third-party software that `scripts/test` installs for some tests.

use std::path::PathBuf;

/// What `scripts/test` named in a variable. If it is not there, prints why the test is skipped.
#[expect(clippy::print_stderr, reason = "whoever runs the tests must see what was skipped")]
pub(crate) fn installed(variable: &str, what: &str) -> Option<PathBuf> {
    let path = std::env::var_os(variable).map(PathBuf::from).filter(|path| !path.as_os_str().is_empty());
    if path.is_none() {
        eprintln!("left out: {what} is not here; scripts/test sets it up and names it in {variable}");
    }
    path
}
