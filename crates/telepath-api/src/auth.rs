//! The auth pipeline: from the first header to an admitted [`caller::Caller`], in the order in which things are cheap and
//! reveal nothing. Authentication comes before routing, so an unknown path tells a stranger as little as a known one.

pub(crate) mod caller;
pub(crate) mod credentials;
pub(crate) mod gate;
pub(crate) mod proxy;
pub(crate) mod run;
mod tally;
