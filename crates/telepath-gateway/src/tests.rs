//! The gateway over real loopback sockets, against a control plane and agents that the tests hold in hand.

mod admission;
mod agents;
mod calls;
mod endings;
mod sessions;
mod world;
