//! Reports of leaked keys, and the published pattern by which scanners find keys.

use serde::{Deserialize, Serialize};
use telepath_core::leak::{self, LeakReportDraft};
use telepath_core::secret::SecretText;

use crate::secret;

/// A report of leaked secrets.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(example = json!({"secrets": ["sk_live_…"]})))]
#[serde(deny_unknown_fields)]
pub struct LeakReport {
    /// The secrets, at most 100.
    #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "secret::reveal_list")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Vec<String>>, max_items = 100, required))]
    pub secrets: Option<Vec<SecretText>>,
}

/// One secret found by a secret-scanning partner. Other members are ignored.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(example = json!({"token": "sk_live_…", "type": "telepath_api_key", "url": "https://code.example/project/config.py", "source": "commit"})))]
pub struct FoundSecret {
    /// The text that has the published pattern.
    #[serde(serialize_with = "secret::reveal_one")]
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub token: SecretText,
    /// The partner's name of the pattern.
    #[serde(default, rename = "type")]
    pub kind: String,
    /// Where it was found.
    #[serde(default)]
    pub url: String,
    /// The kind of place where it was found, such as `commit`.
    #[serde(default)]
    pub source: String,
}

/// How to find and report keys.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct KeyPattern {
    /// A regular expression that every key matches.
    #[cfg_attr(feature = "openapi", schema(example = "sk_(live|test)_[0-9A-Za-z]{49}"))]
    pub pattern: String,
    /// The prefixes of keys.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<String>, example = json!(["sk_live_", "sk_test_"])))]
    pub prefixes: Vec<String>,
    /// How to tell keys from false positives.
    pub checksum: KeyChecksum,
    /// The path for reports of found keys: a `POST` with the member `secrets`.
    #[cfg_attr(feature = "openapi", schema(example = "/v1/keys/report-leak"))]
    pub report_url: String,
    /// The most secrets in one report.
    #[cfg_attr(feature = "openapi", schema(example = 100))]
    pub max_secrets: usize,
}

/// A key ends with a checksum of the characters before it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct KeyChecksum {
    /// The checksum over all characters before it.
    #[cfg_attr(feature = "openapi", schema(example = "CRC-32"))]
    pub algorithm: String,
    /// Its length in characters.
    #[cfg_attr(feature = "openapi", schema(example = 6))]
    pub length: usize,
    /// Its digits: a number of fixed length in this alphabet, most significant digit first.
    #[cfg_attr(
        feature = "openapi",
        schema(example = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
    )]
    pub alphabet: String,
}

impl From<LeakReport> for LeakReportDraft {
    fn from(LeakReport { secrets }: LeakReport) -> Self {
        Self { secrets }
    }
}

impl From<FoundSecret> for leak::FoundSecret {
    fn from(found: FoundSecret) -> Self {
        let FoundSecret { token, kind: _, url, source } = found;
        Self { token, url, source }
    }
}
