//! Decides who may send a request: HTTPS, credentials, rate windows. What a request is refused for never depends on
//! anything that the client could not know already.

use std::net::IpAddr;
use std::sync::PoisonError;

use axum::http::HeaderMap;
use telepath_core::account::ACCOUNT_HEADER;
use telepath_core::alert::SecuritySignal;
use telepath_core::clock::{ClockReading, SteadyTime, Timestamp};
use telepath_core::error::ErrorCode;
use telepath_core::id::AccountId;
use telepath_core::leak::{ExposedSecret, ExposureCause, ExposureReport};
use telepath_core::limit::{Period, Phase, Take, WindowState};
use telepath_core::principal::Principal;
use telepath_core::reach::TrunkAccess;
use telepath_core::scope::ScopeSet;
use telepath_core::secret::{HashedKey, PlainKey};
use telepath_http::Peer;
use telepath_store::{AddressWindows, Admission as KeyAdmission, KeyHandle};

use crate::auth::access_log::AccessLogEntry;
use crate::auth::caller::{AccountGrant, Sender};
use crate::auth::credentials::Credential;
use crate::error::ApiError;
use crate::extract::path::Resource as _;
use crate::refusal::Refusal;
use crate::routes::RouteMatch;
use crate::state::Shared;

/// The decision about a request.
pub(crate) struct Admission {
    /// The rate window that the response headers show.
    pub(crate) window: WindowState,
    /// Present when the request carried a known key.
    pub(crate) log_entry: Option<AccessLogEntry>,
    pub(crate) outcome: Result<Sender, ApiError>,
}

impl Admission {
    fn admitted(window: WindowState, sender: Sender) -> Self {
        Self { window, log_entry: None, outcome: Ok(sender) }
    }

    fn refused(window: WindowState, error: ApiError) -> Self {
        Self { window, log_entry: None, outcome: Err(error) }
    }

    fn logged(self, entry: AccessLogEntry) -> Self {
        Self { log_entry: Some(entry), ..self }
    }
}

/// Admits or refuses one request.
pub(crate) struct AdmissionControl<'a> {
    pub(crate) shared: &'a Shared,
    pub(crate) now: Timestamp,
    /// The same moment on the timeline of rate windows.
    pub(crate) steady: SteadyTime,
}

impl AdmissionControl<'_> {
    /// Decides about a request that arrived from `peer`.
    pub(crate) async fn admit(
        &self,
        headers: &HeaderMap,
        peer: Peer,
        matched: RouteMatch<'_>,
        path: &str,
    ) -> Admission {
        let address = match peer {
            Peer::Local { uid } => return self.admit_local_to(headers, uid).await,
            Peer::Remote(address) => address,
        };
        if matched.is_probe() {
            let window = self.shared.store.addresses().peek(address, self.steady);
            Admission::admitted(window, self.anonymous(address))
        } else if matched.open {
            match self.shared.store.addresses().take(address, self.steady) {
                Take::Admitted(window) => Admission::admitted(window, self.anonymous(address)),
                Take::Full(window) => {
                    Admission::refused(window, Self::limited(window, Refusal::AddressLimit))
                }
            }
        } else if matched.is_for_reporters() {
            self.admit_reporter(address, &self.shared.reporters)
        } else if matched.is_for_partners() {
            self.admit_reporter(address, &self.shared.partners)
        } else if matched.keyed || path == "/v1" || path.starts_with("/v1/") {
            self.admit_key(headers, address).await
        } else {
            self.refuse(address, ApiError::of(ErrorCode::NotFound))
        }
    }

    async fn admit_key(&self, headers: &HeaderMap, address: IpAddr) -> Admission {
        let invalid = |refusal| ApiError::of(ErrorCode::InvalidApiKey).counted(refusal);
        let key = match Credential::of(headers) {
            Credential::Key(key) => key,
            Credential::Missing => {
                let error = ApiError::of(ErrorCode::MissingApiKey).counted(Refusal::Missing);
                return self.refuse(address, error);
            }
            Credential::Malformed => return self.refuse(address, invalid(Refusal::Malformed)),
        };
        let (hash, handle) = self.look_up(&key);
        let Some(handle) = handle else { return self.refuse(address, invalid(Refusal::Unknown)) };
        let now = ClockReading { wall: self.now, steady: self.steady };
        match self.shared.store.admit(&handle, &hash, address, now).await {
            KeyAdmission::Admitted { scopes, trunks, window } => {
                let entry = AccessLogEntry::new(&handle, &hash, address, true);
                let grant = AccountGrant { account: handle.account_id(), scopes, trunks };
                let sender = self.sender(Principal::ApiKey(handle), Some(grant), Some(address));
                let sender = Sender { secret: Some(hash), ..sender };
                Admission::admitted(window, sender).logged(entry)
            }
            KeyAdmission::Limited { window } => {
                let entry = AccessLogEntry::new(&handle, &hash, address, true);
                Admission::refused(window, Self::limited(window, Refusal::KeyLimit)).logged(entry)
            }
            KeyAdmission::WrongAddress => {
                let error = ApiError::of(ErrorCode::IpNotAllowed).counted(Refusal::Address);
                let entry = AccessLogEntry::new(&handle, &hash, address, false);
                self.refuse(address, error).logged(entry)
            }
            // Never fail open: a key whose state or rate window is unknown is not admitted.
            KeyAdmission::InDoubt => {
                self.unable(address, "the outcome of a change of this key is not known yet")
            }
            KeyAdmission::NoLease => {
                self.unable(address, "the database has not confirmed which keys are valid")
            }
            KeyAdmission::LimiterUnavailable => {
                self.unable(address, "the rate window of the key could not be read")
            }
            KeyAdmission::Unusable => {
                self.shared
                    .store
                    .record_security_signal(SecuritySignal::DeadKeyUsed { key: handle.key_id(), address });
                let entry = AccessLogEntry::new(&handle, &hash, address, false);
                self.refuse(address, invalid(Refusal::RevokedOrExpired)).logged(entry)
            }
        }
    }

    /// Refuses because of a fault of the server, without charging anyone's rate window.
    fn unable(&self, address: IpAddr, why: &'static str) -> Admission {
        let window = self.shared.store.addresses().peek(address, self.steady);
        Admission::refused(window, ApiError::unavailable(why))
    }

    fn look_up(&self, key: &PlainKey) -> (HashedKey, Option<KeyHandle>) {
        let hash = self.shared.store.vault().hash_key(key);
        (hash, self.shared.store.keys().find(&hash))
    }

    /// Admits local administration. It has a rate window of its own, so that a runaway script is noticed.
    pub(crate) fn admit_local(&self, uid: Option<u32>) -> Admission {
        let mut window = self.shared.local_window.lock().unwrap_or_else(PoisonError::into_inner);
        match window.take(self.shared.options.local_limit, Phase::default(), self.steady) {
            Take::Admitted(window) => {
                let account = self.shared.options.local_account;
                let grant = AccountGrant { account, scopes: ScopeSet::all(), trunks: TrunkAccess::ALL };
                Admission::admitted(window, self.sender(Principal::Local { uid }, Some(grant), None))
            }
            Take::Full(window) => Admission::refused(window, Self::limited(window, Refusal::KeyLimit)),
        }
    }

    /// Admits local administration to the account that the request chooses, or to the first one.
    async fn admit_local_to(&self, headers: &HeaderMap, uid: Option<u32>) -> Admission {
        let mut admission = self.admit_local(uid);
        if let (Ok(Sender { grant: Some(grant), .. }), Some(chosen)) =
            (&mut admission.outcome, headers.get(ACCOUNT_HEADER))
        {
            let text = chosen.to_str().unwrap_or_default();
            match self.find_account(text).await {
                Ok(account) => grant.account = account,
                Err(error) => admission.outcome = Err(error),
            }
        }
        admission
    }

    async fn find_account(&self, text: &str) -> Result<AccountId, ApiError> {
        let id: AccountId = text.parse().map_err(|_| AccountId::not_found(text))?;
        let account = self.shared.store.account(id).await?;
        account.map(|account| account.id).ok_or_else(|| AccountId::not_found(text))
    }

    const fn sender(
        &self,
        principal: Principal<KeyHandle>,
        grant: Option<AccountGrant>,
        address: Option<IpAddr>,
    ) -> Sender {
        Sender { principal, secret: None, grant, address, at: self.now, idempotency: None }
    }

    const fn anonymous(&self, address: IpAddr) -> Sender {
        self.sender(Principal::Anonymous, None, Some(address))
    }

    /// Admits a client that reports leaked keys. It needs no key, so its rate window is too small to try keys out.
    fn admit_reporter(&self, address: IpAddr, windows: &AddressWindows) -> Admission {
        match windows.take(address, self.steady) {
            Take::Admitted(window) => Admission::admitted(window, self.anonymous(address)),
            Take::Full(window) => Admission::refused(window, Self::limited(window, Refusal::AddressLimit)),
        }
    }

    /// Refuses a client without a usable key, and charges the rate window of its address.
    pub(crate) fn refuse(&self, address: IpAddr, error: ApiError) -> Admission {
        match self.shared.store.addresses().take(address, self.steady) {
            Take::Admitted(window) => Admission::refused(window, error),
            Take::Full(window) => Admission::refused(window, Self::limited(window, Refusal::AddressLimit)),
        }
    }

    /// Refuses a CORS preflight (Fetch standard, section 3.3.2) without charging the rate window of the address: a browser sends
    /// it by itself, and a page of any site can make it do so.
    pub(crate) fn refuse_preflight(&self, address: IpAddr) -> Admission {
        let window = self.shared.store.addresses().peek(address, self.steady);
        Admission::refused(window, ApiError::of(ErrorCode::CorsNotSupported))
    }

    /// Refuses a request that arrived over plain HTTP. If it carried a valid key, the key may have been read on the way.
    pub(crate) fn refuse_clear(&self, headers: &HeaderMap, address: IpAddr) -> Admission {
        if !address.is_loopback()
            && let Credential::Key(key) = Credential::of(headers)
        {
            let (hash, handle) = self.look_up(&key);
            let key_id = handle.as_ref().map(KeyHandle::key_id);
            tracing::warn!(
                %address,
                key_id = key_id.map_or_else(|| "unknown".to_owned(), |id| id.to_string()),
                "an API key was received over plain HTTP; treat it as leaked and revoke it"
            );
            if let Some(handle) = handle.filter(|handle| handle.is_live(&hash, self.now)) {
                self.shared
                    .store
                    .record_security_signal(SecuritySignal::SeenInClear { key: handle.key_id(), address });
                let secret = ExposedSecret { hash, reason: "Sent over plain HTTP".to_owned() };
                self.shared.clear_text_reports.record(ExposureReport {
                    cause: ExposureCause::SeenInClear,
                    secrets: vec![secret],
                    address: Some(address),
                    at: self.now,
                });
            }
        }
        self.refuse(address, ApiError::of(ErrorCode::HttpsRequired).counted(Refusal::NotHttps))
    }

    fn limited(window: WindowState, refusal: Refusal) -> ApiError {
        let (limit, seconds) = (window.limit.get(), window.seconds_until_reset());
        match window.period() {
            Period::Minute => ApiError::rate_limited(limit, seconds).counted(refusal),
            Period::Day | Period::Month => {
                ApiError::quota_exceeded(limit, window.period(), seconds).counted(Refusal::Quota)
            }
        }
    }
}
