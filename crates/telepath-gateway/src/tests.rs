//! Tests of the gateway over loopback sockets, with an in-memory control plane and scripted agents.

mod admission;
mod agent;
mod call_end;
mod caller_actions;
mod calls;
mod dual_stack;
mod find_trunk;
pub(crate) mod fixture;
mod media_target;
mod renegotiation;
mod return_path;
mod sip_connections;
mod sip_records;
mod text_encoding;
mod transfer;
