//! The identity of a client transaction.

use super::method_class::ClientMethod;

/// Matches a response to its request (RFC 3261 section 17.1.3). CANCEL has the branch of its INVITE, hence the method.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct ClientKey {
    pub(super) branch: String,
    pub(super) method: ClientMethod,
}
