//! What the program was built from.

/// The version.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The commit; `unknown` without a git checkout.
pub(crate) const COMMIT: &str = env!("TELEPATH_BUILD_COMMIT");
/// The target triple.
pub(crate) const TARGET: &str = env!("TELEPATH_BUILD_TARGET");
/// All of it in one line.
pub(crate) const LONG: &str = concat!(
    env!("CARGO_PKG_VERSION"),
    " (commit ",
    env!("TELEPATH_BUILD_COMMIT"),
    ", ",
    env!("TELEPATH_BUILD_TARGET"),
    ")"
);
