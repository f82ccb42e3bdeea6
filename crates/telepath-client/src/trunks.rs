//! `/v1/trunks`: make, list and change trunks.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize, Serializer};
use telepath_core::clock::Timestamp;
use telepath_core::id::TrunkId;
use telepath_core::secret::SecretText;

use crate::client::Client;
use crate::error::Error;
use crate::page::{ListPage, Pagination};
use crate::request::Query;

/// A trunk without its secrets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trunk {
    /// Its id.
    pub id: TrunkId,
    /// What people call it.
    pub name: String,
    /// `active`, `inactive` or `error`.
    pub status: String,
    /// `openai`, `elevenlabs` or `custom`.
    pub ai_provider: String,
    /// The user part of its SIP URI.
    pub sip_username: String,
    /// Where carriers call it.
    pub sip_endpoint: String,
    /// Where a custom agent listens.
    #[serde(default)]
    pub custom_endpoint: Option<String>,
    /// The OpenAI API key; `None` when none is set.
    #[serde(default)]
    pub openai_api_key: Option<Credential>,
    /// The ElevenLabs API key; `None` when none is set.
    #[serde(default)]
    pub elevenlabs_api_key: Option<Credential>,
    /// The headers for a custom agent; `None` when none are set.
    #[serde(default)]
    pub custom_headers: Option<Credential>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// What may be shown of a credential that is set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credential {
    /// Its last four characters; `None` when it is too short to show any.
    #[serde(default)]
    pub last4: Option<String>,
    /// When it was set.
    pub updated_at: Timestamp,
}

impl Trunk {
    /// The credentials that are set, each with the name of the member that changes it.
    pub fn credentials(&self) -> impl Iterator<Item = (&'static str, &Credential)> {
        [
            ("openai_api_key", &self.openai_api_key),
            ("elevenlabs_api_key", &self.elevenlabs_api_key),
            ("custom_headers", &self.custom_headers),
        ]
        .into_iter()
        .filter_map(|(name, credential)| credential.as_ref().map(|credential| (name, credential)))
    }
}

/// A trunk that was just made.
#[derive(Debug, Clone, Deserialize)]
pub struct CreatedTrunk {
    /// The trunk.
    #[serde(flatten)]
    pub trunk: Trunk,
    /// The made SIP password, shown this once; `None` when one was given.
    #[serde(default)]
    pub sip_password: Option<SecretText>,
}

/// A trunk's new SIP password, shown this once.
#[derive(Debug, Clone)]
pub struct RotatedSipPassword {
    /// The trunk.
    pub id: TrunkId,
    /// The user part of its SIP URI.
    pub sip_username: String,
    /// The new password; the old one is dead.
    pub sip_password: SecretText,
    /// Since when.
    pub rotated_at: Timestamp,
}

/// As it is answered: an answer that is given again is without the password.
#[derive(Deserialize)]
struct RotatedAnswer {
    id: TrunkId,
    sip_username: String,
    #[serde(default)]
    sip_password: Option<SecretText>,
    rotated_at: Timestamp,
}

impl RotatedAnswer {
    fn rotated(self) -> Result<RotatedSipPassword, Error> {
        let Self { id, sip_username, sip_password, rotated_at } = self;
        let sip_password = sip_password.ok_or_else(|| Error::SecretLost { id: id.to_string() })?;
        Ok(RotatedSipPassword { id, sip_username, sip_password, rotated_at })
    }
}

/// What to make, or (with members left out) what to change. The server checks all of it.
#[derive(Debug, Clone, Default, Serialize)]
pub struct TrunkRequest {
    /// What people call it, 1–100 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// `active` or `inactive`; only in changes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// `openai`, `elevenlabs` or `custom`; not in changes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ai_provider: Option<String>,
    /// 3–30 letters, digits and hyphens; not in changes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sip_username: Option<String>,
    /// At least 8 characters; one is made when left out. Not in changes.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "exposed")]
    pub sip_password: Option<SecretText>,
    /// For `openai`.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "exposed")]
    pub openai_api_key: Option<SecretText>,
    /// For `elevenlabs`.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "exposed")]
    pub elevenlabs_api_key: Option<SecretText>,
    /// For `elevenlabs`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub elevenlabs_agent_id: Option<String>,
    /// For `custom`: `wss://`, or `ws://` on a loopback host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub custom_endpoint: Option<String>,
    /// Said to the agent at the start of each call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub system_prompt: Option<String>,
    /// Pairs that mean something to you.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
}

#[expect(clippy::ref_option, reason = "the signature that serde calls")]
fn exposed<S: Serializer>(secret: &Option<SecretText>, serializer: S) -> Result<S::Ok, S::Error> {
    // A request is where the secret has to go; the body is sent over TLS or inside this machine only.
    secret.as_ref().map(SecretText::expose).serialize(serializer)
}

/// Which trunks to list.
#[derive(Debug, Clone, Default)]
pub struct TrunksQuery {
    /// Only trunks in this state.
    pub status: Option<String>,
    /// `created_at` or `-created_at`.
    pub sort: Option<String>,
    /// Items per page, 1–100.
    pub limit: Option<u32>,
    /// Items to pass over.
    pub offset: Option<u32>,
}

#[derive(Deserialize)]
struct TrunkList {
    trunks: Vec<Trunk>,
    pagination: Pagination,
}

impl Client {
    /// Makes a trunk.
    pub async fn create_trunk(&self, request: &TrunkRequest) -> Result<CreatedTrunk, Error> {
        self.post("/v1/trunks", request).await
    }

    /// One page of the account's trunks, newest first.
    pub async fn list_trunks(&self, query: &TrunksQuery) -> Result<ListPage<Trunk>, Error> {
        let path = Query::new("/v1/trunks")
            .add("status", query.status.as_deref())
            .add("sort", query.sort.as_deref())
            .add("limit", query.limit)
            .add("offset", query.offset)
            .finish();
        let list: TrunkList = self.get(&path).await?;
        Ok(ListPage { items: list.trunks, pagination: list.pagination })
    }

    /// One trunk.
    pub async fn get_trunk(&self, id: TrunkId) -> Result<Trunk, Error> {
        self.get(&format!("/v1/trunks/{id}")).await
    }

    /// Changes what the request names and nothing else.
    pub async fn update_trunk(&self, id: TrunkId, change: &TrunkRequest) -> Result<Trunk, Error> {
        self.patch(&format!("/v1/trunks/{id}"), change).await
    }

    /// Deletes a trunk; its live calls end, its history stays.
    pub async fn delete_trunk(&self, id: TrunkId) -> Result<(), Error> {
        self.delete(&format!("/v1/trunks/{id}")).await
    }

    /// Gives a trunk a new SIP password; the old one is dead at once.
    pub async fn rotate_sip_password(&self, id: TrunkId) -> Result<RotatedSipPassword, Error> {
        self.post_empty::<RotatedAnswer>(&format!("/v1/trunks/{id}/rotate-sip-password")).await?.rotated()
    }
}
