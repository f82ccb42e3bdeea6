//! The configuration layers: flags, environment, file, defaults. This stage handles text and sources only: it merges the
//! layers, rejects unknown names and reads `*_FILE` secrets. [`super::checked`] parses the values.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use telepath_core::secret::SecretText;

use super::hint::closest;
use super::table::{Kind, SETTINGS, Setting};
use super::{ConfigError, Problem};

/// The layer a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A command-line flag.
    Flag(&'static str),
    /// An environment variable.
    Env(String),
    /// The configuration file.
    File(PathBuf),
    /// The built-in default.
    Default,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Flag(flag) => write!(f, "flag {flag}"),
            Source::Env(name) => write!(f, "environment {name}"),
            Source::File(path) => write!(f, "file {}", path.display()),
            Source::Default => f.write_str("default"),
        }
    }
}

/// An unparsed value. Its `Debug` output hides the content, which may be a secret.
#[derive(Clone)]
pub enum Value {
    /// A single value.
    Text(SecretText),
    /// A list from the configuration file.
    List(Vec<String>),
}

impl Value {
    /// A single value.
    pub fn text(text: &str) -> Self {
        Value::Text(SecretText::new(text.to_owned()))
    }

    /// The value on one line. Must not be called for secrets.
    pub fn shown(&self) -> String {
        match self {
            Value::Text(text) => text.expose().to_owned(),
            Value::List(items) => items.join(","),
        }
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Value(…)")
    }
}

/// A value and its source.
#[derive(Debug, Clone)]
pub struct Given {
    pub value: Value,
    pub source: Source,
    /// The file that contains the value, if a setting with `_file` names one.
    pub file: Option<PathBuf>,
}

/// Values given by command-line flags: setting key and text.
pub type Flags = Vec<(&'static str, String)>;

/// The environment as a map, so that tests can pass their own.
pub type Environment = BTreeMap<String, String>;

/// Variables with our prefix that are not settings: those of clients and of the tests.
const FOREIGN: &[&str] =
    &["TELEPATH_API_KEY", "TELEPATH_API_URL", "TELEPATH_CA_FILE", "TELEPATH_CONFIG", "TELEPATH_BLESS"];

/// The merged value of every setting that is set or has a default.
#[derive(Debug, Default)]
pub struct Layers(BTreeMap<&'static str, Given>);

impl Layers {
    /// Merges all sources.
    ///
    /// # Errors
    /// Lists every unknown name and unreadable file.
    pub fn gather(flags: &Flags, env: &Environment, file: Option<&Path>) -> Result<Self, ConfigError> {
        let mut problems = Vec::new();
        let mut layers = Self::default();
        for setting in SETTINGS {
            if let Some(default) = setting.default {
                layers.put(setting, Value::text(default), Source::Default);
            }
        }
        if let Some(path) = file {
            layers.add_file(path, &mut problems);
        }
        layers.add_environment(env, &mut problems);
        for (key, text) in flags {
            if let Some(setting) = Setting::find(key) {
                layers.put(setting, Value::text(text), Source::Flag(setting.flag.unwrap_or(setting.key)));
            }
        }
        ConfigError::unless_empty(problems).map(|()| layers)
    }

    /// The merged value of a setting.
    pub fn get(&self, key: &str) -> Option<&Given> {
        self.0.get(key)
    }

    fn put(&mut self, setting: &Setting, value: Value, source: Source) {
        self.put_from(setting, value, source, None);
    }

    fn put_from(&mut self, setting: &Setting, value: Value, source: Source, file: Option<PathBuf>) {
        if let Some(known) = Setting::find(setting.key) {
            self.0.insert(known.key, Given { value, source, file });
        }
    }

    fn add_environment(&mut self, env: &Environment, problems: &mut Vec<Problem>) {
        for (name, text) in env.iter().filter(|(name, _)| name.starts_with("TELEPATH_")) {
            let source = Source::Env(name.clone());
            if let Some(setting) = SETTINGS.iter().find(|setting| setting.env == name) {
                let both = setting.is_secret() && env.contains_key(&format!("{name}_FILE"));
                if both {
                    let message = format!("{name} and {name}_FILE are both set; keep one");
                    problems.push(Problem::at(setting.key, &source, message));
                }
                self.put(setting, Value::text(text), source);
            } else if let Some(setting) = secret_of(name.strip_suffix("_FILE"), |setting| setting.env) {
                self.add_secret_file(setting, Path::new(text), source, problems);
            } else if !FOREIGN.contains(&name.as_str())
                && let Some(meant) = closest(name, SETTINGS.iter().map(|setting| setting.env))
            {
                // Reject only near misses: container platforms set variables named after a service, such as
                // TELEPATH_PORT.
                problems.push(Problem::at(name, &source, format!("unknown; did you mean {meant}?")));
            }
        }
    }

    fn add_secret_file(
        &mut self,
        setting: &Setting,
        path: &Path,
        source: Source,
        problems: &mut Vec<Problem>,
    ) {
        match std::fs::read_to_string(path) {
            Ok(text) => {
                let value = Value::text(text.trim_end_matches(['\r', '\n']));
                self.put_from(setting, value, source, Some(path.to_owned()));
            }
            Err(error) => {
                problems.push(Problem::at(
                    setting.key,
                    &source,
                    format!("cannot read {}: {error}", path.display()),
                ));
            }
        }
    }

    fn add_file(&mut self, path: &Path, problems: &mut Vec<Problem>) {
        let source = Source::File(path.to_owned());
        let refuse = |key: &str, message: String| Problem::at(key, &source, message);
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) => return problems.push(refuse("", format!("cannot be read: {error}"))),
        };
        let table: toml::Table = match text.parse() {
            Ok(table) => table,
            // The library's message quotes the offending line, which may contain a secret. Report only the line number.
            Err(error) => {
                return problems.push(refuse("", format!("is not TOML: {}", place_of(&error, &text))));
            }
        };
        for (section, content) in table {
            let toml::Value::Table(content) = content else {
                problems.push(refuse(&section, unknown(&section)));
                continue;
            };
            for (name, value) in content {
                self.add_file_value(&format!("{section}.{name}"), &value, path, problems);
            }
        }
    }

    fn add_file_value(&mut self, key: &str, value: &toml::Value, path: &Path, problems: &mut Vec<Problem>) {
        let source = Source::File(path.to_owned());
        if let Some(setting) = Setting::find(key) {
            match value_of(setting.kind, value) {
                Some(value) => self.put(setting, value, source),
                None => {
                    problems.push(Problem::at(key, &source, format!("must be a {}", form_of(setting.kind))));
                }
            }
        } else if let Some(setting) = secret_of(key.strip_suffix("_file"), |setting| setting.key) {
            let Some(secret) = value.as_str() else {
                return problems.push(Problem::at(key, &source, "must be a string: a path".to_owned()));
            };
            // Paths in the configuration file are relative to it.
            let secret = path.parent().unwrap_or(Path::new("")).join(secret);
            self.add_secret_file(setting, &secret, source, problems);
        } else {
            problems.push(Problem::at(key, &source, unknown(key)));
        }
    }
}

fn secret_of(name: Option<&str>, by: impl Fn(&Setting) -> &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.is_secret() && Some(by(setting)) == name)
}

fn unknown(key: &str) -> String {
    match closest(key, SETTINGS.iter().map(|setting| setting.key)) {
        Some(meant) => format!("unknown; did you mean {meant}?"),
        None => "unknown; `telepath config show` lists every setting".to_owned(),
    }
}

fn value_of(kind: Kind, value: &toml::Value) -> Option<Value> {
    match kind {
        Kind::Addresses if value.is_str() => value.as_str().map(Value::text),
        Kind::Count(..) => value.as_integer().map(|number| Value::text(&number.to_string())),
        Kind::Addresses
        | Kind::Hosts
        | Kind::Networks
        | Kind::Destinations
        | Kind::Mailboxes
        | Kind::GroupRoles => {
            let items = value.as_array()?;
            items.iter().map(|item| item.as_str().map(str::to_owned)).collect::<Option<_>>().map(Value::List)
        }
        Kind::Address
        | Kind::LoopbackAddress
        | Kind::AddressOrOff
        | Kind::Host
        | Kind::Path
        | Kind::PortRange
        | Kind::Duration
        | Kind::Choice(_)
        | Kind::Prefix
        | Kind::Filter
        | Kind::Contact
        | Kind::Origin
        | Kind::Url
        | Kind::AgentUrl
        | Kind::Text
        | Kind::Mailbox
        | Kind::Secret => value.as_str().map(Value::text),
    }
}

fn form_of(kind: Kind) -> String {
    match kind {
        Kind::Count(..) => "whole number without quotes".to_owned(),
        Kind::Addresses => "string IP:PORT, or list of them".to_owned(),
        Kind::Hosts | Kind::Networks | Kind::Destinations | Kind::Mailboxes | Kind::GroupRoles => {
            "list of strings".to_owned()
        }
        Kind::Address
        | Kind::LoopbackAddress
        | Kind::AddressOrOff
        | Kind::Host
        | Kind::Path
        | Kind::PortRange
        | Kind::Duration
        | Kind::Choice(_)
        | Kind::Prefix
        | Kind::Filter
        | Kind::Contact
        | Kind::Origin
        | Kind::Url
        | Kind::AgentUrl
        | Kind::Text
        | Kind::Mailbox
        | Kind::Secret => format!("string: {}", kind.describe()),
    }
}

fn place_of(error: &toml::de::Error, text: &str) -> String {
    let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
    format!("line {}: {}", before.matches('\n').count() + 1, error.message())
}
