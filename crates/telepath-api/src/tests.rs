//! The API as its clients see it: requests through the server, admission and router, over a real store in a temporary SQLite
//! file and a clock that the test advances; and the listeners over loopback with real TLS.

mod accounts;
mod admission;
mod alerts;
mod analytics;
mod authz;
mod calls;
mod catalogues;
mod completeness;
mod connections;
mod events;
mod failures;
mod harness;
mod idempotency;
mod isolation;
mod key_details;
mod key_quotas;
mod keyring;
mod keys;
mod leaks;
mod listeners;
mod log;
mod long_responses;
mod open_routes;
mod privacy;
mod proxies;
mod requests;
mod rotation;
mod secrets_in_text;
mod storage_limits;
mod strictness;
mod subscriptions;
mod trunk_access;
mod trunks;
mod usage;
mod webhooks;
