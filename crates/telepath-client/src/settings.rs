//! Where a client connects to and with which key, as programs are told it: by environment variables, or by a file of
//! such variables when it is named. Neither the key nor a line of a file can be printed.

mod env_file;

use std::path::Path;

pub use env_file::EnvFile;
use telepath_core::secret::SecretText;

use crate::retry::RetryPolicy;
use crate::transport::Trust;
use crate::{Client, Error};

/// The variable that holds the API key.
pub const KEY_VARIABLE: &str = "TELEPATH_API_KEY";
/// The variable that holds the base URL, such as `https://voice.example:8443`.
pub const URL_VARIABLE: &str = "TELEPATH_API_URL";
/// The variable that names a PEM file of certificate authorities; without it those of the system are trusted.
pub const CA_FILE_VARIABLE: &str = "TELEPATH_CA_FILE";

/// What a client needs to know.
#[derive(Debug, Clone)]
pub struct Settings {
    url: String,
    key: SecretText,
    trust: Trust,
    loopback_http: bool,
    retry: RetryPolicy,
}

impl Settings {
    /// For a server and a key that the caller knows.
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

    /// From a file of variables, and for what it does not name from the process. No file is looked for by itself.
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

    /// From variables of any source. An empty one counts as not set.
    ///
    /// # Errors
    /// [`Error::Setting`] when one is missing, and whatever `read` answers.
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

    /// Who vouches for the server.
    #[must_use]
    pub fn trust(mut self, trust: Trust) -> Self {
        self.trust = trust;
        self
    }

    /// Also takes an `http://` URL whose host is this machine. Other machines are reached by HTTPS only, always.
    #[must_use]
    pub fn allow_loopback_http(mut self) -> Self {
        self.loopback_http = true;
        self
    }

    /// How often and how long to try.
    #[must_use]
    pub fn retry(mut self, policy: RetryPolicy) -> Self {
        self.retry = policy;
        self
    }

    /// The client. Nothing is sent.
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

fn process_variable(name: &'static str) -> Result<Option<String>, Error> {
    match std::env::var(name) {
        Ok(value) => Ok(Some(value)),
        Err(std::env::VarError::NotPresent) => Ok(None),
        // The value is not repeated: it may be the key.
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
    fn url_and_key_are_needed_and_the_missing_one_is_named() {
        let error = settings(&[(KEY_VARIABLE, KEY), (URL_VARIABLE, " ")]).unwrap_err();
        assert_eq!(error.to_string(), "TELEPATH_API_URL is not set");
        let error = settings(&[(URL_VARIABLE, "https://voice.example")]).unwrap_err();
        assert_eq!(error.to_string(), "TELEPATH_API_KEY is not set");
    }

    #[test]
    fn plain_http_is_for_this_machine_and_only_when_asked_for() {
        let plain = |url| settings(&[(URL_VARIABLE, url), (KEY_VARIABLE, KEY)]).unwrap();
        assert!(matches!(plain("http://127.0.0.1:8080").client(), Err(Error::BadUrl { .. })));
        assert!(plain("http://127.0.0.1:8080").allow_loopback_http().client().is_ok());
        let far = plain("http://voice.example").allow_loopback_http().client();
        assert!(matches!(far, Err(Error::BadUrl { .. })));
    }

    #[test]
    fn the_authorities_of_the_named_file_are_the_ones_trusted() {
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
