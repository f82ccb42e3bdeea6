//! The greeting of a model that speaks when it is asked to.

/// Asks the model to say the greeting, word for word.
pub(super) fn greeting_instruction(greeting: &str) -> String {
    format!(
        "The call has just been answered. Greet the caller with these words, and say nothing else:\n{greeting}"
    )
}
