//! `docs/reference/configuration.md`, written from the table of settings so that it cannot fall behind the code.

use std::fmt::Write as _;

use super::table::SETTINGS;

const HEAD: &str = "\
# Configuration

Generated from the table of settings in `crates/telepath/src/config/table.rs`; do not edit by hand.

A value on the command line wins over the environment, that over the file (`--config FILE` or `TELEPATH_CONFIG`), that
over the default. Names that nobody knows are refused, with the name that was probably meant. Everything is checked
before a socket is bound; `telepath config check` does only that, `telepath config show` prints each value and where it
comes from. [`telepath.example.toml`](../../telepath.example.toml) is a file to start from.

A secret can be kept in a file of its own: add `_FILE` to its environment variable or `_file` to its name in the
configuration file, and give a path. Secrets are never printed.

Lengths of time have a unit: `500ms`, `10s`, `5m`, `24h`, `90d`. Lists are separated by commas in the environment.
";

/// The whole page.
pub fn reference_page() -> String {
    let mut page = HEAD.to_owned();
    let mut section = "";
    for setting in SETTINGS {
        let (of, name) = setting.key.split_once('.').unwrap_or(("", setting.key));
        if of != section {
            section = of;
            let _ = write!(page, "\n## [{section}]\n");
        }
        let default = setting.default.map_or("none".to_owned(), |value| format!("`{value}`"));
        let flag = setting.flag.map(|flag| format!(" · flag `{flag}`")).unwrap_or_default();
        let files = if setting.is_secret() {
            format!(" · file `{name}_file`, `{}_FILE`", setting.env)
        } else {
            String::new()
        };
        let _ = write!(
            page,
            "\n### {name}\n\n{}\n\n{} · default {default} · environment `{}`{flag}{files}\n",
            setting.about,
            setting.kind.describe(),
            setting.env
        );
    }
    page
}
