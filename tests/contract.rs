//! The contract of the JSON API, asked of a real server: who may do what, what errors look like, which headers stand on
//! every answer, and that the published description names just the routes that are there.

mod access;
mod envelope;
mod headers;
mod idempotency;
mod keys;
mod leaks;
mod rotation;
mod trunks;
