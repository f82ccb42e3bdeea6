//! Request and response bodies of the Telepath API, shared by its server and its client.
//!
//! One module per resource. With the feature `openapi` every body has its OpenAPI schema. Members with a closed set of
//! values are strings, so that a client reads values that a newer server adds. Request bodies hold what a caller sent,
//! unchecked; they convert into the drafts of telepath-core, which check them.

pub mod account;
pub mod alerts;
pub mod analytics;
pub mod audit_events;
pub mod calls;
pub mod deliveries;
#[cfg(feature = "openapi")]
pub mod enums;
pub mod erasures;
pub mod error;
pub mod key_presets;
pub mod key_usage;
pub mod keyring;
pub mod keys;
pub mod leaks;
pub mod page;
pub mod quotas;
pub mod requests;
mod secret;
pub mod sip;
pub mod sip_trace;
pub mod text;
pub mod trunks;
pub mod users;
pub mod webhooks;
pub mod whoami;
