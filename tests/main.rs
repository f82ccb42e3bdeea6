//! The integration tests: everything that can only be seen on the real program, in one binary so that it is linked
//! once. `tidy` reads the repository, `contract` and `api` drive the JSON API of a real server, `browser` uses the
//! dashboard, `calls` places real telephone calls, `agents` has them answered by mocks of providers, `cluster` breaks the links between three servers and what they
//! share, `webhooks` kills servers and counts what arrives, `upgrade` serves data of older versions, and `privacy` looks for secrets where none may be.
//!
//! `scripts/test` runs it twice, on SQLite and on PostgreSQL; see `support::database`.
#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking, and so do the functions that tests share"
)]

mod agents;
mod api;
mod browser;
mod calls;
mod cluster;
mod contract;
mod privacy;
mod support;
mod tidy;
mod upgrade;
mod webhooks;
