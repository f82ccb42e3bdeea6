//! What the benchmarks share: a database with as many keys as asked for.

pub mod admin;
pub mod keys;
