//! Settings for users who sign in at an OpenID Connect provider.

use super::{Kind, Setting};

settings! {
    OIDC;
    "oidc.issuer", "TELEPATH_OIDC_ISSUER", Kind::Url, None, "\"https://login.example.com\"",
        "The issuer URL of the OpenID Connect provider where users may sign in. Without it, they sign in with a password. The redirect URI to register there is the address of the dashboard and `/login/oidc/callback`.";
    "oidc.client_id", "TELEPATH_OIDC_CLIENT_ID", Kind::Text, None, "\"telepath\"",
        "The client that is registered at the provider. Required with `oidc.issuer`.";
    "oidc.client_secret", "TELEPATH_OIDC_CLIENT_SECRET", Kind::Secret, None, "\"<secret>\"",
        "The secret of the client. A public client has none; every sign-in uses PKCE.";
    "oidc.name", "TELEPATH_OIDC_NAME", Kind::Text, Some("single sign-on"), "\"Example login\"",
        "What the sign-in page calls the provider.";
    "oidc.scopes", "TELEPATH_OIDC_SCOPES", Kind::Text, Some("openid email profile"), "\"openid email profile groups\"",
        "The scopes to ask for, separated by spaces. `openid` is one of them; add the one with which your provider sends groups.";
    "oidc.groups_claim", "TELEPATH_OIDC_GROUPS_CLAIM", Kind::Text, Some("groups"), "\"groups\"",
        "The claim of the ID token that lists the groups of a user.";
    "oidc.roles", "TELEPATH_OIDC_ROLES", Kind::GroupRoles, None, "[\"telepath-owners=owner\", \"telepath-admins=admin\"]",
        "The role that each group gives. The most powerful one counts, at each sign-in. Without this setting, members keep the role that they were given here.";
    "oidc.default_role", "TELEPATH_OIDC_DEFAULT_ROLE", Kind::Choice(&["none", "viewer", "developer", "admin", "owner"]), Some("none"), "\"viewer\"",
        "The role of users who are in none of the groups of `oidc.roles`. With `none`, they cannot sign in, except members if `oidc.roles` is not set.";
    "oidc.ca_file", "TELEPATH_OIDC_CA_FILE", Kind::Path, None, "\"/etc/telepath/login-ca.pem\"",
        "Certificate authorities of the provider in PEM form, instead of those of the system. A provider on a private network must also be listed in `egress.allow`.";
}
