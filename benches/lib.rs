//! Benchmarks; see the binaries and the criterion benches beside this file.
