//! Storage: the only crate that names the SQL library.
