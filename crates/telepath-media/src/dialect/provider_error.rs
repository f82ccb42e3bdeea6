//! Errors that a provider reports on an open socket.

use std::fmt;

/// Maximum length of a provider's error code in characters; the rest is cut off.
const CODE_LIMIT: usize = 64;
/// Maximum length of a provider's error message in characters; the rest is cut off.
const MESSAGE_LIMIT: usize = 300;

/// An error that a provider reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderError {
    /// The provider's code, such as `session_expired`.
    pub code: String,
    /// The provider's explanation.
    pub message: String,
    /// Whether the conversation cannot continue.
    pub is_fatal: bool,
}

impl ProviderError {
    /// Creates an error; over-long texts are cut off, and control characters removed.
    pub fn new(code: &str, message: &str, is_fatal: bool) -> Self {
        Self { code: clean(code, CODE_LIMIT), message: clean(message, MESSAGE_LIMIT), is_fatal }
    }
}

impl fmt::Display for ProviderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.code.is_empty(), self.message.is_empty()) {
            (true, true) => f.write_str("an error without code or message"),
            (true, false) => f.write_str(&self.message),
            (false, true) => f.write_str(&self.code),
            (false, false) => write!(f, "{}: {}", self.code, self.message),
        }
    }
}

fn clean(text: &str, limit: usize) -> String {
    text.chars().filter(|c| !c.is_control()).take(limit).collect()
}
