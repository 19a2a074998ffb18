//! The data-plane process: reads settings and the certificate, starts an edge on the operating
//! system's ports, waits for a signal, and stops it. Everything else is the library's.
#![forbid(unsafe_code)]

mod process;

use std::process::ExitCode;

use clap::Parser;

// What tests make fail or wrong is in no release.
const _: () = assert!(
    cfg!(debug_assertions) || !injection::ENABLED,
    "build the program by its own package: together with the simulation it gets fail points"
);

/// Fragmentation shows in a process that runs for months; jemalloc keeps it low.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let arguments = match process::Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(told) => return process::explain(&told),
    };
    match process::run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.report();
            ExitCode::from(failure.exit_code())
        }
    }
}
