//! `telepath config show`: every setting with its effective value and its source. Secrets are masked.

use std::fmt::Write as _;

use serde_json::{Value as Json, json};
use telepath_core::server_status::{SettingSource, SettingStatus, SettingValue};

use super::layers::{Layers, Source};
use super::table::{SETTINGS, Setting};

/// Shown in place of a secret.
const MASK: &str = "(set, not shown)";

/// Every setting; secrets are left out.
pub fn statuses(layers: &Layers) -> Vec<SettingStatus> {
    SETTINGS.iter().map(|setting| status(setting, layers)).collect()
}

fn status(setting: &Setting, layers: &Layers) -> SettingStatus {
    let given = layers.get(setting.key);
    let value = match given {
        None => SettingValue::Unset,
        Some(_) if setting.is_secret() => SettingValue::Secret,
        Some(given) => SettingValue::Shown(given.value.shown()),
    };
    let source = match given.map(|given| &given.source) {
        None => SettingSource::None,
        Some(Source::Flag(_)) => SettingSource::Flag,
        Some(Source::Env(_)) => SettingSource::Environment,
        Some(Source::File(_)) => SettingSource::File,
        Some(Source::Default) => SettingSource::Default,
    };
    let detail = given.map_or("not set".to_owned(), |given| given.source.to_string());
    SettingStatus { key: setting.key, env: setting.env, value, source, detail, about: setting.about }
}

fn shown(value: &SettingValue) -> &str {
    match value {
        SettingValue::Unset => "-",
        SettingValue::Shown(text) => text,
        SettingValue::Secret => MASK,
    }
}

/// A table for a terminal.
pub fn as_text(layers: &Layers) -> String {
    let rows = statuses(layers);
    let keys = rows.iter().map(|row| row.key.len()).max().unwrap_or(0);
    let values = rows.iter().map(|row| shown(&row.value).chars().count()).max().unwrap_or(0);
    let mut text = String::new();
    for SettingStatus { key, value, detail, .. } in &rows {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{key:keys$}  {:values$}  {detail}", shown(value));
    }
    text
}

/// A JSON object with one member per setting, each with `value`, `set`, `secret`, `source` and `detail`.
pub fn as_json(layers: &Layers) -> Json {
    let rows = SETTINGS.iter().map(|setting| {
        let SettingStatus { key, value, source, detail, .. } = status(setting, layers);
        let set = value != SettingValue::Unset;
        let value = match value {
            SettingValue::Shown(text) => Some(text),
            SettingValue::Unset | SettingValue::Secret => None,
        };
        let row = json!({
            "value": value,
            "set": set,
            "secret": setting.is_secret(),
            "source": source.name(),
            "detail": detail,
        });
        (key.to_owned(), row)
    });
    Json::Object(rows.collect())
}
