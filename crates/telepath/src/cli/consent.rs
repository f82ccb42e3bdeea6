//! Confirmation before irreversible steps. Prompts go to standard error; without a terminal, `--yes` is required.

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};

use crate::exit::{Exit, Failure};

/// The maximum length of an answer, in bytes.
const LONGEST_ANSWER: u64 = 64;

/// The answer to a prompt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Do it.
    Yes,
    /// Skip this step.
    No,
    /// Skip this step and all that follow.
    Stop,
}

/// How confirmation is obtained.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Consent {
    /// Given by `--yes`.
    Given,
    /// Prompt on the terminal.
    Asked,
}

impl Consent {
    /// Fails if confirmation is required and there is no terminal.
    pub(crate) fn of(yes: bool) -> Result<Self, Failure> {
        Self::decide(yes, io::stdin().is_terminal())
    }

    fn decide(yes: bool, at_a_terminal: bool) -> Result<Self, Failure> {
        match (yes, at_a_terminal) {
            (true, _) => Ok(Consent::Given),
            (false, true) => Ok(Consent::Asked),
            (false, false) => Err(Failure::new(Exit::Usage, "stdin is not a terminal")
                .remedy("Pass --yes to skip the confirmation.")),
        }
    }

    /// Prompts, unless `--yes` was given.
    pub(crate) async fn ask(self, question: &str) -> Result<Answer, Failure> {
        if self == Consent::Given {
            return Ok(Answer::Yes);
        }
        let prompt = format!("{question} [y = yes, n = skip, q = stop] ");
        let asked = tokio::task::spawn_blocking(move || ask(&prompt)).await;
        asked.map_err(|error| Failure::doing("could not prompt", &error))?
    }
}

fn ask(prompt: &str) -> Result<Answer, Failure> {
    loop {
        // There is nowhere left to report a broken standard error.
        let _ = write!(io::stderr().lock(), "{prompt}");
        let mut line = String::new();
        let read = io::Read::take(io::stdin().lock(), LONGEST_ANSWER)
            .read_line(&mut line)
            .map_err(|error| Failure::doing("could not read the answer", &error))?;
        if let Some(answer) = understand(&line, read == 0) {
            return Ok(answer);
        }
    }
}

/// An empty line is not an answer, and the end of input stops, so that nothing happens by accident.
fn understand(line: &str, at_end: bool) -> Option<Answer> {
    match line.trim().to_ascii_lowercase().as_str() {
        "y" | "yes" => Some(Answer::Yes),
        "n" | "no" => Some(Answer::No),
        "q" | "quit" | "stop" => Some(Answer::Stop),
        _ => at_end.then_some(Answer::Stop),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_terminal_yes_is_required() {
        assert_eq!(Consent::decide(true, false), Ok(Consent::Given));
        assert_eq!(Consent::decide(false, true), Ok(Consent::Asked));
        let refused = Consent::decide(false, false).unwrap_err();
        assert_eq!(refused.exit, Exit::Usage);
        assert!(refused.to_string().contains("--yes"), "{refused}");
    }

    #[test]
    fn unclear_answers_are_asked_again() {
        assert_eq!(understand(" Yes\n", false), Some(Answer::Yes));
        assert_eq!(understand("n\n", false), Some(Answer::No));
        assert_eq!(understand("q\n", false), Some(Answer::Stop));
        for unclear in ["\n", "yep\n", "yn\n"] {
            assert_eq!(understand(unclear, false), None, "{unclear}");
        }
        assert_eq!(understand("", true), Some(Answer::Stop));
    }
}
