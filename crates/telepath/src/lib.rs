//! The telepath program: command line, configuration, wiring.
//!
//! [`cli`] defines the commands and [`config`] the settings; [`data_dir`] and [`tls`] prepare what a server needs.
//! [`wire`] is the only place that connects storage, API and gateway.

mod build_info;
pub mod cli;
pub mod config;
pub mod data_dir;
pub(crate) mod deliveries;
mod descriptors;
pub mod exit;
pub mod mail;
mod oidc;
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
