//! The `plimsoll` program: flags to a command; nothing is decided here.

use std::process::ExitCode;

/// Fewer page faults and less memory than the system's allocator under many short-lived buffers.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    plimsoll::cli::main()
}
