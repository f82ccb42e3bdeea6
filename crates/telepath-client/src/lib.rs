//! The Rust client of the Telepath API.
