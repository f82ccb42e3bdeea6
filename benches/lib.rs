//! Shared by the benchmarks: databases with many keys.

pub mod admin;
pub mod keys;
