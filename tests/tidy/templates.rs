//! The templates of the dashboard, which a strict content security policy and automatic escaping protect only if they leave
//! both alone.

use super::{Source, report, sources};

/// What may stand before `|safe`: values that the dashboard renders itself, without text from outside.
const SAFE: &[&str] = &[
    "mark",
    "row.mark",
    "row.figures.spark",
    "row.heading",
    "row.source.icon",
    "finding.icon",
    "node.started",
    "row.spark",
    "row.status.icon",
    "status.icon",
    "expires",
    "row.created",
    "created",
    "chart.",
    "crate::icon::",
    "entry.icon",
    "row.state.icon",
    "row.status.icon",
    "state.icon",
    "status.icon",
    "qr",
    "session.since",
    "session.seen",
    "shown",
    "row.time",
    "group.first",
    "group.last",
    "time",
    "raised",
    "row.raised",
    "row.chip.icon",
    "chip.icon",
    "done.at",
    "last",
    "chain.at",
    "row.at",
    "badge.1",
    "call.chip.icon",
    "call.started",
    "verdict.badge.1",
    "set",
    "found",
    "delivery.icon",
    "end",
    "event.at",
    "line.scale",
    "row.bar",
    "started",
    "one.icon",
];

fn templates(all: &[Source]) -> impl Iterator<Item = &Source> {
    all.iter().filter(|source| {
        source.path.starts_with("crates/telepath-dashboard/templates/") && source.has_extension("html")
    })
}

fn broken(bad: impl Fn(&str) -> bool) -> Vec<String> {
    let all = sources();
    assert!(templates(&all).count() > 0, "the templates were not found");
    templates(&all)
        .flat_map(|source| {
            let lines = source.numbered().filter(|(_, line)| bad(line));
            lines.map(|(number, line)| format!("{}:{number}: {line}", source.path)).collect::<Vec<_>>()
        })
        .collect()
}

/// Whether a line has an attribute whose name begins with `on`, such as `onclick=`.
fn has_handler(line: &str) -> bool {
    line.split(|letter: char| letter.is_whitespace() || letter == '"')
        .filter_map(|word| word.split_once('='))
        .any(|(name, _)| {
            name.len() > 2 && name.starts_with("on") && name.bytes().all(|b| b.is_ascii_lowercase())
        })
}

#[test]
fn templates_hold_no_script_style_or_event_handler() {
    let found = broken(|line| {
        let script = line.contains("<script") && !line.contains("<script src=");
        let markup =
            ["style=", "<style", "hx-on", "js:", "javascript:"].iter().any(|word| line.contains(word));
        script || markup || has_handler(line)
    });
    report("the content security policy forbids it, and htmx must not evaluate code", &found);
}

#[test]
fn only_values_that_the_dashboard_renders_are_not_escaped() {
    let unescaped = |line: &str| {
        line.split("{{").skip(1).any(|rest| {
            let expression = rest.split("}}").next().unwrap_or_default();
            let is_safe = |value: &str| SAFE.iter().any(|known| value.trim().starts_with(known));
            expression.split_once("|safe").is_some_and(|(value, _)| !is_safe(value))
        })
    };
    report(
        "text from outside is escaped; add a value that the dashboard renders to SAFE",
        &broken(unescaped),
    );
}

#[test]
fn every_form_that_is_sent_by_a_user_carries_the_token_of_the_session() {
    /// Forms of people who are not signed in.
    const OPEN: [&str; 5] = [
        "action=\"/login\"",
        "action=\"/login/code\"",
        "action=\"/login/forgot\"",
        "action=\"/invitation\"",
        "action=\"{{ link_path }}\"",
    ];
    let found = {
        let all = sources();
        templates(&all)
            .flat_map(|source| {
                let forms = source.text.split("<form ").skip(1).filter(|form| {
                    let (tag, rest) = form.split_once('>').unwrap_or((form, ""));
                    let body = rest.split("</form>").next().unwrap_or_default();
                    let is_open = OPEN.iter().any(|action| tag.contains(action));
                    tag.contains("method=\"post\"") && !is_open && !body.contains("forms::token(")
                });
                forms
                    .map(|form| format!("{}: <form {}", source.path, form.lines().next().unwrap_or_default()))
                    .collect::<Vec<_>>()
            })
            .collect::<Vec<_>>()
    };
    report("a form without the token is refused", &found);
}

#[test]
fn event_handlers_are_recognized() {
    assert!(has_handler("<a onclick=\"x()\">") && has_handler("<img src=x onerror=y>"));
    assert!(!has_handler("<a href=\"/?once=1\" data-on=\"x\">") && !has_handler("<p>one = two</p>"));
}
