//! Outbound connections of the server, to webhook receivers and agents. A user who can write a URL must not be able
//! to reach the server's own network. So a name is resolved once, every address is checked, a checked address is
//! dialed, and the peer's address is compared with it.
//!
//! The checks are pure ([`address`], [`AllowList`]); [`Egress`] does the I/O.

pub mod address;
mod allow;
mod dial;
mod error;
mod happy_eyeballs;
mod host;
mod resolve;
mod trust;

pub use address::{Forbidden, check_public};
pub use allow::{AllowList, InvalidAllowance};
pub use dial::{Egress, Security};
pub use error::EgressError;
pub use resolve::{Resolve, ResolveFuture};
pub use trust::{Authorities, InvalidAuthorities};
