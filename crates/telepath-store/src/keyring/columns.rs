//! Every column that contains sealed secrets. A test compares the list with the columns of the schema.

use telepath_core::id::{TrunkId, UserId, WebhookId};
use telepath_core::trunk::CredentialField;

use crate::{trunk, user, webhook};

/// A column of sealed secrets. Two columns identify a row, so that all tables can be treated alike.
pub(crate) struct SealedColumn {
    /// What the secrets are.
    pub(super) kind: &'static str,
    pub(crate) table: &'static str,
    pub(crate) column: &'static str,
    key: [&'static str; 2],
    /// What a secret is sealed for, from the values of the key; `None` if they are not the program's own.
    pub(super) place: fn(&str, &str) -> Option<String>,
}

pub(crate) const SEALED: &[SealedColumn] = &[
    SealedColumn {
        kind: "agent_credentials",
        table: "trunk_credentials",
        column: "sealed",
        key: ["trunk_id", "field"],
        place: |trunk, field| Some(CredentialField::from_name(field)?.place(trunk.parse().ok()?)),
    },
    SealedColumn {
        kind: "sip_passwords",
        table: "trunks",
        column: "sip_digest",
        key: ["id", "account_id"],
        place: |trunk, _| Some(trunk::digest_place(trunk.parse::<TrunkId>().ok()?)),
    },
    SealedColumn {
        kind: "webhook_secrets",
        table: "webhook_secrets",
        column: "sealed",
        key: ["id", "webhook_id"],
        place: |secret, webhook| Some(webhook::secret::place(webhook.parse().ok()?, secret.parse().ok()?)),
    },
    SealedColumn {
        kind: "webhook_headers",
        table: "webhooks",
        column: "headers",
        key: ["id", "account_id"],
        place: |webhook, _| Some(webhook::secret::headers_place(webhook.parse::<WebhookId>().ok()?)),
    },
    SealedColumn {
        kind: "authenticators",
        table: "second_factors",
        column: "sealed",
        key: ["user_id", "kind"],
        place: |user, _| Some(user::factor::place(user.parse::<UserId>().ok()?)),
    },
];

impl SealedColumn {
    /// Counts the secrets of each key. The bytes after the version name it.
    pub(super) fn count(&self) -> String {
        let Self { table, column, .. } = self;
        format!(
            "SELECT substr({column}, 2, 8) AS id, count(*) AS secrets FROM {table} WHERE {column} IS NOT NULL GROUP BY 1"
        )
    }

    /// Selects whether the key `$1` seals anything.
    pub(super) fn any(&self) -> String {
        let Self { table, column, .. } = self;
        format!(
            "SELECT 1 AS one FROM {table} WHERE {column} IS NOT NULL AND substr({column}, 2, 8) = $1 LIMIT 1"
        )
    }

    /// Selects secrets that another key than `$1` sealed, after the row `$2`, `$3`; at most `$4`.
    pub(super) fn select(&self) -> String {
        let Self { table, column, key: [first, second], .. } = self;
        format!(
            "SELECT {first} AS first, {second} AS second, {column} AS sealed FROM {table} \
             WHERE {column} IS NOT NULL AND substr({column}, 2, 8) <> $1 AND ({first}, {second}) > ($2, $3) \
             ORDER BY {first}, {second} LIMIT $4"
        )
    }

    /// Replaces `$3` by `$4` in the row `$1`, `$2`, unless the secret was changed meanwhile.
    pub(super) fn replace(&self) -> String {
        let Self { table, column, key: [first, second], .. } = self;
        format!("UPDATE {table} SET {column} = $4 WHERE {first} = $1 AND {second} = $2 AND {column} = $3")
    }
}
