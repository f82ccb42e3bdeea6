//! Authentication, authorization and admission: from the first header to an admitted [`caller::Caller`]. The steps run in
//! the order of their cost and of what they reveal. Authentication comes before routing, so a client without a key learns
//! nothing about which paths exist.

pub(crate) mod access_log;
pub(crate) mod admission;
pub(crate) mod authorization;
pub(crate) mod caller;
pub(crate) mod credentials;
