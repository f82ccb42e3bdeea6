//! `/v1/audit-events`: who changed what, and whether the trail is intact.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use telepath_core::audit::AuditRecord;
use telepath_core::clock::Timestamp;
use telepath_core::id::AuditId;

#[cfg(feature = "openapi")]
use crate::enums;
use crate::page::Pagination;

/// One change in the audit trail.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AuditEvent {
    /// The id.
    #[cfg_attr(feature = "openapi", schema(value_type = String, example = "aud_01k9v1n2xrf6t8g3m5q7w9y0za"))]
    pub id: AuditId,
    /// Its position in the account's trail, counted from 1 without gaps.
    #[cfg_attr(feature = "openapi", schema(example = 17))]
    pub position: u64,
    /// When it happened.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub time: Timestamp,
    /// Who did it: a key's or a user's id, `local` or `system`.
    #[cfg_attr(feature = "openapi", schema(example = "local"))]
    pub actor: String,
    /// The caller's address; null for local administration and for the server itself.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, example = "203.0.113.7"))]
    pub address: Option<IpAddr>,
    /// The action.
    #[cfg_attr(feature = "openapi", schema(value_type = enums::AuditAction, example = "key.updated"))]
    pub action: String,
    /// The id of the resource that changed.
    #[cfg_attr(feature = "openapi", schema(example = "key_01k9v1n2xrf6t8g3m5q7w9y0za"))]
    pub target: String,
    /// The changed members before the change, without secrets.
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub before: serde_json::Value,
    /// The changed members after the change, without secrets.
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub after: serde_json::Value,
    /// HMAC-SHA-256 over this entry and the hash of the one before, in hexadecimal. Its key is derived from the master key.
    #[cfg_attr(
        feature = "openapi",
        schema(example = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08")
    )]
    pub hash: String,
}

/// A page of audit events.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AuditEventList {
    /// The newest first.
    pub audit_events: Vec<AuditEvent>,
    pub pagination: Pagination,
}

/// The result of verifying the trail.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AuditVerification {
    /// Whether every entry is unchanged and none is missing.
    pub intact: bool,
    /// Number of unchanged entries, counted from the first.
    pub entries: u64,
    /// The position of the first changed or missing entry; null when the trail is intact.
    pub broken_at: Option<u64>,
    /// The newest unchanged entry, as position and hash: what `expect_head` takes later.
    #[cfg_attr(
        feature = "openapi",
        schema(example = "17:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08")
    )]
    pub head: String,
    /// Retention has deleted the entries up to this position.
    pub expired_up_to: u64,
    /// Entries up to this position were written by a version that linked them without a key. Someone who can write to the
    /// database can replace them.
    pub unkeyed_up_to: u64,
    /// Whether the trail contains the entry that `expect_head` names; null without `expect_head`.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<enums::ExpectedHead>, example = "found"))]
    pub expected_head: Option<String>,
}

impl From<AuditRecord> for AuditEvent {
    fn from(record: AuditRecord) -> Self {
        Self {
            id: record.id,
            position: record.position,
            time: record.origin.at,
            actor: record.origin.actor.to_string(),
            address: record.origin.address,
            action: record.action.name().to_owned(),
            target: record.target,
            before: record.before,
            after: record.after,
            hash: record.hash.to_string(),
        }
    }
}
