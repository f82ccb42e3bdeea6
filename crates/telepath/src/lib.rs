//! The telepath program: command line, configuration, wiring.
