//! The `telepath` program.

use std::process::ExitCode;

fn main() -> ExitCode {
    telepath::cli::run(std::env::args_os())
}
