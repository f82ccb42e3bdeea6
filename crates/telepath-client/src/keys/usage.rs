//! `GET /v1/keys/{id}/usage`: what a key was used for, by minute, hour or day; and `GET /v1/usage`, the requests of many
//! keys.

use telepath_api_types::key_usage::{KeyUsage, UsageList};
use telepath_core::clock::Timestamp;
use telepath_core::id::{KeyId, SecretId};

use crate::client::Client;
use crate::error::Error;
use crate::request::Query;

/// The range of usage; the server chooses members that are left out.
#[derive(Debug, Clone, Default)]
pub struct UsageQuery {
    /// Only the use of this secret.
    pub secret_id: Option<SecretId>,
    /// `minute`, `hour` or `day`.
    pub interval: Option<String>,
    /// The start of the range.
    pub start_date: Option<Timestamp>,
    /// The end of the range.
    pub end_date: Option<Timestamp>,
}

impl Client {
    /// The use of a key.
    pub async fn key_usage(&self, id: KeyId, query: &UsageQuery) -> Result<KeyUsage, Error> {
        let path = Query::new(&format!("/v1/keys/{id}/usage"))
            .add("secret_id", query.secret_id)
            .add("interval", query.interval.as_deref())
            .add("start_date", query.start_date)
            .add("end_date", query.end_date)
            .finish();
        self.get(&path).await
    }

    /// The requests of up to 100 keys. `secret_id` of the query must be `None`.
    pub async fn usage_of_keys(&self, keys: &[KeyId], query: &UsageQuery) -> Result<UsageList, Error> {
        let path = keys.iter().fold(Query::new("/v1/usage"), |path, key| path.add("key_id", Some(key)));
        let path = path
            .add("secret_id", query.secret_id)
            .add("interval", query.interval.as_deref())
            .add("start_date", query.start_date)
            .add("end_date", query.end_date);
        self.get(&path.finish()).await
    }
}
