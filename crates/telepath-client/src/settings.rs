//! Where a client connects and with which key: from environment variables, or from a file of such variables. Neither the
//! key nor a line of a file can be printed.

mod env_file;

use std::path::Path;

pub use env_file::EnvFile;
use telepath_core::secret::SecretText;

use crate::client::Client;
use crate::error::Error;
use crate::retry::RetryPolicy;
use crate::trust::Trust;

/// The variable that holds the API key.
pub const KEY_VARIABLE: &str = "TELEPATH_API_KEY";
/// The variable that holds the base URL, such as `https://voice.example:8443`.
pub const URL_VARIABLE: &str = "TELEPATH_API_URL";
/// The variable that names a PEM file of certificate authorities; without it those of the system are trusted.
pub const CA_FILE_VARIABLE: &str = "TELEPATH_CA_FILE";

/// The settings of a [`Client`].
#[derive(Debug, Clone)]
pub struct Settings {
    url: String,
    key: SecretText,
    trust: Trust,
    loopback_http: bool,
    retry: RetryPolicy,
}

impl Settings {
    /// Settings for a server and a key.
    pub fn new(url: impl Into<String>, key: SecretText) -> Self {
        let (trust, retry) = (Trust::SystemRoots, RetryPolicy::STANDARD);
        Self { url: url.into(), key, trust, loopback_http: false, retry }
    }

    /// From `TELEPATH_API_KEY`, `TELEPATH_API_URL` and, if set, `TELEPATH_CA_FILE` of the process.
    ///
    /// # Errors
    /// [`Error::Setting`] when one is missing or not readable.
    pub fn from_env() -> Result<Self, Error> {
        Self::from_variables(process_variable)
    }

    /// From a file of variables; a variable that is not in the file comes from the process. The file is read only when named.
    ///
    /// # Errors
    /// [`Error::EnvFile`] or [`Error::Setting`].
    pub fn from_env_file(path: &Path) -> Result<Self, Error> {
        let file = EnvFile::read(path)?;
        Self::from_variables(|name| match file.get(name) {
            Some(value) => Ok(Some(value.expose().to_owned())),
            None => process_variable(name),
        })
    }

    /// From variables of any source. An empty variable counts as not set.
    ///
    /// # Errors
    /// [`Error::Setting`] when one is missing, and any error of `read`.
    pub fn from_variables(
        read: impl Fn(&'static str) -> Result<Option<String>, Error>,
    ) -> Result<Self, Error> {
        let set = |name| Ok::<_, Error>(read(name)?.filter(|value| !value.trim().is_empty()));
        let needed = |name| {
            set(name)?.ok_or(Error::Setting { name: name.to_owned(), problem: "is not set".to_owned() })
        };
        let settings = Self::new(needed(URL_VARIABLE)?.trim(), SecretText::new(needed(KEY_VARIABLE)?));
        Ok(match set(CA_FILE_VARIABLE)? {
            Some(path) => settings.trust(Trust::CaFile(path.into())),
            None => settings,
        })
    }

    /// Sets which certificate authorities are trusted.
    #[must_use]
    pub fn trust(mut self, trust: Trust) -> Self {
        self.trust = trust;
        self
    }

    /// Accepts an `http://` URL whose host is this machine. Other machines are always reached over HTTPS.
    #[must_use]
    pub fn allow_loopback_http(mut self) -> Self {
        self.loopback_http = true;
        self
    }

    /// Sets how often and how long the client retries.
    #[must_use]
    pub fn retry(mut self, policy: RetryPolicy) -> Self {
        self.retry = policy;
        self
    }

    /// Builds the client; nothing is sent.
    ///
    /// # Errors
    /// [`Error::BadUrl`], [`Error::BadKey`] or [`Error::Trust`].
    pub fn client(self) -> Result<Client, Error> {
        let client = if self.loopback_http && self.url.starts_with("http://") {
            Client::loopback_http(&self.url, self.key)?
        } else {
            Client::https(&self.url, self.key, self.trust)?
        };
        Ok(client.with_retry(self.retry))
    }
}

impl Client {
    /// A client from the environment: `TELEPATH_API_KEY`, `TELEPATH_API_URL` and, if set, `TELEPATH_CA_FILE`. HTTPS only;
    /// for more, see [`Settings`].
    ///
    /// # Errors
    /// [`Error::Setting`], [`Error::BadUrl`], [`Error::BadKey`] or [`Error::Trust`]; nothing is sent.
    pub fn from_env() -> Result<Self, Error> {
        Settings::from_env()?.client()
    }
}

fn process_variable(name: &'static str) -> Result<Option<String>, Error> {
    match std::env::var(name) {
        Ok(value) => Ok(Some(value)),
        Err(std::env::VarError::NotPresent) => Ok(None),
        // The value may be the key, so the error does not hold it.
        Err(std::env::VarError::NotUnicode(_)) => {
            Err(Error::Setting { name: name.to_owned(), problem: "is not UTF-8".to_owned() })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "sk_live_0000000000000000000000000000000000000000000abcdef";

    fn settings(pairs: &[(&str, &str)]) -> Result<Settings, Error> {
        Settings::from_variables(|name| {
            Ok(pairs.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned()))
        })
    }

    #[test]
    fn a_missing_url_or_key_is_named() {
        let error = settings(&[(KEY_VARIABLE, KEY), (URL_VARIABLE, " ")]).unwrap_err();
        assert_eq!(error.to_string(), "TELEPATH_API_URL is not set");
        let error = settings(&[(URL_VARIABLE, "https://voice.example")]).unwrap_err();
        assert_eq!(error.to_string(), "TELEPATH_API_KEY is not set");
    }

    #[test]
    fn plain_http_needs_a_loopback_host_and_an_explicit_setting() {
        let plain = |url| settings(&[(URL_VARIABLE, url), (KEY_VARIABLE, KEY)]).unwrap();
        assert!(matches!(plain("http://127.0.0.1:8080").client(), Err(Error::BadUrl { .. })));
        assert!(plain("http://127.0.0.1:8080").allow_loopback_http().client().is_ok());
        let far = plain("http://voice.example").allow_loopback_http().client();
        assert!(matches!(far, Err(Error::BadUrl { .. })));
    }

    #[test]
    fn ca_file_variable_replaces_the_system_roots() {
        let pairs =
            [(URL_VARIABLE, "https://localhost:1"), (KEY_VARIABLE, KEY), (CA_FILE_VARIABLE, "/dev/null")];
        assert!(matches!(settings(&pairs).unwrap().client(), Err(Error::Trust { .. })));
    }

    #[test]
    fn the_key_is_in_no_debug_output() {
        let shown = format!("{:?}", settings(&[(URL_VARIABLE, "https://a"), (KEY_VARIABLE, KEY)]).unwrap());
        assert!(!shown.contains("sk_live_"), "{shown}");
    }
}
