//! What the tests share: a real server process with a folder, a database and logs of its own, a client that speaks to
//! it over TLS, and the list of all secrets that were ever received, which `scripts/test` searches for afterwards.

pub(crate) mod cli;
pub(crate) mod database;
pub(crate) mod http;
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

/// What a test ends with: nothing, or the chain of what went wrong.
pub(crate) type Outcome = anyhow::Result<()>;
