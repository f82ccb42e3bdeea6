//! The `telepath` program.
fn main() {}
