//! HTTP in, domain types out: bodies, query strings, path parameters and pages.

pub(crate) mod json;
pub(crate) mod path;
pub(crate) mod query;
pub(crate) mod range;
