//! The resources of the API. Each file contains the handlers and routes of one resource and is named after it.

pub(crate) mod account;
pub(crate) mod accounts;
pub(crate) mod alerts;
pub(crate) mod analytics;
pub(crate) mod audit_events;
pub(crate) mod calls;
pub(crate) mod deliveries;
pub(crate) mod health;
pub(crate) mod invitations;
pub(crate) mod key_presets;
pub(crate) mod keyring;
pub(crate) mod keys;
pub(crate) mod leaks;
pub(crate) mod metrics;
pub(crate) mod requests;
pub(crate) mod sip;
pub(crate) mod stream;
pub(crate) mod trunks;
pub(crate) mod users;
pub(crate) mod webhooks;
pub(crate) mod whoami;
