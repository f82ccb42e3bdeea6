//! The one door through which the server reaches out: webhooks and agents' sockets. Who may write a URL must not be able
//! to make the server speak to its own network, so a name is resolved once, every address is judged, the judged address
//! is dialled, and the peer is compared with it.
//!
//! What is judged is pure ([`address`], [`AllowList`]); [`Egress`] does the rest.

pub mod address;
mod allow;
mod dial;
mod resolve;
mod trust;

pub use address::Forbidden;
pub use allow::{AllowList, InvalidAllowance};
pub use dial::{Egress, EgressError, Security};
pub use resolve::{Resolve, ResolveFuture};
