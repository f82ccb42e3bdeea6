//! The Rust client of the Telepath API: typed calls over HTTPS, over plain HTTP to this machine only, or over the Unix
//! socket of a data folder (local administration, without a key).
//!
//! Every request has a time limit of 30 seconds. Nothing is repeated: an error says whether trying again may help
//! ([`Error::may_retry`]) and the caller decides. The key is never printed, in no error and no `Debug` output.
//!
//! ```no_run
//! # async fn example() -> Result<(), telepath_client::Error> {
//! use telepath_client::{Client, SecretText, Trust};
//!
//! let key = SecretText::new(std::env::var("TELEPATH_API_KEY").unwrap_or_default());
//! let client = Client::https("https://localhost:8443", key, Trust::SystemRoots)?;
//! println!("{}", client.whoami().await?.name);
//! # Ok(())
//! # }
//! ```

mod calls;
mod client;
mod error;
mod keys;
mod page;
mod transport;
mod trunks;
mod webhooks;
mod whoami;

pub use calls::{Call, CallDetails, CallFigures, CallTurn, CallsQuery};
pub use client::{Client, TIME_LIMIT};
pub use error::{ApiError, Error, FieldError};
pub use keys::{CreatedKey, Key, KeyRequest, KeysQuery};
pub use page::{ListPage, Pagination};
pub use telepath_core::call::MediaCounts;
pub use telepath_core::clock::Timestamp;
pub use telepath_core::id::{AccountId, CallId, DeliveryId, EventId, KeyId, TrunkId, WebhookId};
pub use telepath_core::secret::SecretText;
pub use transport::Trust;
pub use trunks::{CreatedTrunk, RotatedSipPassword, Trunk, TrunkRequest, TrunksQuery};
pub use webhooks::{
    DeliveriesQuery, Delivery, DeliveryAttempt, RecoveredDeliveries, Webhook, WebhookRequest,
    WebhookWithSecret,
};
pub use whoami::{Account, Whoami};
