//! `/settings/system/configuration`: every setting with its value, its source and its line in the documentation.

use askama::Template;
use telepath_core::server_status::{SettingSource, SettingStatus, SettingValue};
use telepath_store::SignedIn;

use super::require_own_account;
use crate::chip::Chip;
use crate::icon;
use crate::number::counted;
use crate::reply::Reply;
use crate::route::Outcome;
use crate::shell::{Crumb, Shell};
use crate::visit::Visit;

/// A setting as the page shows it.
struct Row {
    key: &'static str,
    value: Shown,
    source: Chip,
    detail: String,
    about: Vec<Piece>,
}

/// A value as the page shows it.
enum Shown {
    Unset,
    Secret,
    Text(String),
}

/// A piece of a description.
#[derive(Debug, PartialEq, Eq)]
enum Piece {
    Words(String),
    Code(String),
}

/// The settings of one section of the file.
struct Section {
    name: &'static str,
    rows: Vec<Row>,
}

#[derive(Template)]
#[template(path = "pages/system_configuration.html")]
struct Page {
    shell: Shell,
    sections: Vec<Section>,
    /// Whether only settings that somebody chose are shown.
    only_chosen: bool,
    all: String,
    chosen: String,
}

/// No queries but those of the shell.
pub(super) async fn show(visit: Visit, caller: SignedIn) -> Outcome {
    require_own_account(&visit, &caller)?;
    let settings = visit.shared.server.status().settings;
    let only_chosen = visit.query.text("show") == "chosen";
    let chosen = settings.iter().filter(|setting| setting.source.is_chosen()).count() as u64;
    let crumbs = vec![Crumb::group("Settings"), Crumb::page("System", super::SYSTEM)];
    Reply::page(&Page {
        shell: Shell::new(&visit, &caller, crumbs, "Configuration").await?,
        all: counted(settings.len() as u64, "setting", "settings"),
        chosen: counted(chosen, "setting", "settings"),
        sections: sections(settings.iter().filter(|setting| !only_chosen || setting.source.is_chosen())),
        only_chosen,
    })
}

/// The sections in the order of the reference page. The settings of one need not follow each other there.
fn sections<'a>(settings: impl Iterator<Item = &'a SettingStatus>) -> Vec<Section> {
    let mut sections: Vec<Section> = Vec::new();
    for setting in settings {
        let name = setting.key.split_once('.').map_or("", |(section, _)| section);
        match sections.iter_mut().find(|section| section.name == name) {
            Some(section) => section.rows.push(row(setting)),
            None => sections.push(Section { name, rows: vec![row(setting)] }),
        }
    }
    sections
}

fn row(setting: &SettingStatus) -> Row {
    let value = match &setting.value {
        SettingValue::Unset => Shown::Unset,
        SettingValue::Secret => Shown::Secret,
        SettingValue::Shown(text) => Shown::Text(text.clone()),
    };
    let source = match setting.source {
        SettingSource::Flag => Chip::new("chip-accent", icon::TERMINAL, "Flag"),
        SettingSource::Environment => Chip::new("chip-accent", icon::GLOBE, "Environment"),
        SettingSource::File => Chip::new("chip-accent", icon::REQUESTS, "File"),
        SettingSource::Default => Chip::new("", icon::CHECK, "Default"),
        SettingSource::None => Chip::new("", icon::REVOKE, "Not set"),
    };
    // The word says it already.
    let detail = if setting.source.is_chosen() { where_exactly(&setting.detail) } else { String::new() };
    Row { key: setting.key, value, source, detail, about: pieces(setting.about) }
}

/// `flag --api-listen` → `--api-listen`
fn where_exactly(detail: &str) -> String {
    detail.split_once(' ').map_or(detail, |(_, rest)| rest).to_owned()
}

/// Code is between backticks. Of links only the words are shown, because they lead to other pages of the documentation.
fn pieces(markdown: &str) -> Vec<Piece> {
    let piece = |(place, text): (usize, &str)| {
        if place % 2 == 1 { Piece::Code(text.to_owned()) } else { Piece::Words(without_links(text)) }
    };
    markdown.split('`').enumerate().map(piece).collect()
}

fn without_links(text: &str) -> String {
    let (mut rest, mut shown) = (text, String::new());
    while let Some((before, link)) = rest.split_once('[') {
        let words = link.split_once("](").and_then(|(words, after)| Some((words, after.split_once(')')?.1)));
        let Some((words, after)) = words else { break };
        shown.push_str(before);
        shown.push_str(words);
        rest = after;
    }
    shown.push_str(rest);
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_description_is_words_and_code() {
        let words = |text: &str| Piece::Words(text.to_owned());
        assert_eq!(
            pieces("Where SIP listens. `[::]:5060` serves both. See [how a call flows](../calls.md#x)."),
            [
                words("Where SIP listens. "),
                Piece::Code("[::]:5060".to_owned()),
                words(" serves both. See how a call flows."),
            ]
        );
        assert_eq!(pieces("[half a link](x"), [words("[half a link](x")]);
    }
}
