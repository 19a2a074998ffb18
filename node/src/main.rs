//! The control-plane process: reads settings and secrets, starts a node on the operating system's
//! ports, waits for a signal, and stops it. Everything else is the library's.
#![forbid(unsafe_code)]

mod process;

use clap::Parser;

// What tests make fail or wrong is in no release.
const _: () = assert!(
    cfg!(debug_assertions) || !injection::ENABLED,
    "build the program by its own package: together with the simulation it gets fail points"
);

/// Fragmentation shows in a process that runs for months; jemalloc keeps it low.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() {
    process::leave(match process::run(process::Arguments::parse()) {
        Ok(()) => 0,
        Err(failure) => {
            failure.report();
            failure.exit_code().into()
        }
    })
}
