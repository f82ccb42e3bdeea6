//! What all requests share.

use std::sync::Arc;

use telepath_core::ports::{AgentProbe, Destinations, IdentityProvider, LiveCalls, Mail, ServerReport};
use telepath_store::Store;
use tokio::sync::Semaphore;

use crate::assets::Assets;
use crate::chain_checks::Checks;
use crate::drafts::Drafts;
use crate::held::HeldForms;
use crate::host::AllowedHosts;
use crate::live::LiveStreams;
use crate::navigation::Navigation;
use crate::options::DashboardOptions;

/// What all requests share.
pub(crate) struct Shared {
    pub(crate) store: Arc<Store>,
    pub(crate) options: DashboardOptions,
    pub(crate) hosts: AllowedHosts,
    pub(crate) assets: Assets,
    pub(crate) navigation: Navigation,
    pub(crate) held: HeldForms,
    pub(crate) drafts: Drafts,
    pub(crate) streams: LiveStreams,
    /// What the server may connect to.
    pub(crate) destinations: Arc<dyn Destinations>,
    /// Tests agents.
    pub(crate) agents: Arc<dyn AgentProbe>,
    /// The mail server, if one is configured.
    pub(crate) mail: Option<Arc<dyn Mail>>,
    /// Where users may sign in beside the password.
    pub(crate) identity_provider: Option<Arc<dyn IdentityProvider>>,
    /// What the server reports about itself.
    pub(crate) server: Arc<dyn ServerReport>,
    /// Bounds the letters that are on their way.
    pub(crate) letters: Arc<Semaphore>,
    pub(crate) checks: Checks,
    /// The live calls of this server.
    pub(crate) live: Arc<dyn LiveCalls>,
}
