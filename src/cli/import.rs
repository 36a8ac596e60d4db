//! `plimsoll import`: turn a configuration of HAProxy or nginx into one of plimsoll.

use std::fs;
use std::io::{self, Read as _, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use plimsoll_import::{Import, Kind};

/// The most bytes that are read. The largest configurations in use are far below it.
const SIZE_MAX: u64 = 64 * 1024 * 1024;

/// Flags of `plimsoll import`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  plimsoll import haproxy /etc/haproxy/haproxy.cfg --output plimsoll.yaml\n  \
                        plimsoll import nginx nginx.conf >plimsoll.yaml\n  \
                        plimsoll check -c plimsoll.yaml"
)]
pub(super) struct Arguments {
    /// The program whose configuration it is.
    #[arg(value_name = "PROGRAM")]
    program: Program,
    /// The file, or - for standard input.
    file: PathBuf,
    /// Where the configuration goes, instead of standard output. What became of each directive goes to standard error.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// A program whose configurations are understood.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Program {
    /// HAProxy.
    Haproxy,
    /// nginx, and OpenResty with lua-resty-upstream-healthcheck.
    Nginx,
}

/// Imports a file. Exits with 0 when there is a configuration, else with 1 and the errors among the notes.
pub(super) fn run(arguments: &Arguments) -> ExitCode {
    let (mut out, mut notes) = (io::stdout().lock(), io::stderr().lock());
    let imported = import(arguments, &mut out, &mut notes);
    // Nobody is left to tell when an output is closed.
    if imported.unwrap_or(false) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn import(arguments: &Arguments, out: &mut impl Write, notes: &mut impl Write) -> io::Result<bool> {
    let file = arguments.file.display().to_string();
    let text = match read(&arguments.file) {
        Ok(text) => text,
        Err(error) => {
            writeln!(notes, "{file}: error: cannot read the file: {error}")?;
            return Ok(false);
        }
    };
    let import = match arguments.program {
        Program::Haproxy => plimsoll_import::haproxy(&file, &text),
        Program::Nginx => plimsoll_import::nginx(&file, &text),
    };
    for note in &import.notes {
        writeln!(notes, "{file}:{note}")?;
    }
    writeln!(notes, "{file}: {}", tally(&import))?;
    let Some(yaml) = import.yaml else { return Ok(false) };
    match &arguments.output {
        None => out.write_all(yaml.as_bytes())?,
        Some(path) => {
            if let Err(error) = fs::write(path, yaml) {
                writeln!(notes, "{}: error: cannot write the file: {error}", path.display())?;
                return Ok(false);
            }
        }
    }
    Ok(true)
}

/// The text of the file. What is not UTF-8, as in a comment of former times, is replaced.
fn read(path: &Path) -> io::Result<String> {
    let mut bytes = Vec::new();
    if path.as_os_str() == "-" {
        io::stdin().lock().take(SIZE_MAX + 1).read_to_end(&mut bytes)?;
    } else {
        fs::File::open(path)?.take(SIZE_MAX + 1).read_to_end(&mut bytes)?;
    }
    if bytes.len() as u64 > SIZE_MAX {
        return Err(io::Error::other("it is larger than 64 MiB"));
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// How many notes there are of each kind.
fn tally(import: &Import) -> String {
    let kinds = [Kind::Mapped, Kind::NotNeeded, Kind::NotSupported, Kind::Unknown, Kind::Error];
    let count = |kind: &Kind| import.notes.iter().filter(|note| note.kind == *kind).count();
    let counts: Vec<String> = kinds.iter().map(|kind| format!("{} {kind}", count(kind))).collect();
    counts.join(", ")
}

#[cfg(test)]
mod tests;
