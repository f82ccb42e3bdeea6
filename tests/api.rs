//! The server as a process: its limits under load, its promises when it is killed, stopped, attacked or wrongly
//! configured, and the clients that the documentation shows.

mod alerts;
mod alerts_command;
mod audit_command;
mod compromise_command;
mod configuration;
mod crash;
mod crash_usage;
mod examples;
pub(crate) mod hostile;
mod keys_command;
mod limits;
mod remote_command;
mod requests_command;
mod revocation;
mod shutdown;
mod usage_command;
