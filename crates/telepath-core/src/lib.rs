//! The domain of Telepath, pure: ids, secrets, errors, events, keys, limits, trunks, calls.
//!
//! Nothing here reads a clock, a random source, a file or a socket; time and entropy are arguments. Adapters
//! (storage, HTTP, media) depend on this crate and never the other way round, so a rule about keys or calls is
//! written once and tested without any of them.

pub mod account;
pub mod address;
pub mod alert;
pub mod analytics;
pub mod audit;
mod authority;
pub mod base62;
pub mod call;
pub mod clock;
pub mod csv;
pub mod date;
pub mod digest_hash;
pub mod entropy;
pub mod error;
pub mod event;
pub mod export;
pub mod id;
pub mod idempotency;
pub mod key;
pub mod keyring;
pub mod known_time;
pub mod leak;
pub mod limit;
pub mod mail;
mod named;
pub mod network_set;
pub mod number;
pub mod page;
pub mod patch;
pub mod ports;
pub mod principal;
pub mod reach;
pub mod request;
pub mod scope;
pub mod secret;
pub mod server_status;
pub mod storage_limit;
pub mod stream;
pub mod trunk;
pub mod usage;
pub mod user;
pub mod validation;
pub mod vault;
pub mod webhook;
