//! The endpoint in virtual time: `pair` connects two endpoints by a simulated network, `harness` feeds one endpoint with
//! single messages.

mod connections;
mod harness;
mod hostile_dialogs;
mod in_dialog;
mod network;
mod next_hop;
mod pair;
mod reasons;
mod rejections;
mod torture;
mod unauthenticated;
