//! Suggestions for misspelled commands. The library compares letters only, so that it suggests `alerts` for `start`.

use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Command, Error};

use crate::config::closest;

/// Commands that people look for under other names.
const SYNONYMS: &[(&str, &str)] = &[
    ("start", "serve"),
    ("run", "serve"),
    ("server", "serve"),
    ("up", "serve"),
    ("init", "quickstart"),
    ("setup", "quickstart"),
    ("demo", "quickstart"),
    ("key", "keys"),
    ("trunk", "trunks"),
    ("connections", "trunks"),
    ("webhook", "webhooks"),
    ("user", "users"),
    ("members", "users"),
    ("alert", "alerts"),
    ("dial", "call"),
    ("logs", "requests"),
    ("log", "requests"),
    ("settings", "config"),
    ("upgrade", "migrate"),
    ("login", "whoami"),
    ("get", "show"),
    ("ls", "list"),
    ("add", "create"),
    ("new", "create"),
    ("edit", "update"),
    ("set", "update"),
    ("rm", "delete"),
    ("remove", "delete"),
];

/// Replaces the library's suggestions for an unknown command by a better one, or by none. `arguments` are those after the name
/// of the program.
pub(super) fn correct(mut error: Error, program: &Command, arguments: &[OsString]) -> Error {
    if error.kind() != ErrorKind::InvalidSubcommand {
        return error;
    }
    let Some(ContextValue::String(given)) = error.get(ContextKind::InvalidSubcommand).cloned() else {
        return error;
    };
    let mut parent = program;
    for argument in arguments.iter().take_while(|argument| argument.to_str() != Some(given.as_str())) {
        parent = argument.to_str().and_then(|name| parent.find_subcommand(name)).unwrap_or(parent);
    }
    let known: Vec<String> = parent.get_subcommands().map(|sub| sub.get_name().to_owned()).collect();
    let suggestion = suggest(&given, &known).map(str::to_owned);
    error.remove(ContextKind::SuggestedSubcommand);
    if let Some(suggestion) = suggestion {
        error.insert(ContextKind::SuggestedSubcommand, ContextValue::Strings(vec![suggestion]));
    }
    error
}

fn suggest<'a>(given: &str, known: &'a [String]) -> Option<&'a str> {
    let known = || known.iter().map(String::as_str);
    let mut synonyms = SYNONYMS.iter().filter(|(name, _)| *name == given).map(|(_, command)| *command);
    let synonym = synonyms.find_map(|command| known().find(|name| *name == command));
    synonym.or_else(|| closest(given, known()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn synonyms_and_misspellings_are_recognized_and_other_words_are_not() {
        let known = ["serve", "keys", "alerts", "list", "create"].map(str::to_owned);
        for (given, expected) in [
            ("start", Some("serve")),
            ("kyes", Some("keys")),
            ("key", Some("keys")),
            ("ls", Some("list")),
            ("alert", Some("alerts")),
            ("rm", None),
            ("weather", None),
        ] {
            assert_eq!(suggest(given, &known), expected, "{given}");
        }
    }
}
