//! Generates `docs/reference/cli.md` from the help texts, so that the page always matches the program.

use std::fmt::Write as _;

use clap::{Command, CommandFactory as _};

use super::Cli;
use crate::exit::Exit;

const HEAD: &str = "\
# Command line

Generated from the definitions in `crates/telepath/src/cli`; do not edit by hand.

Results go to standard output, log lines and the one line that explains a failure to standard error. Secrets are printed
to standard output only, once.

| exit code | meaning |
|---|---|
| 0 | done |
";

/// The whole page.
pub(crate) fn reference_page() -> String {
    let mut page = HEAD.to_owned();
    for (exit, meaning) in Exit::ALL {
        // Writing to a String cannot fail.
        let _ = writeln!(page, "| {} | {meaning} |", *exit as u8);
    }
    let mut root = Cli::command().term_width(110);
    root.build();
    describe(&root, "telepath", &mut page);
    page
}

fn describe(command: &Command, path: &str, page: &mut String) {
    let help = command.clone().term_width(110).render_long_help().to_string();
    let trimmed: Vec<&str> = help.lines().map(str::trim_end).collect();
    let _ = write!(page, "\n## {path}\n\n```text\n{}\n```\n", trimmed.join("\n").trim_end());
    for sub in command.get_subcommands().filter(|sub| sub.get_name() != "help") {
        describe(sub, &format!("{path} {}", sub.get_name()), page);
    }
}
