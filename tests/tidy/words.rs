//! Text that must not appear in the sources, or only in one crate.

use super::{Source, report, root, sources};

/// This file names the words that it looks for.
const SELF: &str = "tests/tidy/words.rs";

fn places<'a>(
    sources: &'a [Source],
    choose: impl Fn(&Source) -> bool + 'a,
    bad: impl Fn(&str) -> bool + 'a,
) -> Vec<String> {
    sources
        .iter()
        .filter(|source| source.path != SELF && choose(source))
        .flat_map(|source| {
            source
                .numbered()
                .filter(|(_, line)| bad(line))
                .map(|(number, line)| format!("{}:{number}: {}", source.path, line.trim()))
                .collect::<Vec<_>>()
        })
        .collect()
}

#[test]
fn sql_is_only_in_the_store_and_migrations() {
    const SQL: [&str; 9] = [
        "SELECT ",
        "INSERT INTO ",
        "INSERT OR ",
        "DELETE FROM ",
        "CREATE TABLE",
        "ALTER TABLE",
        "CREATE INDEX",
        "BEGIN IMMEDIATE",
        "PRAGMA ",
    ];
    let all = sources();
    let broken = places(
        &all,
        |source| source.is_rust() && !source.path.starts_with("crates/telepath-store/"),
        |line| {
            let is_update = line.contains("UPDATE ") && line.contains(" SET ");
            is_update || SQL.iter().any(|word| line.contains(word))
        },
    );
    report("SQL text belongs to telepath-store and migrations/", &broken);
}

#[test]
fn no_to_do_marks_in_the_sources() {
    const MARKS: [&str; 5] = ["TODO", "FIXME", "XXX:", "HACK", "@@NUMBERS@@"];
    let all = sources();
    let broken = places(
        &all,
        |source| {
            source.is_rust()
                || ["md", "toml", "sql", "py", "js", "xml", "yml"]
                    .iter()
                    .any(|known| source.has_extension(known))
                || source.text.starts_with("#!")
        },
        |line| MARKS.iter().any(|mark| line.contains(mark)),
    );
    report("track unfinished work in an issue, not in the source", &broken);
}

#[test]
fn no_test_is_ignored() {
    let all = sources();
    let broken = places(&all, Source::is_rust, |line| {
        let line = line.trim_start();
        line.starts_with("#[ignore")
            || line.starts_with("#[cfg(ignore")
            || line.contains("#[should_panic]\n#[ignore")
    });
    report("a test that is ignored proves nothing", &broken);
}

#[test]
fn no_test_sleeps() {
    let broken: Vec<String> = sources()
        .iter()
        .filter(|source| source.is_rust() && source.path != SELF)
        .flat_map(|source| {
            source
                .test_lines()
                .filter(|(_, line)| {
                    let code = line.split("//").next().unwrap_or_default();
                    code.contains("sleep(") || code.contains("sleep_until(")
                })
                .map(|(number, line)| format!("{}:{number}: {}", source.path, line.trim()))
                .collect::<Vec<_>>()
        })
        .collect();
    report("tests pass time in or wait for an event; they do not sleep", &broken);
}

#[test]
fn lints_are_expected_with_a_reason_not_allowed() {
    let all = sources();
    let broken = places(&all, Source::is_rust, |line| {
        let line = line.trim_start();
        line.starts_with("#[allow(") || line.starts_with("#![allow(")
    });
    report("use #[expect(lint, reason = \"…\")]", &broken);
}

/// Names that only their author understood; each has a standard term in its place.
const PRIVATE_NAMES: [&str; 22] = [
    "Giver",
    "may_give",
    "hold_giver",
    "Seams",
    "Tally",
    "bury_the_dead",
    "Witness",
    "Stretch",
    "Treatment",
    "Dice",
    "Happening",
    "Raiser",
    "Misfit",
    "heed",
    "obey",
    "insist",
    "Meters",
    "FAREWELL",
    "Reoffer",
    "receive_inside",
    "receive_outside",
    "OnceRequest",
];

#[test]
fn no_private_names_in_the_code() {
    let all = sources();
    let broken = places(&all, Source::is_rust, |line| {
        line.split(|letter: char| !letter.is_alphanumeric() && letter != '_')
            .any(|word| PRIVATE_NAMES.contains(&word))
    });
    report("use the term of the RFC, of Rust or of the field", &broken);
}

/// Phrases that do not read as English, in lower case.
const STILTED_PHRASES: [&str; 19] = [
    "stop to work",
    "stops to work",
    "go on to work",
    "goes on to work",
    "it is not so that",
    "neighbours that are felt",
    "whom to tell",
    "make anew",
    "made anew",
    "is told of",
    "are told of",
    "has no sense",
    "is of no use",
    "doing things once",
    "nobody can be asked",
    "through the house",
    "of the house",
    "to blame",
    "used on the road",
];

#[test]
fn no_stilted_phrases_in_code_or_documentation() {
    const KINDS: [&str; 8] = ["rs", "md", "json", "toml", "sh", "bash", "lua", "xml"];
    let all = sources();
    let is_prose = |source: &Source| {
        source.path != "CHANGELOG.md"
            && (KINDS.iter().any(|kind| source.has_extension(kind)) || source.text.starts_with("#!"))
    };
    let broken = places(&all, is_prose, |line| {
        let line = line.to_lowercase();
        STILTED_PHRASES.iter().any(|phrase| line.contains(phrase))
    });
    report("write it the way an engineer would say it", &broken);
}

#[test]
fn every_local_link_in_the_documentation_resolves() {
    let broken: Vec<String> = sources()
        .iter()
        .filter(|source| source.has_extension("md"))
        .flat_map(|source| {
            let folder = root().join(&source.path);
            let folder = folder.parent().map(std::path::Path::to_path_buf).unwrap_or_default();
            links(&source.text)
                .into_iter()
                .filter(|(_, target)| !folder.join(target).exists())
                .map(|(number, target)| format!("{}:{number}: {target}", source.path))
                .collect::<Vec<_>>()
        })
        .collect();
    report("links name files that exist", &broken);
}

/// The local targets of `[text](target)`, without their fragments, outside of code blocks.
fn links(text: &str) -> Vec<(usize, String)> {
    let mut in_code = false;
    let mut found = Vec::new();
    for (at, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            in_code = !in_code;
        }
        if in_code {
            continue;
        }
        for rest in line.split("](").skip(1) {
            let target = rest.split(')').next().unwrap_or_default().trim();
            let path = target.split('#').next().unwrap_or_default();
            let is_local = !path.is_empty() && !path.contains("://") && !path.starts_with("mailto:");
            if is_local {
                found.push((at + 1, path.to_owned()));
            }
        }
    }
    found
}

#[test]
fn markdown_links_are_found_outside_code_blocks() {
    let text = "see [a](docs/a.md#part) and [b](https://example.com)\n```\n[c](gone.md)\n```\n![d](d.png) [e](#here)";
    assert_eq!(links(text), [(1, "docs/a.md".to_owned()), (5, "d.png".to_owned())]);
}
