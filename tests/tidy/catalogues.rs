//! The reference pages match the tables in the code.

use std::fs;

use telepath_core::error::ErrorCode;
use telepath_core::event::EventKind;
use telepath_core::webhook::delivery::ErrorClass;

use super::{report, root};

fn page(name: &str) -> String {
    fs::read_to_string(root().join("docs/reference").join(name)).unwrap_or_default()
}

#[test]
fn every_error_code_is_in_the_reference() {
    let text = page("errors.md");
    let broken: Vec<String> = ErrorCode::ALL
        .iter()
        .filter(|code| {
            let status = code.status().to_string();
            let wanted = [code.name(), &status, code.cause(), code.remedy()];
            !text.lines().any(|line| wanted.iter().all(|part| line.contains(part)))
        })
        .map(|code| {
            format!("| `{}` | {} | {} | {} |", code.name(), code.status(), code.cause(), code.remedy())
        })
        .collect();
    report("docs/reference/errors.md lacks these lines", &broken);
}

#[test]
fn every_event_is_in_the_reference() {
    let text = page("events.md");
    let broken: Vec<String> = EventKind::ALL
        .iter()
        .filter(|kind| {
            let name = format!("`{}`", kind.name());
            !text.lines().any(|line| {
                line.contains(&name)
                    && line.contains(kind.describe())
                    && kind.members().iter().all(|member| line.contains(member.name))
            })
        })
        .map(|kind| {
            let members: Vec<_> = kind.members().iter().map(|member| member.name).collect();
            format!("| `{}` | {} | `{}` |", kind.name(), kind.describe(), members.join("` `"))
        })
        .collect();
    report("docs/reference/events.md lacks these lines", &broken);
}

#[test]
fn the_reference_has_no_removed_error_codes() {
    let known: Vec<&str> = ErrorCode::ALL.iter().map(|code| code.name()).collect();
    let broken: Vec<String> = page("errors.md")
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next())
        .filter(|name| !known.contains(name))
        .map(str::to_owned)
        .collect();
    report("docs/reference/errors.md names codes that the server never answers", &broken);
}

#[test]
fn every_delivery_error_is_in_the_guide() {
    let text = page("webhooks.md");
    let broken: Vec<String> = ErrorClass::ALL
        .iter()
        .filter(|class| !text.lines().any(|line| line.starts_with(&format!("| `{}` | ", class.name()))))
        .map(|class| class.name().to_owned())
        .collect();
    report("docs/reference/webhooks.md lacks these errors", &broken);
}
