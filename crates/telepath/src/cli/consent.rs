//! Asking before something is done that cannot be taken back. Questions go to standard error; whoever cannot be asked has
//! to say `--yes` beforehand.

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};

use crate::exit::{Exit, Failure};

/// The longest answer that is read, in bytes.
const LONGEST_ANSWER: u64 = 64;

/// What was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Do it.
    Yes,
    /// Leave it out.
    No,
    /// Leave it out and all that would follow.
    Stop,
}

/// How consent is got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Consent {
    /// It was given on the command line.
    Given,
    /// The person at the terminal is asked.
    Asked,
}

impl Consent {
    /// Fails when consent is needed and nobody can be asked.
    pub(crate) fn of(yes: bool) -> Result<Self, Failure> {
        Self::decide(yes, io::stdin().is_terminal())
    }

    fn decide(yes: bool, at_a_terminal: bool) -> Result<Self, Failure> {
        match (yes, at_a_terminal) {
            (true, _) => Ok(Consent::Given),
            (false, true) => Ok(Consent::Asked),
            (false, false) => Err(Failure::new(Exit::Usage, "nobody can be asked: there is no terminal")
                .remedy("Say --yes to have it done without questions.")),
        }
    }

    /// Asks, unless consent was given.
    pub(crate) async fn ask(self, question: &str) -> Result<Answer, Failure> {
        if self == Consent::Given {
            return Ok(Answer::Yes);
        }
        let prompt = format!("{question} [y = yes, n = leave it out, q = stop] ");
        let asked = tokio::task::spawn_blocking(move || ask(&prompt)).await;
        asked.map_err(|error| Failure::doing("cannot ask", &error))?
    }
}

fn ask(prompt: &str) -> Result<Answer, Failure> {
    loop {
        // There is nowhere left to report a broken standard error.
        let _ = write!(io::stderr().lock(), "{prompt}");
        let mut line = String::new();
        let read = io::Read::take(io::stdin().lock(), LONGEST_ANSWER)
            .read_line(&mut line)
            .map_err(|error| Failure::doing("cannot read the answer", &error))?;
        if let Some(answer) = understand(&line, read == 0) {
            return Ok(answer);
        }
    }
}

/// Nothing is done by accident: an empty line is no answer, and the end of the input stops.
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
    fn without_a_terminal_consent_has_to_be_given_before() {
        assert_eq!(Consent::decide(true, false), Ok(Consent::Given));
        assert_eq!(Consent::decide(false, true), Ok(Consent::Asked));
        let refused = Consent::decide(false, false).unwrap_err();
        assert_eq!(refused.exit, Exit::Usage);
        assert!(refused.to_string().contains("--yes"), "{refused}");
    }

    #[test]
    fn only_a_clear_answer_counts() {
        assert_eq!(understand(" Yes\n", false), Some(Answer::Yes));
        assert_eq!(understand("n\n", false), Some(Answer::No));
        assert_eq!(understand("q\n", false), Some(Answer::Stop));
        for unclear in ["\n", "yep\n", "yn\n"] {
            assert_eq!(understand(unclear, false), None, "{unclear}");
        }
        assert_eq!(understand("", true), Some(Answer::Stop));
    }
}
