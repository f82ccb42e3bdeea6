//! The Rust client of the Telepath API: typed calls over HTTPS, over plain HTTP to this machine only, or over the Unix
//! socket of a data folder (local administration, without a key).
//!
//! It implements what every client of the API should do:
//!
//! - The key comes from `TELEPATH_API_KEY` and never appears in an error, a log line or `Debug` output.
//! - Plain HTTP is used on this machine only, and only on request.
//! - Each attempt may take 30 seconds ([`TIME_LIMIT`]), a call with all its attempts three minutes.
//! - After network errors and 5xx, a request that is safe to repeat is retried with exponential backoff and full jitter: an
//!   idempotent method, or a `POST`, to which the client adds an `Idempotency-Key` that is the same for all attempts.
//!   `Retry-After` is honoured.
//! - After 429, it waits for the window that `X-RateLimit-Reset` names if it opens soon enough; otherwise the error contains that
//!   time. [`RetryPolicy`] sets how long and how often.
//! - Each attempt is one log line (`tracing`): method, path without query, status, request id, attempt, duration.
//!
//! Members that a newer server adds to its responses are ignored.
//!
//! ```no_run
//! # async fn example() -> Result<(), telepath_client::Error> {
//! let client = telepath_client::Client::from_env()?;
//! println!("{}", client.whoami().await?.name);
//! # Ok(())
//! # }
//! ```
//!
//! For a key and a certificate authority from elsewhere:
//!
//! ```no_run
//! # async fn example(key: telepath_client::SecretText) -> Result<(), telepath_client::Error> {
//! use telepath_client::{KeysQuery, Settings, Trust};
//!
//! let trust = Trust::CaFile("telepath-data/tls/ca.pem".into());
//! let client = Settings::new("https://localhost:8443", key).trust(trust).client()?;
//! for key in client.list_keys(&KeysQuery::default()).await?.items {
//!     println!("{} {}", key.id, key.status);
//! }
//! # Ok(())
//! # }
//! ```

mod account;
mod alerts;
mod analytics;
mod audit;
mod calls;
mod client;
mod error;
mod keyring;
mod keys;
mod page;
mod request;
mod requests;
mod response;
mod retry;
mod settings;
mod sip;
mod stream;
mod transport;
mod trunks;
mod trust;
mod users;
mod webhooks;
mod whoami;

pub use alerts::AlertsQuery;
pub use analytics::AnalyticsQuery;
pub use audit::AuditQuery;
pub use calls::CallsQuery;
pub use client::{Client, TIME_LIMIT};
pub use error::{ApiError, Error, TlsFailure};
pub use keys::{CreatedKey, KeysQuery, MAX_REPORTED, RotatedKeys, UsageQuery};
pub use page::{CursorPage, ListPage, PageQuery, Pagination};
pub use requests::{Export, ExportFormat, RequestsQuery};
pub use retry::RetryPolicy;
pub use settings::{CA_FILE_VARIABLE, EnvFile, KEY_VARIABLE, Settings, URL_VARIABLE};
pub use stream::{EventStream, StreamEvent};
pub use telepath_api_types::account::{Account, AdministerAccount, CreateAccount, UpdateAccount};
pub use telepath_api_types::alerts::{Alert, AlertSubject, AlertTest};
pub use telepath_api_types::analytics::{
    AnalyticsComparison, AnalyticsSummary, AnalyticsTimeseries, CallBucket, CallGroup, CallSeries,
    CallStatistics, ComparedFigure, ComparedTrunk, InterruptionStatistics, MosStatistics, ValueStatistics,
};
pub use telepath_api_types::audit_events::{AuditEvent, AuditVerification};
pub use telepath_api_types::calls::{Call, CallDetails, CallMetrics, MediaCounts, Turn};
pub use telepath_api_types::deliveries::{Delivery, DeliveryAttempt, DeliveryDetails};
pub use telepath_api_types::erasures::NumberErased;
pub use telepath_api_types::error::{ErrorBody, FieldError};
pub use telepath_api_types::key_presets::{KeyPreset, UpdateKeyPreset};
pub use telepath_api_types::key_usage::{
    Durations, KeyUsage, KeyUsageAddress, KeyUsageBucket, KeyUsageProgram, KeyUsageRoute, UsageBucket,
    UsageList, UsageOfKey,
};
pub use telepath_api_types::keyring::{
    Keyring, KeyringChange, KeyringServer, MasterKey, RotateMasterKey, SecretsLeft,
};
pub use telepath_api_types::keys::{CreateKey, Key, KeySecret, UpdateKey};
pub use telepath_api_types::quotas::{Quotas, UpdateQuotas};
pub use telepath_api_types::requests::LoggedRequest;
pub use telepath_api_types::sip::{SipStranger, SipStrangerList};
pub use telepath_api_types::sip_trace::{SipMessage, SipTrace};
pub use telepath_api_types::trunks::{CreateTrunk, CreatedTrunk, CredentialState, Trunk, UpdateTrunk};
pub use telepath_api_types::users::{CreateInvitation, CreateUser, Invitation, User};
pub use telepath_api_types::webhooks::{
    CreateWebhook, RecoveredDeliveries, UpdateWebhook, Webhook, WebhookWithSecret,
};
pub use telepath_api_types::whoami::{Whoami, WhoamiAccount};
pub use telepath_core::clock::Timestamp;
pub use telepath_core::id::{
    AccountId, AlertId, AuditId, CallId, DeliveryId, EventId, KeyId, RequestId, SecretId, TrunkId, UserId,
    WebhookId,
};
pub use telepath_core::patch::Patch;
pub use telepath_core::secret::SecretText;
pub use trunks::{RotatedSipPassword, TrunksQuery};
pub use trust::Trust;
pub use users::{CreatedInvitation, CreatedPasswordCode};
pub use webhooks::DeliveriesQuery;
