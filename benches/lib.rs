//! Shared by the benchmarks: databases with many keys, and entries of the request log.

pub mod admin;
pub mod keys;
pub mod log;
