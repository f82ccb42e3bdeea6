mod operations;

use std::path::Path;

use clap::Command as ClapCommand;

use super::*;
use crate::build_info::LONG;

fn parse(args: &[&str]) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(std::iter::once("telepath").chain(args.iter().copied()))
}

#[test]
fn the_command_definition_is_valid() {
    Cli::command().debug_assert();
}

#[test]
fn the_reference_page_matches_the_help_texts() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/cli.md");
    crate::snapshot::check(&path, &reference::reference_page());
}

#[test]
fn every_leaf_command_has_examples() {
    fn walk(command: &ClapCommand, path: &str) {
        if command.get_subcommands().next().is_none() {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.contains("Examples:"), "{path} has no examples");
        }
        for sub in command.get_subcommands() {
            walk(sub, &format!("{path} {}", sub.get_name()));
        }
    }
    walk(&Cli::command(), "telepath");
}

#[test]
fn lists_are_comma_separated_and_networks_are_repeatable() {
    let line = ["keys", "create", "--name", "n", "--preset", "custom", "--scopes", "calls:read,trunks:read"];
    let more = ["--allow-ip", "192.0.2.1", "--allow-ip", "2001:db8::/32", "--json"];
    let cli = parse(&[&line[..], &more[..]].concat()).unwrap();
    let shown = format!("{cli:?}");
    assert!(shown.contains(r#"["calls:read", "trunks:read"]"#), "{shown}");
    assert!(shown.contains(r#"["192.0.2.1", "2001:db8::/32"]"#), "{shown}");
}

#[test]
fn an_unknown_command_is_a_usage_error_with_a_hint() {
    let error = parse(&["kyes", "list"]).unwrap_err();
    assert!(error.use_stderr() && error.to_string().contains("'keys'"), "{error}");
    assert_eq!(run(["telepath", "kyes"].map(OsString::from)), Exit::Usage.into());
    assert_eq!(run(["telepath", "--version"].map(OsString::from)), ExitCode::SUCCESS);
    assert_eq!(run(["telepath", "help", "keys"].map(OsString::from)), ExitCode::SUCCESS);
    assert_eq!(run(["telepath", "version", "--json"].map(OsString::from)), ExitCode::SUCCESS);
}

#[test]
fn the_suggestion_for_an_unknown_command_makes_sense() {
    let message = |words: &[&str]| {
        let arguments: Vec<OsString> = words.iter().map(OsString::from).collect();
        suggestion::correct(parse(words).unwrap_err(), &Cli::command(), &arguments).to_string()
    };
    let start = message(&["start"]);
    assert!(start.contains("'serve'") && !start.contains("alerts"), "{start}");
    assert!(!message(&["weather"]).contains("similar"));
    assert!(message(&["keys", "ls"]).contains("'list'"));
}

#[test]
fn an_unknown_value_is_one_mistake_and_lists_the_known_ones() {
    let line = ["keys", "create", "--name", "n", "--preset", "custom", "--scopes", "calls:read,trunk:read"];
    let error = parse(&line).unwrap_err().to_string();
    assert!(error.contains("'trunk:read'") && error.contains("'trunks:read'"), "{error}");
    assert_eq!(error.matches("error:").count(), 1, "{error}");
    let error = parse(&["keys", "create", "--name", "n", "--preset", "prod"]).unwrap_err().to_string();
    assert!(error.contains("production, development"), "{error}");
}

#[test]
fn the_version_names_the_commit_and_the_target() {
    assert!(LONG.starts_with(env!("CARGO_PKG_VERSION")), "{LONG}");
    assert!(LONG.contains("commit") && LONG.contains("linux"), "{LONG}");
}
