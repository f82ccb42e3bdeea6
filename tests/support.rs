//! Test support: a real server process with its own folder, database and logs, an HTTPS client, and the list of all received
//! secrets, which `scripts/test` searches for at the end.

pub(crate) mod cli;
pub(crate) mod database;
pub(crate) mod http;
pub(crate) mod installed;
pub(crate) mod output;
pub(crate) mod proxy;
pub(crate) mod remote;
pub(crate) mod server;
pub(crate) mod sink;
pub(crate) mod waiting;

pub(crate) use cli::{CreatedKey, Finished};
pub(crate) use http::Client;
pub(crate) use remote::Remote;
pub(crate) use server::{Home, Server};

/// The result of a test.
pub(crate) type Outcome = anyhow::Result<()>;
