//! `/v1/account`: the caller's account and its policies. `/local/accounts`: all accounts, for local administration only.

use telepath_api_types::account::{Account, AccountList, AdministerAccount, CreateAccount, UpdateAccount};
use telepath_core::id::AccountId;

use crate::client::Client;
use crate::error::Error;
use crate::page::{ListPage, PageQuery};
use crate::request::Query;

impl Client {
    /// The account of the client's key.
    pub async fn account(&self) -> Result<Account, Error> {
        self.get("/v1/account").await
    }

    /// Changes the account.
    pub async fn update_account(&self, change: &UpdateAccount) -> Result<Account, Error> {
        self.patch("/v1/account", change).await
    }

    /// One page of the installation's accounts, oldest first; local administration only.
    pub async fn list_accounts(&self, query: &PageQuery) -> Result<ListPage<Account>, Error> {
        let path = Query::new("/local/accounts")
            .add("limit", query.limit)
            .add("offset", query.offset)
            .add("cursor", query.cursor.as_deref())
            .finish();
        let list: AccountList = self.get(&path).await?;
        Ok(ListPage { items: list.accounts, pagination: list.pagination })
    }

    /// Creates an account; local administration only.
    pub async fn create_account(&self, new: &CreateAccount) -> Result<Account, Error> {
        self.post("/local/accounts", new).await
    }

    /// An account of the installation; local administration only.
    pub async fn get_account(&self, id: AccountId) -> Result<Account, Error> {
        self.get(&format!("/local/accounts/{id}")).await
    }

    /// Changes name, mode or maximum rate limit of an account; local administration only.
    pub async fn administer_account(
        &self,
        id: AccountId,
        change: &AdministerAccount,
    ) -> Result<Account, Error> {
        self.patch(&format!("/local/accounts/{id}"), change).await
    }
}
