//! Storage: the only crate that names the SQL library. Each resource has one file, with its SQL beside the function
//! that runs it, for SQLite and PostgreSQL. Requests are admitted from tables in memory, without touching the
//! database.
//!
//! Every mutating function takes the account first and the [`Origin`](telepath_core::audit::Origin) last, and writes
//! the change, its audit entry and its outbox event in one transaction.

mod account;
mod admit;
mod alert;
mod audit;
mod backend;
mod call;
mod cluster;
mod context;
mod delivery;
mod error;
mod event;
mod follow;
mod grace;
mod idempotency;
mod installation;
mod key;
mod key_clock;
mod key_table;
mod keyring;
mod leak;
mod lifecycle;
mod limit;
mod migrate;
mod names;
mod options;
mod overview;
mod paged_lines;
mod per_thread;
mod postgres;
mod preset;
mod request_log;
mod retention;
mod retention_time;
mod sql;
mod sqlite;
mod storage_limit;
mod storage_stats;
mod store;
#[cfg(test)]
mod suite;
mod trunk;
mod trunk_networks;
mod upkeep;
mod usage;
mod user;
mod webhook;

pub use account::AccountChangeError;
pub use alert::mail::{MailOutcome, PendingMail};
pub use alert::test_mail::AlertPost;
pub use audit::{AuditExport, AuditHead, AuditReport, AuditVerdict};
pub use call::{
    CallBuckets, CallEvent, CallExport, CallGroups, EraseError, HangUpError, NumberErasure, TooManyRows,
};
pub use cluster::{ClusterStats, ProcessRole};
pub use context::StoreContext;
pub use delivery::claim::{
    ClaimedDelivery, DeliveryQuota, DeliveryTarget, DueWebhook, Lease, RunningDelivery,
};
pub use delivery::figures::{AttemptedHour, COUNTED_HOURS, DeliveryFigures, EndpointFigures, MOST_COUNTED};
pub use delivery::redeliver::RecoveredDeliveries;
pub use delivery::row::{AttemptRecord, DeliveryDetails, DeliveryRecord};
pub use delivery::{AccountDeliveryFilter, DeliveryFilter};
pub use error::{DatabaseError, StoreError};
pub use follow::{AttemptedDelivery, FollowedEvent};
pub use idempotency::{IdempotencyClaim, IdempotentRequest};
pub use installation::{ClusterNode, Installation};
pub use key::leak_guide::{
    CredentialsKept, LeakGuide, LeakResponse, OldCredential, OtherKeys, RejectedClient, Rejections, Review,
    Reviewed,
};
pub use key::overview::{EXPIRES_SOON, IDLE_FOR, KeyCounts};
pub use key::safety::{FoundKey, KeyFinding, KeySafety};
pub use key::{CreatedKey, KeyChangeError, RotateAllError, RotatedKeys};
pub use key_table::entry::KeyDescription;
pub use key_table::{Admission, KeyHandle, KeyTable};
pub use keyring::{KeyringError, Resealed};
pub use leak::ExposureError;
pub use limit::memory::AddressWindows;
pub use limit::{OutagePolicy, SharedWindows, WindowOptions};
pub use migrate::MigrationReport;
pub use names::{Named, Names};
pub use options::{Database, StoreOptions};
pub use overview::{AccountCounts, Attention, BusyKey, FailedCall, MOST_ALERTS, Overview};
pub use per_thread::PerThread;
pub use request_log::RequestLog;
pub use request_log::buffer::RequestLogStats;
pub use request_log::count::{RequestCounts, RequestSlots, SlotRequests};
pub use request_log::export::RequestExport;
pub use request_log::read::{RequestCursor, RequestOrder, RequestPage};
pub use retention::{Expired, Retention};
pub use sql::statements::counting_statements;
pub use storage_stats::StorageStats;
pub use store::Store;
pub use trunk::{CreatedTrunk, RotatedPassword, TrunkActivity, TrunkChangeError, TrunkName};
pub use usage::{HoursOfKeys, KeyHour, KeyRequests, KeyUsage, UsageOfKeys};
pub use user::{
    Acceptance, CreatedInvitation, CreatedUser, FirstUser, HashingError, LinkRecipient, MemberActivity,
    NewInvitation, NewRecoveryCodes, NewSession, NewUser, SignIn, SignInAttempt, SignedIn, StartedSession,
    TotpEnrolment, UserError,
};
pub use webhook::{WebhookChangeError, WebhookWithSecret};
