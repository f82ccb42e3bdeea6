//! `[oidc]`: users who sign in at an OpenID Connect provider.

use std::path::PathBuf;

use telepath_core::secret::SecretText;
use telepath_core::user::{GroupRole, GroupRoles, Role};

use super::Check;
use crate::config::layers::Value;
use crate::config::values;

/// The most groups with a role.
const MAX_ROLES: usize = 100;

/// `[oidc]`.
#[derive(Debug, Clone)]
pub struct OidcConfig {
    /// The URL by which the provider identifies itself.
    pub issuer: String,
    pub client_id: String,
    /// `None` for a public client.
    pub client_secret: Option<SecretText>,
    /// What users call the provider.
    pub name: String,
    pub scopes: Vec<String>,
    /// The claim with the groups of a user.
    pub groups_claim: String,
    pub roles: GroupRoles,
    /// Certificate authorities of the provider; `None` stands for those of the system.
    pub ca_file: Option<PathBuf>,
}

impl Check<'_> {
    /// `None` if a setting is invalid, `Some(None)` if no provider is configured.
    #[expect(clippy::option_option, reason = "outer: valid or not; inner: set or not")]
    pub(super) fn oidc(&mut self) -> Option<Option<OidcConfig>> {
        let roles = self.group_roles();
        let otherwise = self.required("oidc.default_role", |text| match text {
            "none" => Ok(None),
            role => role.parse::<Role>().map(Some).map_err(|problem| format!("{problem}, or none")),
        });
        let scopes = self.required("oidc.scopes", scopes);
        let name = self.required("oidc.name", line);
        let groups_claim = self.required("oidc.groups_claim", line);
        let ca_file = self.optional("oidc.ca_file", values::path);
        let Some(issuer) = self.optional("oidc.issuer", issuer)? else {
            return match self.optional("oidc.client_id", line)? {
                Some(_) => self.missing("oidc.issuer", "is required with oidc.client_id"),
                None => Some(None),
            };
        };
        let Some(client_id) = self.optional("oidc.client_id", line)? else {
            return self.missing("oidc.client_id", "is required with oidc.issuer");
        };
        Some(Some(OidcConfig {
            issuer,
            client_id,
            client_secret: self.secret("oidc.client_secret"),
            name: name?,
            scopes: scopes?,
            groups_claim: groups_claim?,
            roles: GroupRoles { roles: roles?, otherwise: otherwise? },
            ca_file: ca_file?,
        }))
    }

    /// A group in a list of the file may contain commas; in the environment, commas separate them.
    fn group_roles(&mut self) -> Option<Vec<(String, Role)>> {
        let texts: Vec<String> = match self.layers.get("oidc.roles").map(|given| &given.value) {
            None => Vec::new(),
            Some(Value::List(items)) => items.clone(),
            Some(Value::Text(text)) => text.expose().split(',').map(str::to_owned).collect(),
        };
        let read = texts.iter().map(|text| {
            let GroupRole(group, role) = text.parse().map_err(|problem| format!("{problem}"))?;
            Ok((group, role))
        });
        let roles = read.collect::<Result<Vec<_>, String>>().and_then(|roles| {
            if roles.len() <= MAX_ROLES { Ok(roles) } else { Err(format!("must be at most {MAX_ROLES}")) }
        });
        self.keep("oidc.roles", roles)
    }
}

fn line(text: &str) -> Result<String, String> {
    let fits = (1..=255).contains(&text.len()) && !text.chars().any(char::is_control);
    if fits { Ok(text.to_owned()) } else { Err("must have 1 to 255 characters on one line".to_owned()) }
}

/// OpenID Connect Discovery 1.0 section 3: an `https` URL without query and fragment, compared exactly.
fn issuer(text: &str) -> Result<String, String> {
    let wrong = || "must be an https:// URL without query and fragment, as the provider writes it".to_owned();
    let uri: http::Uri = text.parse().map_err(|_| wrong())?;
    let authority = uri.authority().ok_or_else(wrong)?;
    let is_url = uri.scheme_str() == Some("https")
        && !authority.as_str().contains('@')
        && uri.query().is_none()
        && !text.contains('#');
    if is_url { Ok(text.to_owned()) } else { Err(wrong()) }
}

fn scopes(text: &str) -> Result<Vec<String>, String> {
    let scopes: Vec<String> = line(text)?.split_whitespace().map(str::to_owned).collect();
    if scopes.iter().any(|scope| scope == "openid") {
        Ok(scopes)
    } else {
        Err("must contain openid".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Environment, Layers};

    fn check(pairs: &[(&str, &str)]) -> Result<Option<OidcConfig>, String> {
        let env: Environment = [("TELEPATH_DATA_DIR", "d")]
            .iter()
            .chain(pairs)
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        let layers = Layers::gather(&Vec::new(), &env, None).unwrap();
        Config::check(&layers).map(|config| config.oidc).map_err(|error| error.to_string())
    }

    const PROVIDER: [(&str, &str); 2] =
        [("TELEPATH_OIDC_ISSUER", "https://login.example.com/t"), ("TELEPATH_OIDC_CLIENT_ID", "telepath")];

    #[test]
    fn a_provider_needs_an_issuer_and_a_client() {
        assert!(check(&[]).unwrap().is_none());
        let oidc = check(&PROVIDER).unwrap().unwrap();
        assert_eq!(
            (oidc.name.as_str(), oidc.scopes.join(" ")),
            ("single sign-on", "openid email profile".to_owned())
        );
        assert_eq!(oidc.roles, GroupRoles::default());
        for (pairs, problem) in
            [(&PROVIDER[..1], "oidc.client_id is required"), (&PROVIDER[1..], "oidc.issuer is required")]
        {
            let error = check(pairs).unwrap_err();
            assert!(error.contains(problem), "{error}");
        }
    }

    #[test]
    fn groups_and_their_roles_are_read() {
        let roles =
            [("TELEPATH_OIDC_ROLES", "a=owner, b = viewer"), ("TELEPATH_OIDC_DEFAULT_ROLE", "developer")];
        let oidc = check(&[&PROVIDER[..], &roles].concat()).unwrap().unwrap();
        let expected = vec![("a".to_owned(), Role::Owner), ("b".to_owned(), Role::Viewer)];
        assert_eq!(oidc.roles, GroupRoles { roles: expected, otherwise: Some(Role::Developer) });
        for (name, value) in [
            ("TELEPATH_OIDC_ROLES", "a=root"),
            ("TELEPATH_OIDC_DEFAULT_ROLE", "root"),
            ("TELEPATH_OIDC_SCOPES", "email"),
            ("TELEPATH_OIDC_ISSUER", "http://login.example.com"),
            ("TELEPATH_OIDC_ISSUER", "https://login.example.com?tenant=1"),
            ("TELEPATH_OIDC_ISSUER", "https://ada@login.example.com"),
        ] {
            let error = check(&[&PROVIDER[..], &[(name, value)]].concat()).unwrap_err();
            let key = name.replace("TELEPATH_OIDC_", "oidc.").to_ascii_lowercase();
            assert!(error.contains(&key), "{error}");
        }
    }
}
