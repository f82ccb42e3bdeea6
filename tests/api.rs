//! The server as a process: limits under load, durability after kill -9, shutdown, hostile input, configuration, the
//! command line, and the examples in the documentation.

mod alerts;
mod alerts_command;
mod audit_command;
mod compromise_command;
mod configuration;
mod crash;
mod crash_usage;
mod early_responses;
mod examples;
pub(crate) mod hostile;
mod keyring_command;
mod keys_command;
mod limits;
mod memory;
mod remote_command;
mod requests_command;
mod revocation;
mod shutdown;
mod usage_command;
mod users_command;
