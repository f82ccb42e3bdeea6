//! Output of commands: results on standard output, everything else on standard error. A closed pipe
//! (`telepath keys list | head`) is not an error.

use std::fmt::Display;
use std::io::{self, IsTerminal as _, Write as _};

use serde::Serialize;

use super::text;
use crate::exit::Failure;

/// Whether the output is still being read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reader {
    /// As far as is known.
    Listening,
    /// The other end of the pipe is closed.
    Gone,
}

/// Prints one line of the result, or several. Characters that could manipulate the terminal or mislead its reader are replaced.
pub(crate) fn line(text: &dyn Display) -> Result<(), Failure> {
    finish(writeln!(io::stdout().lock(), "{}", printable_lines(&text.to_string())))
}

fn printable_lines(text: &str) -> String {
    text.split('\n').map(text::printable).collect::<Vec<_>>().join("\n")
}

/// Prints text and returns whether anyone still reads it; for endless output.
pub(crate) fn stream(bytes: &[u8]) -> Result<Reader, Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Ok(()) => Ok(Reader::Listening),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(Reader::Gone),
        Err(error) => Err(Failure::doing("could not write to standard output", &error)),
    }
}

/// Prints a note on standard error, apart from the results.
pub(crate) fn note(text: &dyn Display) {
    // There is nowhere left to report a broken standard error.
    let _ = writeln!(io::stderr().lock(), "{}", printable_lines(&text.to_string()));
}

/// Prints text as it is.
pub(crate) fn raw(bytes: &[u8]) -> Result<(), Failure> {
    finish(io::stdout().lock().write_all(bytes))
}

/// Prints one JSON value on one line.
pub(crate) fn json(value: &impl Serialize) -> Result<(), Failure> {
    let text =
        serde_json::to_string(value).map_err(|error| Failure::doing("could not write JSON", &error))?;
    raw(format!("{text}\n").as_bytes())
}

/// Prints the failure as one redacted line.
pub(crate) fn failure(failure: &Failure) {
    let text = format!("telepath: {failure}");
    // There is nowhere left to report a broken standard error.
    let _ = writeln!(io::stderr().lock(), "{}", crate::telemetry::redact(&text));
}

/// Whether to use colour: standard output is a terminal and `NO_COLOR` is not set.
pub(crate) fn may_colour() -> bool {
    io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

fn finish(written: io::Result<()>) -> Result<(), Failure> {
    match written.and_then(|()| io::stdout().lock().flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::doing("could not write to standard output", &error))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Names and values, one pair per line.
pub(crate) fn facts(rows: &[(&str, String)]) -> String {
    let width = rows.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0) + 2;
    rows.iter().fold(String::new(), |all, (name, value)| {
        let line = format!("{name:width$}{}", text::printable(value));
        all + line.trim_end() + "\n"
    })
}

/// Columns as wide as their widest cell; the last is not padded.
pub(crate) fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let widths: Vec<usize> = (0..head.len())
        .map(|column| {
            let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
            cells.chain([head[column].chars().count()]).max().unwrap_or(0)
        })
        .collect();
    let head = head.iter().map(|cell| (*cell).to_owned()).collect::<Vec<_>>();
    let mut lines = String::new();
    for row in std::iter::once(&head).chain(rows) {
        let cells: Vec<String> = row
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{:width$}", text::printable(cell)))
            .collect();
        lines.push_str(cells.join("  ").trim_end());
        lines.push('\n');
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_without_trailing_spaces() {
        let rows = vec![vec!["a".to_owned(), "b".to_owned()], vec!["långer".to_owned(), "c".to_owned()]];
        assert_eq!(table(&["ID", "NAME"], &rows), "ID      NAME\na       b\nlånger  c\n");
    }
}
