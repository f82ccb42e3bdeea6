//! The API as its callers see it: requests through the whole gate and router, over a real store in a temporary SQLite
//! file and a clock that the test moves; and the doors over loopback with real TLS.

mod admission;
mod authz;
mod calls;
mod catalogues;
mod completeness;
mod doors;
mod house;
mod keys;
mod privacy;
mod strictness;
mod trunks;
mod webhooks;
