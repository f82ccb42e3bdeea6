//! The files that ARCHITECTURE.md names.

use super::{report, sources};

/// Stand for any module, where the page explains the layout of modules.
const PLACEHOLDERS: [&str; 2] = ["name.rs", "name/"];

#[test]
fn every_file_that_the_architecture_names_exists() {
    let all = sources();
    let page = all.iter().find(|source| source.path == "ARCHITECTURE.md").expect("ARCHITECTURE.md");
    let exists = |name: &str| {
        let (inside, folder) = (format!("/{name}"), name.ends_with('/'));
        all.iter().any(|source| {
            let path = format!("/{}", source.path);
            if folder { path.contains(&inside) } else { path.ends_with(&inside) }
        })
    };
    let broken: Vec<String> = page
        .numbered()
        .flat_map(|(number, line)| quoted(line).map(move |name| (number, name)))
        .filter(|(_, name)| is_file(name) && !PLACEHOLDERS.contains(name) && !exists(name))
        .map(|(number, name)| format!("ARCHITECTURE.md:{number}: {name}"))
        .collect();
    report("a file that the page names must exist", &broken);
}

/// The texts between backticks.
fn quoted(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2)
}

/// Whether a text names a source file, or a folder by a slash at its end.
fn is_file(text: &str) -> bool {
    let is_path = text.chars().all(|letter| letter.is_ascii_alphanumeric() || "_-./".contains(letter));
    is_path && [".rs", ".lua", ".sql", "/"].iter().any(|end| text.ends_with(end))
}

#[test]
fn file_names_are_found_between_backticks() {
    let line = "edit `crates/a/src/b.rs`, then `key/`, not `GET /v1/` or `Store::open`";
    let found: Vec<&str> = quoted(line).filter(|name| is_file(name)).collect();
    assert_eq!(found, ["crates/a/src/b.rs", "key/"]);
}
