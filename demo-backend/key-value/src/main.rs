//! The command `storage`.

use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::Parser;

// A doc comment here would hide the description that the arguments bring.
#[derive(Parser)]
#[command(name = "storage", version)]
struct Cli {
    #[command(flatten)]
    args: key_value::Args,
}

fn main() -> ExitCode {
    match key_value::run(&Cli::parse().args, &mut io::stdout().lock()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody is left to tell when standard error is closed.
            let _ = writeln!(io::stderr().lock(), "storage: {error}");
            ExitCode::FAILURE
        }
    }
}
