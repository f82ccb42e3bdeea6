//! `GET /v1/whoami`: the client's own key.

use telepath_api_types::whoami::Whoami;

use crate::client::Client;
use crate::error::Error;

impl Client {
    /// The key that this client uses.
    pub async fn whoami(&self) -> Result<Whoami, Error> {
        self.get("/v1/whoami").await
    }
}
