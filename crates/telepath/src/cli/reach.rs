//! Chooses the API that a command uses: that of a data folder, or a remote server with a key. Naming both is an error,
//! because a command on the wrong server can do harm.

use std::path::{Path, PathBuf};

use clap::Args;
use telepath_client::{AccountId, Client, EnvFile, Error, KEY_VARIABLE, Settings, Trust, URL_VARIABLE};

use super::admin::Admin;
use super::arguments::CommonArgs;
use crate::exit::{Exit, Failure};

/// Variables that select a data folder or its database.
const FOLDER_VARIABLES: [&str; 4] =
    ["TELEPATH_DATA_DIR", "TELEPATH_CONFIG", "TELEPATH_DATABASE_URL", "TELEPATH_DATABASE_URL_FILE"];

#[expect(clippy::doc_markdown, reason = "--help shows these texts, and backticks would be noise there")]
/// The data folder or the remote server that a command works on.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct ApiArgs {
    #[command(flatten)]
    pub(crate) common: CommonArgs,
    /// Account to work on, acct_…; the first account if omitted
    #[arg(long, value_name = "ACCOUNT")]
    pub(crate) account: Option<AccountId>,
    /// Remote server instead of a data folder, such as https://voice.example:8443; also TELEPATH_API_URL.
    /// The key is read from TELEPATH_API_KEY
    #[arg(long, value_name = "URL", help_heading = "Remote")]
    pub(crate) api_url: Option<String>,
    /// PEM file with the CA certificates to trust for that server; also TELEPATH_CA_FILE
    #[arg(long, value_name = "FILE", help_heading = "Remote")]
    pub(crate) ca_file: Option<PathBuf>,
    /// File (.env) with TELEPATH_API_KEY and TELEPATH_API_URL; no file is read by default
    #[arg(long, value_name = "FILE", help_heading = "Remote")]
    pub(crate) env_file: Option<PathBuf>,
    /// Also accept an http:// URL, on this machine only
    #[arg(long, help_heading = "Remote")]
    pub(crate) insecure_http: bool,
}

/// The selected API.
#[derive(Debug)]
enum Target {
    Folder,
    Elsewhere(Settings),
}

impl ApiArgs {
    fn folder_flag(&self) -> Option<&'static str> {
        first([
            (self.common.data_dir.is_some(), "--data-dir"),
            (self.account.is_some(), "--account"),
            (self.common.config.is_some(), "--config"),
            (self.common.database_url.is_some(), "--database-url"),
        ])
    }

    fn elsewhere_flag(&self) -> Option<&'static str> {
        first([
            (self.api_url.is_some(), "--api-url"),
            (self.env_file.is_some(), "--env-file"),
            (self.ca_file.is_some(), "--ca-file"),
            (self.insecure_http, "--insecure-http"),
        ])
    }

    /// Flags override variables. Within each, a data folder and a remote server exclude each other.
    fn target(&self, variable: impl Fn(&str) -> Option<String>) -> Result<Target, Failure> {
        let folder_variable = FOLDER_VARIABLES.iter().copied().find(|name| variable(name).is_some());
        let url_variable = variable(URL_VARIABLE).map(|_| URL_VARIABLE);
        match (self.folder_flag(), self.elsewhere_flag()) {
            (Some(folder), Some(elsewhere)) => Err(ambiguous(folder, elsewhere)),
            (Some(_), None) => Ok(Target::Folder),
            (None, Some(_)) => self.settings(variable).map(Target::Elsewhere),
            (None, None) => match (folder_variable, url_variable) {
                (Some(folder), Some(url)) => Err(ambiguous(folder, url)),
                (None, Some(_)) => self.settings(variable).map(Target::Elsewhere),
                (Some(_) | None, None) => Ok(Target::Folder),
            },
        }
    }

    fn settings(&self, variable: impl Fn(&str) -> Option<String>) -> Result<Settings, Failure> {
        let file = self.env_file.as_deref().map(EnvFile::read).transpose()?.unwrap_or_default();
        let read = |name: &'static str| {
            let named = file.get(name).map(|value| value.expose().to_owned());
            let given = if name == URL_VARIABLE { self.api_url.clone() } else { None };
            Ok::<_, Error>(given.or(named).or_else(|| variable(name)))
        };
        let mut settings = Settings::from_variables(read).map_err(missing)?;
        if let Some(path) = &self.ca_file {
            settings = settings.trust(Trust::CaFile(path.clone()));
        }
        Ok(if self.insecure_http { settings.allow_loopback_http() } else { settings })
    }
}

fn first<const N: usize>(flags: [(bool, &'static str); N]) -> Option<&'static str> {
    flags.into_iter().find(|(given, _)| *given).map(|(_, name)| name)
}

fn ambiguous(folder: &str, elsewhere: &str) -> Failure {
    Failure::new(
        Exit::Usage,
        format!("{folder} selects a data folder, but {elsewhere} selects a remote server"),
    )
    .remedy("Use only one of them; pass it as a flag if both are in the environment.")
}

fn missing(error: Error) -> Failure {
    let is_missing = |variable| matches!(&error, Error::Setting { name, .. } if name == variable);
    let remedy = if is_missing(KEY_VARIABLE) {
        Some("Keys are never read from the command line, because other users can see it.")
    } else if is_missing(URL_VARIABLE) {
        Some("Or pass --api-url.")
    } else {
        None
    };
    let failure = Failure::from(error);
    match remedy {
        Some(remedy) => failure.remedy(remedy),
        None => failure,
    }
}

/// Access to the API.
pub(crate) enum Api {
    /// Through a data folder.
    Folder(Admin),
    /// Over the network.
    Elsewhere(Client),
}

impl Api {
    pub(crate) async fn open(args: &ApiArgs) -> Result<Self, Failure> {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.trim().is_empty());
        if args.env_file.is_some() {
            // Reading the file may log warnings.
            args.common.quiet_layers(None)?;
        }
        match args.target(variable)? {
            Target::Folder => {
                let admin = Admin::open(&args.common).await?;
                Ok(Api::Folder(admin.with_account(args.account)))
            }
            Target::Elsewhere(settings) => {
                // Only the log settings matter here; the rest is for servers.
                args.common.quiet_layers(None)?;
                Ok(Api::Elsewhere(settings.client()?))
            }
        }
    }

    /// Whether no server runs on the folder, so that nothing new can arrive while the command runs.
    pub(crate) fn is_alone(&self) -> bool {
        match self {
            Api::Folder(admin) => admin.is_alone(),
            Api::Elsewhere(_) => false,
        }
    }

    pub(crate) fn client(&self) -> &Client {
        match self {
            Api::Folder(admin) => admin.client(),
            Api::Elsewhere(client) => client,
        }
    }

    pub(crate) async fn close(self) {
        match self {
            Api::Folder(admin) => admin.close().await,
            Api::Elsewhere(_) => {}
        }
    }
}

/// Runs `work` with a client and releases the data folder afterwards, also on failure.
pub(crate) async fn with_client<T>(
    args: &ApiArgs,
    work: impl AsyncFnOnce(&Client) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let api = Api::open(args).await?;
    let done = work(api.client()).await;
    api.close().await;
    done
}

/// Creates a file with mode 0600. Fails if it exists.
pub(crate) fn new_file(path: &Path) -> Result<std::fs::File, Failure> {
    use std::os::unix::fs::OpenOptionsExt as _;
    std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(|error| Failure::new(Exit::Usage, format!("cannot create {}: {error}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: (&str, &str) = (KEY_VARIABLE, "sk_live_0000000000000000000000000000000000000000000abcdef");
    const URL: (&str, &str) = (URL_VARIABLE, "https://voice.example");

    fn folder() -> ApiArgs {
        let common = CommonArgs { data_dir: Some("data".into()), ..CommonArgs::default() };
        ApiArgs { common, ..ApiArgs::default() }
    }

    fn elsewhere() -> ApiArgs {
        ApiArgs { api_url: Some("https://other.example".to_owned()), ..ApiArgs::default() }
    }

    fn target(args: &ApiArgs, variables: &[(&str, &str)]) -> Result<Target, Failure> {
        args.target(|name| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn the_data_folder_is_the_default_and_a_url_selects_a_remote_server() {
        assert!(matches!(target(&ApiArgs::default(), &[KEY]), Ok(Target::Folder)));
        assert!(matches!(target(&ApiArgs::default(), &[KEY, URL]), Ok(Target::Elsewhere(_))));
        assert!(matches!(target(&elsewhere(), &[KEY]), Ok(Target::Elsewhere(_))));
    }

    #[test]
    fn flags_override_variables() {
        assert!(matches!(target(&folder(), &[KEY, URL]), Ok(Target::Folder)));
        let both = target(&elsewhere(), &[KEY, URL, ("TELEPATH_DATA_DIR", "data")]);
        let Ok(Target::Elsewhere(settings)) = both else { panic!("{both:?}") };
        assert!(format!("{settings:?}").contains("other.example"), "{settings:?}");
    }

    #[test]
    fn naming_a_folder_and_a_remote_server_is_rejected() {
        let two = ApiArgs { api_url: Some("https://voice.example".to_owned()), ..folder() };
        let ca = ApiArgs { ca_file: Some("ca.pem".into()), ..folder() };
        for failure in [
            target(&two, &[KEY]).unwrap_err(),
            target(&ca, &[KEY]).unwrap_err(),
            target(&ApiArgs::default(), &[KEY, URL, ("TELEPATH_DATA_DIR", "data")]).unwrap_err(),
        ] {
            assert_eq!(failure.exit, Exit::Usage);
            assert!(failure.message.contains("data folder"), "{failure}");
        }
    }

    #[test]
    fn missing_remote_settings_are_named() {
        let failure = target(&elsewhere(), &[]).unwrap_err();
        assert_eq!((failure.exit, failure.message.as_str()), (Exit::Config, "TELEPATH_API_KEY is not set"));
        let trust_only = ApiArgs { ca_file: Some("ca.pem".into()), ..ApiArgs::default() };
        let failure = target(&trust_only, &[KEY]).unwrap_err();
        assert_eq!(failure.message, "TELEPATH_API_URL is not set");
    }

    #[test]
    fn an_env_file_overrides_the_environment() {
        let home = crate::temporary::TemporaryFolder::new();
        let path = home.path().join("test.env");
        std::fs::write(&path, format!("{}={}\n{}=https://file.example\n", KEY.0, KEY.1, URL.0)).unwrap();
        let args = ApiArgs { env_file: Some(path), ..ApiArgs::default() };
        let chosen = target(&args, &[URL]);
        let Ok(Target::Elsewhere(settings)) = chosen else { panic!("{chosen:?}") };
        assert!(format!("{settings:?}").contains("file.example"), "{settings:?}");
    }
}
