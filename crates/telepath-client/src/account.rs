//! `/v1/account`: the caller's account and its policies.

use telepath_api_types::account::{Account, UpdateAccount};

use crate::client::Client;
use crate::error::Error;

impl Client {
    /// The account of the client's key.
    pub async fn account(&self) -> Result<Account, Error> {
        self.get("/v1/account").await
    }

    /// Changes the account.
    pub async fn update_account(&self, change: &UpdateAccount) -> Result<Account, Error> {
        self.patch("/v1/account", change).await
    }
}
