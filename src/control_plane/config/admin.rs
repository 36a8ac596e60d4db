//! The admin server and the end of the process's life.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use super::read::{duration, integer, size, text};
use super::section::Section;
use super::tree::Content;
use super::value::address::listen_address;
use super::value::{Invalid, quantity};

/// The admin server: `/metrics`, `/live`, `/ready`, `/check`, the API and the receiver of pushed metrics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdminConfig {
    /// Where it listens. On loopback by default, since it can change what runs. Never a listener's address.
    pub address: SocketAddr,
    /// Who shows it may change what runs, from anywhere. None takes changes from this host alone.
    pub token: Option<Token>,
    /// What may be pushed to it. None takes nothing.
    pub push: Option<PushConfig>,
}

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
            token: section.optional("token", text(token)).flatten(),
            push: PushConfig::decode(section),
        }
    }
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
