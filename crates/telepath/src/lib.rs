//! The telepath program: command line, configuration, wiring.
//!
//! [`cli`] says what can be asked, [`config`] what is in force, [`data_dir`] and [`tls`] prepare what a server needs,
//! and [`wire`] is the one place where storage, API and gateway meet.

pub mod cli;
pub mod config;
pub mod data_dir;
pub(crate) mod deliveries;
pub mod exit;
pub mod mail;
pub mod quickstart;
pub mod signals;
pub mod telemetry;
pub mod tls;
pub mod wire;
pub mod workers;

#[cfg(test)]
mod snapshot;
#[cfg(test)]
mod temporary;
