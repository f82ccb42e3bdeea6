//! What the model has said, in writing, so that a new session can continue the conversation.

use std::collections::VecDeque;

/// Maximum length of all texts, in bytes; the oldest ones are forgotten.
const HISTORY_LIMIT: usize = 16 * 1024;

#[derive(Debug, Default)]
pub(super) struct History {
    texts: VecDeque<String>,
    length: usize,
}

impl History {
    /// The model has said something. A text that is too long for the history is not kept.
    pub(super) fn push(&mut self, text: &str) {
        if text.is_empty() || text.len() > HISTORY_LIMIT {
            return;
        }
        self.length += text.len();
        self.texts.push_back(text.to_owned());
        while self.length > HISTORY_LIMIT {
            self.length -= self.texts.pop_front().map_or(self.length, |oldest| oldest.len());
        }
    }

    /// What was said, oldest first.
    pub(super) fn texts(&self) -> impl Iterator<Item = &str> {
        self.texts.iter().map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_texts_are_kept_within_the_limit() {
        let mut history = History::default();
        for n in 0..100 {
            history.push(&format!("{n:01000}"));
        }
        history.push(&"x".repeat(HISTORY_LIMIT + 1));
        let texts: Vec<&str> = history.texts().collect();
        assert_eq!(
            (texts.len(), texts[0], texts[15]),
            (16, &*format!("{:01000}", 84), &*format!("{:01000}", 99))
        );
    }
}
