//! `/local/sip/strangers`: who calls without reaching a trunk.

use telepath_api_types::sip::SipStrangerList;

use crate::client::Client;
use crate::error::Error;

impl Client {
    /// The sources of INVITEs that reached no trunk; local administration only.
    pub async fn list_sip_strangers(&self) -> Result<SipStrangerList, Error> {
        self.get("/local/sip/strangers").await
    }
}
