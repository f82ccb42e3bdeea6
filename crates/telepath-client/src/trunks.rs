//! `/v1/trunks`: create, list, change and delete trunks.

use telepath_api_types::trunks::{self, CreateTrunk, CreatedTrunk, Trunk, TrunkList, UpdateTrunk};
use telepath_core::clock::Timestamp;
use telepath_core::id::TrunkId;
use telepath_core::secret::SecretText;

use crate::client::Client;
use crate::error::Error;
use crate::page::ListPage;
use crate::request::Query;

/// A trunk's new SIP password, which is shown only once.
#[derive(Debug, Clone)]
pub struct RotatedSipPassword {
    /// The id of the trunk.
    pub id: TrunkId,
    /// The user part of its SIP URI.
    pub sip_username: String,
    /// The new password; the previous one no longer works.
    pub sip_password: SecretText,
    pub rotated_at: Timestamp,
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
    /// Items to skip.
    pub offset: Option<u32>,
    /// The `next_cursor` of the page before, instead of `offset`.
    pub cursor: Option<String>,
}

impl Client {
    /// Creates a trunk.
    pub async fn create_trunk(&self, request: &CreateTrunk) -> Result<CreatedTrunk, Error> {
        self.post("/v1/trunks", request).await
    }

    /// One page of the account's trunks, newest first.
    pub async fn list_trunks(&self, query: &TrunksQuery) -> Result<ListPage<Trunk>, Error> {
        let path = Query::new("/v1/trunks")
            .add("status", query.status.as_deref())
            .add("sort", query.sort.as_deref())
            .add("limit", query.limit)
            .add("offset", query.offset)
            .add("cursor", query.cursor.as_deref())
            .finish();
        let list: TrunkList = self.get(&path).await?;
        Ok(ListPage { items: list.trunks, pagination: list.pagination })
    }

    /// One trunk.
    pub async fn get_trunk(&self, id: TrunkId) -> Result<Trunk, Error> {
        self.get(&format!("/v1/trunks/{id}")).await
    }

    /// Changes a trunk.
    pub async fn update_trunk(&self, id: TrunkId, change: &UpdateTrunk) -> Result<Trunk, Error> {
        self.patch(&format!("/v1/trunks/{id}"), change).await
    }

    /// Deletes a trunk. Its live calls end; its history stays.
    pub async fn delete_trunk(&self, id: TrunkId) -> Result<(), Error> {
        self.delete(&format!("/v1/trunks/{id}")).await
    }

    /// Gives a trunk a new SIP password. The previous one stops working at once.
    pub async fn rotate_sip_password(&self, id: TrunkId) -> Result<RotatedSipPassword, Error> {
        let body: trunks::RotatedSipPassword =
            self.post_empty(&format!("/v1/trunks/{id}/rotate-sip-password")).await?;
        match body.sip_password {
            Some(sip_password) => Ok(RotatedSipPassword {
                id: body.id,
                sip_username: body.sip_username,
                sip_password,
                rotated_at: body.rotated_at,
            }),
            None => Err(Error::SecretLost { id: body.id.to_string() }),
        }
    }
}
