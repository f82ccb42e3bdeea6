//! A state as a word with an icon, so that colour alone says nothing.

use crate::icon::Icon;

/// A state as a word with an icon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Chip {
    /// `chip-ok`, `chip-info`, `chip-warn`, `chip-bad`, `chip-accent`, or nothing.
    pub(crate) class: &'static str,
    pub(crate) icon: Icon,
    pub(crate) word: &'static str,
}

impl Chip {
    pub(crate) const fn new(class: &'static str, icon: Icon, word: &'static str) -> Self {
        Self { class, icon, word }
    }
}
