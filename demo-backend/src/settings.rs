//! What one demo backend is called and how it behaves.

use std::fmt;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::str::FromStr;
use std::thread::available_parallelism;
use std::time::Duration;

/// Everything [`serve`](crate::serve) needs to know.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Sent with every answer in the header `x-server`.
    pub name: ServerName,
    /// Shown in the greeting: `Server 1`.
    pub number: u32,
    /// How long `/api/data` waits before it answers.
    pub data_delay: Duration,
    /// How many requests for `/work/{ms}` burn CPU at the same time; the others wait in order.
    pub workers: NonZeroUsize,
    /// The file of the key-value service; without one there is none. `/` then describes that service instead of greeting.
    pub storage: Option<PathBuf>,
    /// How long exchanges that are under way may take after the server was asked to end.
    pub drain: Duration,
}

impl Settings {
    /// Makes settings with the defaults: the number that the name ends with (or 1), 200 ms of delay for `/api/data`,
    /// as many workers as there are CPUs, no key-value service, 5 s of drain.
    pub fn new(name: ServerName) -> Self {
        Self {
            number: name.number().unwrap_or(1),
            name,
            data_delay: Duration::from_millis(200),
            workers: available_parallelism().unwrap_or(NonZeroUsize::MIN),
            storage: None,
            drain: Duration::from_secs(5),
        }
    }
}

/// The name of a server, such as `backend-1`: 1 to 63 letters, digits, `-`, `_` or `.`.
///
/// It is a type of its own because it goes into a header and a metric label, where not every text is welcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerName(String);

impl ServerName {
    /// Returns the name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the number at the end of the name, `None` when it ends with something else.
    fn number(&self) -> Option<u32> {
        let digits_start = self.0.trim_end_matches(|c: char| c.is_ascii_digit()).len();
        self.0[digits_start..].parse().ok()
    }
}

impl fmt::Display for ServerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for ServerName {
    type Err = ServerNameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let known = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
        if (1..=63).contains(&text.len()) && text.bytes().all(known) {
            Ok(Self(text.to_owned()))
        } else {
            Err(ServerNameError(text.to_owned()))
        }
    }
}

/// Why a text cannot name a server.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` cannot name a server; use 1 to 63 letters, digits, `-`, `_` or `.`, for example `backend-1`")]
pub struct ServerNameError(String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_is_taken_from_the_end_of_the_name() {
        let number = |name: &str| Settings::new(name.parse().unwrap()).number;
        assert_eq!(number("backend-12"), 12);
        assert_eq!(number("7"), 7);
        assert_eq!(number("backend"), 1);
        assert_eq!(number("v2-blue"), 1);
        assert_eq!(number("backend-99999999999"), 1, "a number too large to show is no number");
    }

    #[test]
    fn a_name_that_no_header_could_carry_is_refused() {
        let too_long = "a".repeat(64);
        for name in ["", "back end", "a\r\nb", "näh", too_long.as_str()] {
            assert!(name.parse::<ServerName>().is_err(), "{name:?}");
        }
    }
}
