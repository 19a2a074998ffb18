//! The control-plane process: reads settings and secrets, starts a node on the operating system's
//! ports, waits for a signal, and stops it. Everything else is the library's.
#![forbid(unsafe_code)]

mod process;

use clap::Parser;

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
