//! Rules about the repository that no compiler checks. Each test reports every violation.

mod architecture;
mod boundaries;
mod catalogues;
mod files;
mod imports;
mod migrations;
mod templates;
mod words;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The folder of the workspace.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the tests live in a folder of the workspace")
        .into()
}

/// A text file of the repository.
struct Source {
    /// Relative to the root, with `/`.
    path: String,
    text: String,
}

impl Source {
    fn is_rust(&self) -> bool {
        self.has_extension("rs")
    }

    fn has_extension(&self, extension: &str) -> bool {
        Path::new(&self.path).extension().is_some_and(|found| found == extension)
    }

    /// The lines that are test code, with their numbers: all of a test file, or what follows `#[cfg(test)]`. A declaration
    /// that ends in a semicolon, such as `mod tests;`, is test code by itself.
    fn test_lines(&self) -> impl Iterator<Item = (usize, &str)> {
        let all = self.path.starts_with("tests/")
            || self.path.ends_with("/tests.rs")
            || self.path.contains("/tests/");
        let mut seen = all;
        let following = self.text.lines().skip(1).map(Some).chain([None]);
        self.numbered().zip(following).filter_map(move |(line, next)| {
            let starts = line.1.trim() == "#[cfg(test)]";
            seen |= starts && !next.is_some_and(|next| next.trim_end().ends_with(';'));
            seen.then_some(line)
        })
    }

    fn numbered(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text.lines().enumerate().map(|(at, line)| (at + 1, line))
    }
}

/// Every text file that git tracks or would add. Binary files are skipped.
fn sources() -> Vec<Source> {
    let listed = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard", "-z"])
        .current_dir(root())
        .output();
    let paths = match listed {
        Ok(output) if output.status.success() => {
            String::from_utf8_lossy(&output.stdout).split('\0').map(str::to_owned).collect()
        }
        // A copy of the sources without git.
        _ => walk(&root()),
    };
    let found: Vec<Source> = paths
        .into_iter()
        .filter(|path| !path.is_empty())
        .filter_map(|path| Some(Source { text: fs::read_to_string(root().join(&path)).ok()?, path }))
        .collect();
    assert!(found.iter().any(|source| source.path == "Cargo.toml"), "the repository was not found");
    found
}

fn walk(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_path_buf()];
    while let Some(next) = open.pop() {
        for entry in fs::read_dir(&next).expect("a folder of the repository").flatten() {
            let name = entry.file_name();
            if name == "target" || name == ".git" {
                continue;
            }
            let path = entry.path();
            if path.is_dir() {
                open.push(path);
            } else if let Ok(relative) = path.strip_prefix(folder) {
                found.push(relative.to_string_lossy().replace('\\', "/"));
            }
        }
    }
    found
}

/// Fails with all violations.
fn report(rule: &str, broken: &[String]) {
    assert!(broken.is_empty(), "{rule}:\n  {}", broken.join("\n  "));
}
