//! The domain, pure: ids, secrets, errors, events, keys, limits, trunks, calls.
