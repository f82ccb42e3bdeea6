//! The contract of the JSON API against a real server: authorization, errors, headers on every response, and published
//! routes.

mod access;
mod envelope;
mod headers;
mod idempotency;
mod keys;
mod leaks;
mod rotation;
mod trunks;
