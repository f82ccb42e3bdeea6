//! `telepath config show`: every setting with its effective value and its source. Secrets are masked.

use std::fmt::Write as _;

use serde_json::{Value as Json, json};

use super::layers::{Layers, Source};
use super::table::{SETTINGS, Setting};

/// Shown in place of a secret.
const MASK: &str = "(set, not shown)";

fn shown(setting: &Setting, layers: &Layers) -> Option<String> {
    let given = layers.get(setting.key)?;
    Some(if setting.is_secret() { MASK.to_owned() } else { given.value.shown() })
}

fn source(setting: &Setting, layers: &Layers) -> String {
    layers.get(setting.key).map_or("not set".to_owned(), |given| given.source.to_string())
}

/// A table for a terminal.
pub fn as_text(layers: &Layers) -> String {
    let rows: Vec<_> = SETTINGS
        .iter()
        .map(|setting| {
            let value = shown(setting, layers).unwrap_or_else(|| "-".to_owned());
            (setting.key, value, source(setting, layers))
        })
        .collect();
    let width = |of: fn(&(&str, String, String)) -> usize| rows.iter().map(of).max().unwrap_or(0);
    let (keys, values) = (width(|row| row.0.len()), width(|row| row.1.chars().count()));
    let mut text = String::new();
    for (key, value, source) in &rows {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{key:keys$}  {value:values$}  {source}");
    }
    text
}

/// A JSON object with one member per setting, each with `value`, `set`, `secret`, `source` and `detail`.
pub fn as_json(layers: &Layers) -> Json {
    let rows = SETTINGS.iter().map(|setting| {
        let origin = match layers.get(setting.key).map(|given| &given.source) {
            None => "unset",
            Some(Source::Flag(_)) => "flag",
            Some(Source::Env(_)) => "environment",
            Some(Source::File(_)) => "file",
            Some(Source::Default) => "default",
        };
        let row = json!({
            "value": shown(setting, layers).filter(|_| !setting.is_secret()),
            "set": layers.get(setting.key).is_some(),
            "secret": setting.is_secret(),
            "source": origin,
            "detail": source(setting, layers),
        });
        (setting.key.to_owned(), row)
    });
    Json::Object(rows.collect())
}
