//! Generates `docs/reference/configuration.md` from the settings table, so that the page always matches the code.

use std::fmt::Write as _;

use super::table::SETTINGS;

const HEAD: &str = "\
# Configuration

Generated from the table of settings in `crates/telepath/src/config/table.rs`; do not edit by hand.

Command-line flags override environment variables, which override the configuration file (`--config FILE` or
`TELEPATH_CONFIG`), which overrides the defaults. Unknown names are rejected, with a suggestion. The whole configuration
is checked before the server opens a socket. `telepath config check` only checks it; `telepath config show` prints each
value and where it comes from. Start from [`telepath.example.toml`](../../telepath.example.toml).

To keep a secret in a separate file, append `_FILE` to its environment variable or `_file` to its name in the
configuration file, and set it to the path. Secrets are never printed.

Durations need a unit: `500ms`, `10s`, `5m`, `24h`, `90d`. In environment variables, separate list items with commas.
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
