//! The endpoint under virtual time: two of them joined by a network that a test controls, and single messages
//! put through the door.

mod door;
mod inside;
mod network;
mod pair;
mod refusals;
mod torture;
