//! The result table, and the only code that prints.

use crate::goal;

/// A line on standard output.
#[expect(clippy::print_stdout, reason = "printing numbers is what this program is for")]
pub(crate) fn say(line: &str) {
    println!("{line}");
}

/// Progress, on standard error.
#[expect(clippy::print_stderr, reason = "a long measurement says what it is doing")]
pub(crate) fn progress(what: &str) {
    eprintln!("… {what}");
}

struct Row {
    what: String,
    value: String,
    goal: String,
}

pub(crate) struct Table {
    facts: String,
    rows: Vec<Row>,
}

impl Table {
    pub(crate) fn new(facts: &str) -> Self {
        Self { facts: facts.to_owned(), rows: Vec::new() }
    }

    /// A number without a goal.
    pub(crate) fn row(&mut self, what: impl Into<String>, value: impl Into<String>) {
        self.row_with_goal(what, value, "");
    }

    pub(crate) fn row_with_goal(&mut self, what: impl Into<String>, value: impl Into<String>, goal: &str) {
        let row = Row { what: what.into(), value: value.into(), goal: goal.to_owned() };
        progress(&format!("{}: {}", row.what, row.value));
        self.rows.push(row);
    }

    /// The rows whose value misses their goal.
    pub(crate) fn missed_goals(&self) -> Vec<String> {
        let missed = self.rows.iter().filter(|row| goal::is_met(&row.value, &row.goal) == Some(false));
        missed.map(|row| format!("{}: {}, {}", row.what, row.value, row.goal)).collect()
    }

    pub(crate) fn print(&self) {
        let width = |column: fn(&Row) -> &str, title: &str| {
            let longest = self.rows.iter().map(|row| column(row).chars().count()).max().unwrap_or(0);
            longest.max(title.chars().count())
        };
        let (what, value, goal) = (
            width(|row| &row.what, "measured"),
            width(|row| &row.value, "value"),
            width(|row| &row.goal, "goal"),
        );
        say(&self.facts);
        say("");
        say(&format!("| {:what$} | {:>value$} | {:goal$} |", "measured", "value", "goal"));
        say(&format!("|{}|{}:|{}|", "-".repeat(what + 2), "-".repeat(value + 1), "-".repeat(goal + 2)));
        for row in &self.rows {
            say(&format!("| {:what$} | {:>value$} | {:goal$} |", row.what, row.value, row.goal));
        }
    }
}
