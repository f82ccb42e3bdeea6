//! SIP without I/O (RFC 3261): messages, transactions, dialogs and digest authentication.
//!
//! This crate opens no socket, reads no clock and generates no random numbers. Messages, the time and a seed are
//! arguments, and the caller polls an [`Endpoint`] for messages, events and timers. So tests simulate any timer and any
//! packet loss without waiting.

#![warn(missing_docs)]

pub mod digest;
mod endpoint;
pub mod message;
mod redact;

pub use endpoint::{
    AdvertisedAddress, AdvertisedAddresses, CallHandle, DialogEnd, DialogRequest, DtmfSignal, Endpoint,
    EndpointConfig, EndpointCounts, EndpointFull, EndpointLimits, EndpointSeed, Event, Flow, FlowId,
    IncomingCall, InviteRejection, InviteScreen, InviteScreening, MalformedInvite, NextHop, OutgoingCall,
    ProductName, ReInviteMethod, ReceivedInvite, ReferProgress, ReferRequest, RejectReason, RequestError,
    RetryAfter, SessionIntervals, Timing, TraceDirection, TraceRecord, Transmit, WrongCallState,
};
pub use redact::redact;
