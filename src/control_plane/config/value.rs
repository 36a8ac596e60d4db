//! The single values a configuration is made of: quantities, addresses, names, parts of HTTP messages.
//!
//! Each kind has one constructor from text, so that whoever holds a value need not check it again; the decoder
//! of a section adds the place in the file to what a constructor refuses.

pub mod address;
pub mod http;
pub mod quantity;
pub mod text;

#[cfg(test)]
mod tests;

/// Why a text is not a value of the wanted kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Invalid {
    /// What is wrong, naming the text that was found.
    pub message: String,
    /// What to write instead. None when the message says all there is to say.
    pub hint: Option<String>,
}

impl Invalid {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: None }
    }

    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}
