//! Where windows are counted. One node counts in its own memory.

pub(crate) mod memory;
