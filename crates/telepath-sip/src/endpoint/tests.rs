//! The endpoint in virtual time: `pair` connects two endpoints by a simulated network, `harness` feeds one endpoint with
//! single messages.

mod client_in_dialog;
mod connections;
mod harness;
mod hostile_dialogs;
mod in_dialog;
mod network;
mod next_hop;
mod pair;
mod reasons;
mod refer;
mod rejections;
mod reliable_provisional;
mod session_timers;
mod torture;
mod unauthenticated;
