//! The size and the names of files.

use super::{report, sources};

/// The usual maximum number of lines.
const RULE: usize = 400;
/// The maximum for exceptions.
const EXCEPTION: usize = 600;
/// Exceptions, each with its reason.
const LONGER: &[(&str, &str)] = &[];
/// Generated files.
const GENERATED: &[&str] = &["Cargo.lock", "LICENSE"];

#[test]
fn no_source_file_is_too_long() {
    let broken: Vec<String> = sources()
        .iter()
        .filter(|source| !GENERATED.contains(&source.path.as_str()) && is_code(source))
        .filter_map(|source| {
            let length = source.text.lines().count();
            let most = if LONGER.iter().any(|(path, _)| *path == source.path) { EXCEPTION } else { RULE };
            (length > most).then(|| format!("{} has {length} lines, {most} are allowed", source.path))
        })
        .collect();
    report("files are short enough to be read in one sitting", &broken);
}

#[test]
fn every_file_length_exception_is_still_needed() {
    let sources = sources();
    let broken: Vec<String> = LONGER
        .iter()
        .filter(|(path, _)| {
            !sources.iter().any(|source| source.path == *path && source.text.lines().count() > RULE)
        })
        .map(|(path, _)| format!("{path} is no longer than {RULE} lines or is gone"))
        .collect();
    report("the list of long files holds only long files", &broken);
}

#[test]
fn no_module_has_a_meaningless_name() {
    const NAMES: [&str; 5] = ["utils", "util", "common", "helpers", "misc"];
    let broken: Vec<String> = sources()
        .iter()
        .filter(|source| source.is_rust())
        .flat_map(|source| {
            let in_path = source
                .path
                .split('/')
                .map(|part| part.trim_end_matches(".rs"))
                .any(|part| NAMES.contains(&part))
                .then(|| source.path.clone());
            let in_text = source.numbered().filter_map(|(number, line)| {
                let rest = line.trim().trim_start_matches("pub ").trim_start_matches("pub(crate) ");
                let name = rest.strip_prefix("mod ")?.trim_end_matches(['{', ';', ' ']);
                NAMES.contains(&name).then(|| format!("{}:{number}", source.path))
            });
            in_path.into_iter().chain(in_text).collect::<Vec<_>>()
        })
        .collect();
    report("modules are named after what they do", &broken);
}

/// Whether a file is source code rather than documentation or data.
fn is_code(source: &super::Source) -> bool {
    source.is_rust()
        || ["sh", "py", "js", "ts", "sql", "css"].iter().any(|extension| source.has_extension(extension))
        || source.text.starts_with("#!")
}
