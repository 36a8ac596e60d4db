//! The admin server and the end of the process's life.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::read::{duration, integer, size, string, text};
use super::section::Section;
use super::tree::Content;
use super::value::address::listen_address;
use super::value::{Invalid, quantity};

/// The admin server: `/metrics`, `/live`, `/ready`, `/check`, the API and the receiver of pushed metrics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdminConfig {
    /// Where it listens. On loopback by default, since it can change what runs. Never a listener's address.
    pub address: SocketAddr,
    /// A Unix socket on which it listens as well. None has none.
    pub socket: Option<SocketConfig>,
    /// Who shows it may change what runs, from anywhere. None takes changes from this host alone.
    pub token: Option<Token>,
    /// What may be pushed to it. None takes nothing.
    pub push: Option<PushConfig>,
    /// The file that keeps what operators change at run time for the next start. None keeps nothing.
    pub changes: Option<PathBuf>,
}

/// A Unix socket of the admin server. Who may open it may change what runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SocketConfig {
    /// Where its file is made. A socket that nobody serves any more is taken over.
    pub path: PathBuf,
    /// The file's permissions, at most 0777.
    pub mode: u32,
}

/// The longest path of a socket, in bytes: Linux takes 107, and a part of them is needed while it is made.
const SOCKET_PATH_MAX: usize = 95;

/// What may be pushed to the admin server, as to a Pushgateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PushConfig {
    /// How long pushed metrics are kept that nobody renews.
    pub expiry: Duration,
    /// The most groups at a time: a group is what one agent pushes.
    pub groups: usize,
    /// The largest push, in bytes. All groups together hold 64 times as much.
    pub body: u64,
}

/// A secret: nothing shows it.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(Box<str>);

/// A token that is shorter can be guessed.
const TOKEN_MIN: usize = 16;

impl Token {
    /// Reads a token of at least 16 visible ASCII characters, which are what a header field may hold.
    ///
    /// # Errors
    /// When the text is no such token. The message does not repeat it.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let hint =
            "make one by `openssl rand -hex 32`, and keep it out of the file: `token: ${PLIMSOLL_TOKEN}`";
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Invalid::new("the token has spaces, or characters that are not ASCII").hint(hint));
        }
        if text.len() < TOKEN_MIN {
            let length = text.len();
            let message = format!("the token has {length} characters, at least {TOKEN_MIN} are needed");
            return Err(Invalid::new(message).hint(hint));
        }
        Ok(Self(text.into()))
    }

    /// Tells whether `given` is the token. Takes the same time wherever they differ, so that nobody can find it piece by
    /// piece.
    #[must_use]
    pub fn is(&self, given: &[u8]) -> bool {
        let own = self.0.as_bytes();
        let differ = own.iter().zip(given).fold(0, |differ, (one, other)| differ | (one ^ other));
        own.len() == given.len() && std::hint::black_box(differ) == 0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// How the process ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DrainConfig {
    /// How long new connections are still taken after SIGTERM, so that whoever sends them here can learn of the end.
    pub delay: Duration,
    /// How long exchanges in flight may take after SIGTERM before they are cut.
    pub timeout: Duration,
}

impl AdminConfig {
    pub(super) fn decode(section: &Section<'_>) -> Self {
        // An empty one is that of an environment variable that is not set: `${PLIMSOLL_TOKEN:-}`.
        let token = |text: &str| if text.is_empty() { Ok(None) } else { Token::parse(text).map(Some) };
        Self {
            address: section.value("address", text(listen_address)),
            socket: SocketConfig::decode(section),
            token: section.optional("token", text(token)).flatten(),
            push: PushConfig::decode(section),
            changes: section.optional("changes", string).filter(|path| !path.is_empty()).map(PathBuf::from),
        }
    }
}

impl SocketConfig {
    /// Decodes the key `socket`: a path, or a section. An empty path is that of a variable that is not set.
    fn decode(admin: &Section<'_>) -> Option<Self> {
        let given = admin.given("socket")?;
        let (path, section) = match given.content {
            Content::Scalar(_) => (text(socket_path)(given, admin.problems)?, admin.absent("socket")),
            _ => {
                let section = admin.section("socket");
                if !section.has("path") {
                    section.missing("`path` is missing", "add it, for example `path: /run/plimsoll.sock`");
                }
                (section.optional("path", text(socket_path))?, section)
            }
        };
        let mode = section.value("mode", text(mode));
        path.map(|path| Self { path, mode })
    }
}

fn socket_path(text: &str) -> Result<Option<PathBuf>, Invalid> {
    if text.len() > SOCKET_PATH_MAX {
        let message = format!("a path of {} bytes is too long for a socket", text.len());
        return Err(
            Invalid::new(message).hint(format!("{SOCKET_PATH_MAX} are possible, choose a shorter one"))
        );
    }
    Ok((!text.is_empty()).then(|| PathBuf::from(text)))
}

/// Reads permissions as chmod(1) writes them, in octal digits.
fn mode(text: &str) -> Result<u32, Invalid> {
    let digits = text.strip_prefix("0o").unwrap_or(text);
    u32::from_str_radix(digits, 8).ok().filter(|mode| *mode <= 0o777 && !digits.starts_with('+')).ok_or_else(
        || {
            Invalid::new(format!("`{}` are no permissions", text.escape_debug()))
                .hint("write three octal digits: `0600` for the owner alone, `0660` for its group as well")
        },
    )
}

impl PushConfig {
    /// Decodes the key `push`: `off`, or a section.
    fn decode(admin: &Section<'_>) -> Option<Self> {
        let section = match admin.given("push").map(|node| (&node.content, node.place)) {
            Some((Content::Scalar(word), _)) if word == "off" || word == "false" => return None,
            Some((Content::Scalar(word), place)) => {
                let invalid = Invalid::new(format!("`{}` says nothing about pushes", word.escape_debug()))
                    .hint("write `off`, or a mapping such as `{expiry: 1m}`; they are taken by default");
                admin.problems.invalid(place, invalid);
                admin.absent("push")
            }
            _ => admin.section("push"),
        };
        Some(Self {
            expiry: section.value("expiry", duration),
            groups: section.value("groups", integer(1..=1_000_000)),
            body: section.value("body", size(1 << 10..=64 << 20)),
        })
    }
}

impl DrainConfig {
    pub(super) fn decode(section: &Section<'_>) -> Self {
        Self {
            delay: section.value("delay", text(quantity::duration)),
            timeout: section.value("timeout", duration),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(admin: &str) -> Result<AdminConfig, String> {
        let yaml = format!(
            "listeners: {{web: {{address: '127.0.0.1:0'}}}}\nupstreams: {{app: {{backends: ['127.0.0.1:1']}}}}\n\
             admin: {{{admin}}}\n"
        );
        let parsed = crate::control_plane::config::parse("test.yaml", &yaml, &|_| None);
        parsed.map(|(config, _)| config.admin).map_err(|report| report.to_string())
    }

    #[test]
    fn a_socket_is_a_path_or_a_mapping_and_by_default_for_its_owner_alone() {
        let socket = |admin: &str| decoded(admin).unwrap_or_else(|report| panic!("{report}")).socket;
        let at = |mode| Some(SocketConfig { path: "/run/p.sock".into(), mode });
        assert_eq!(socket(""), None);
        assert_eq!(socket("socket: ''"), None, "a variable that is not set");
        assert_eq!(socket("socket: {path: '', mode: '0660'}"), None);
        assert_eq!(socket("socket: /run/p.sock"), at(0o600));
        assert_eq!(socket("socket: {path: /run/p.sock}"), at(0o600));
        assert_eq!(socket("socket: {path: /run/p.sock, mode: 0660}"), at(0o660));
        assert_eq!(socket("socket: {path: /run/p.sock, mode: '777'}"), at(0o777));
    }

    #[test]
    fn what_is_no_socket_or_no_permissions_is_told_so() {
        let long = format!("socket: /{}", "x".repeat(SOCKET_PATH_MAX));
        for (admin, said) in [
            ("socket: {mode: 0600}", "`path` is missing"),
            ("socket: {path: /a, mode: 0o1777}", "are no permissions"),
            ("socket: {path: /a, mode: 0690}", "are no permissions"),
            ("socket: {path: /a, mode: rw}", "are no permissions"),
            ("socket: [/a]", "a list"),
            (&*long, "is too long for a socket"),
        ] {
            let report = decoded(admin).expect_err(admin);
            assert!(report.contains(said), "{said} in {report}");
        }
    }

    #[test]
    fn changes_are_kept_only_where_a_file_is_named() {
        let changes = |admin: &str| decoded(admin).expect("it is valid").changes;
        assert_eq!(changes(""), None);
        assert_eq!(changes("changes: ''"), None, "a variable that is not set");
        assert_eq!(changes("changes: /var/lib/p.json"), Some("/var/lib/p.json".into()));
    }

    #[test]
    fn a_token_is_itself_and_nothing_else() {
        let token = Token::parse("correct-horse-battery").expect("a token");
        assert!(token.is(b"correct-horse-battery"));
        for other in ["", "correct-horse-batter", "correct-horse-battery1", "Correct-horse-battery"] {
            assert!(!token.is(other.as_bytes()), "{other}");
        }
        assert_eq!(format!("{token:?}"), "Token(…)", "no log shows it");
    }

    #[test]
    fn what_can_be_guessed_or_not_be_sent_is_no_token_and_is_not_repeated() {
        for (text, said) in
            [("secret", "6 characters"), ("fifteen-letters", "15 characters"), ("sixteen letters ", "spaces")]
        {
            let invalid = Token::parse(text).expect_err(text);
            assert!(invalid.message.contains(said), "{}", invalid.message);
            assert!(!invalid.message.contains(text), "{}", invalid.message);
        }
    }
}
