//! The `telepath` program.

use std::process::ExitCode;

use tikv_jemallocator::Jemalloc;

/// Its background threads return the memory of a flood to the system within seconds; the allocator of the C library keeps it.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

fn main() -> ExitCode {
    telepath::cli::run(std::env::args_os())
}
