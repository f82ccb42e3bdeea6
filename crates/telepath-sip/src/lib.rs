//! SIP signalling without I/O: messages, transactions, dialogs, digest (RFC 3261 and its companions).
//!
//! Nothing in this crate opens a socket, reads a clock or draws a random number: datagrams, the time and a seed
//! are arguments, and what is to be sent, reported or waited for is polled out of an [`Endpoint`]. So every
//! timer and every loss on the way can be played in a test in no time at all.

#![warn(missing_docs)]

pub mod digest;
mod endpoint;
pub mod message;
mod redact;

pub use endpoint::{
    CallHandle, DialogEnd, Endpoint, EndpointConfig, EndpointCounts, EndpointFull, EndpointLimits,
    EndpointSeed, Event, IncomingCall, Info, OutgoingCall, ProductName, ReInviteMethod, RejectReason,
    RetryAfter, Timing, TraceDirection, TraceRecord, Transmit, WrongCallState,
};
pub use redact::redact;
