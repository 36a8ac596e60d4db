//! The command line of `storage`.

use std::io::{self, Write};
use std::path::PathBuf;

use crate::{Error, Store};

/// Keeps several values per key in one file
///
/// With a value, adds it behind those that the key has. Without one, prints all of them in the order in which they were
/// added, joined by a comma and a space; nothing for a key that is not there.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "\
The file is JSON, {\"key\": [\"value\", ...]}. Any number of commands may use it at the same time.
Exit status: 0, or 1 when the file cannot be used, which standard error explains.

Examples:
  storage --key color --val red
  storage --key color --val green
  storage --key color                     # red, green")]
pub struct Args {
    /// The key, at most 1024 bytes
    #[arg(long, allow_hyphen_values = true)]
    key: String,

    /// The value to add, at most 65536 bytes
    #[arg(long, allow_hyphen_values = true)]
    val: Option<String>,

    /// The file [default: storage.data in the folder for temporary files]
    #[arg(long, env = "STORAGE_FILE", value_name = "PATH")]
    file: Option<PathBuf>,
}

/// Stores a value, or writes the values of a key to `out`.
///
/// # Errors
/// When the file cannot be used, or `out` no longer takes anything.
pub fn run(args: &Args, out: &mut impl Write) -> Result<(), Error> {
    let store = Store::at(args.file.clone().unwrap_or_else(Store::default_path));
    let Some(value) = &args.val else {
        let values = store.values(&args.key)?;
        return print(&values, out).map_err(|source| Error::System {
            doing: "write to",
            path: "standard output".into(),
            source,
        });
    };
    store.add(&args.key, value).map(drop)
}

fn print(values: &[String], out: &mut impl Write) -> io::Result<()> {
    if values.is_empty() {
        return Ok(());
    }
    writeln!(out, "{}", values.join(", "))?;
    out.flush()
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{CommandFactory as _, Parser};

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        args: Args,
    }

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_help_tells_the_bounds_that_hold() {
        let help = Cli::command().render_long_help().to_string();
        for bound in [crate::KEY_MAX, crate::VALUE_MAX] {
            assert!(help.contains(&format!("at most {bound} bytes")), "{help}");
        }
    }
}
