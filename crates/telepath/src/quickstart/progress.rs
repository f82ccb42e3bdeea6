//! Numbered progress lines, in colour where the terminal supports it.

use crate::cli::output;
use crate::exit::Failure;

/// The steps, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Task {
    DataFolder,
    Server,
    EchoAgent,
    Key,
    Api,
    Trunk,
    Call,
    Echo,
    Record,
}

impl Task {
    const ALL: [(Task, &'static str); 9] = [
        (Task::DataFolder, "Data folder"),
        (Task::Server, "Server"),
        (Task::EchoAgent, "Echo agent"),
        (Task::Key, "API key"),
        (Task::Api, "API over HTTPS"),
        (Task::Trunk, "Trunk"),
        (Task::Call, "Call"),
        (Task::Echo, "Echo"),
        (Task::Record, "Call record"),
    ];

    /// The number of the step, from 1, and its name.
    fn place(self) -> (usize, &'static str) {
        let found = Self::ALL.iter().zip(1..).find(|((task, _), _)| *task == self);
        found.map_or((0, ""), |((_, name), number)| (number, *name))
    }
}

/// The width of step names.
const WIDTH: usize = 16;

/// Prints the steps.
pub(super) struct Progress {
    colour: bool,
}

/// A started step.
pub(super) struct Step<'a> {
    progress: &'a Progress,
    is_done: bool,
}

impl Progress {
    /// Prints the heading.
    pub(super) fn start(head: &[&str]) -> Result<Self, Failure> {
        head.iter().try_for_each(|line| output::line(line))?;
        Ok(Self { colour: output::may_colour() })
    }

    /// Starts a step.
    pub(super) fn step(&self, task: Task) -> Result<Step<'_>, Failure> {
        let (number, name) = task.place();
        let number = self.paint("1", &format!("[{number}/{}]", Task::ALL.len()));
        output::raw(format!("{number} {name:WIDTH$}").as_bytes())?;
        Ok(Step { progress: self, is_done: false })
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

impl Step<'_> {
    /// Completes the step.
    pub(super) fn done(mut self, detail: &str) -> Result<(), Failure> {
        self.is_done = true;
        let ok = self.progress.paint("32", "ok");
        output::line(&format_args!("{ok}  {detail}"))
    }
}

impl Drop for Step<'_> {
    fn drop(&mut self) {
        if !self.is_done {
            // The failure itself is printed on standard error.
            let _ = output::line(&self.progress.paint("31", "failed"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn step_names_fit_their_column() {
        for (place, (task, name)) in Task::ALL.into_iter().enumerate() {
            assert_eq!(task.place(), (place + 1, name));
            assert!(name.len() < WIDTH);
        }
    }
}
