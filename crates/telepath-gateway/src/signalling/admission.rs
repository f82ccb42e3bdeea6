//! What an INVITE must pass before a task takes its call: who calls, by address or digest; whether the trunk takes the
//! call; whether there is room. Each refusal has its rule. A user that does not exist takes the same way and gets the
//! same answers as one whose password is wrong.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Instant;

use futures_util::FutureExt as _;
use telepath_core::address::AddressBlock;
use telepath_core::call::{DisconnectReason, Party};
use telepath_core::clock::Timestamp;
use telepath_core::id::{CallId, Id as _};
use telepath_core::ports::ControlUnavailable;
use telepath_core::trunk::{AgentTarget, E164, SipUsername, TrunkForCall, TrunkStatus};
use telepath_media::codec::Codec;
use telepath_media::sdp;
use telepath_sip::digest::{Credentials, Denial, EpochSeconds, Ha1Pair, Presented, Verdict};
use telepath_sip::message::{KnownHeader, Request};
use telepath_sip::{CallHandle, Incoming, RetryAfter};
use tokio::sync::mpsc;

use super::{CALL_QUEUE, Command, Known, Rule, Signalling, SipTrace, Stage};
use crate::call::{self, AgentPlan, CallFacts, CallSetup};

/// The longest `User-Agent` kept of a carrier, in characters.
const MAX_CARRIER: usize = 64;

/// An INVITE for which the control plane is being asked.
pub(super) struct Asking {
    incoming: Box<Incoming>,
    credentials: Option<Box<Credentials>>,
    arrived: Timestamp,
    arrived_at: Instant,
}

/// An INVITE whose sender is known.
struct Admitted {
    asking: Asking,
    found: TrunkForCall,
}

impl Signalling {
    pub(super) fn begin(&mut self, incoming: Box<Incoming>, now: Instant) {
        let call = incoming.call;
        if self.draining {
            return self.refuse(call, Rule::ShuttingDown, now);
        }
        if self.shared.live.len() >= self.shared.options.max_calls {
            return self.refuse(call, Rule::ServerFull, now);
        }
        let credentials = match self.digest.presented(&incoming.request) {
            Presented::Malformed => return self.refuse(call, Rule::MalformedCredentials, now),
            Presented::Nothing => None,
            Presented::Credentials(credentials) => Some(credentials),
        };
        // Carriers that dial by number name the trunk in their credentials only.
        let named =
            credentials.as_ref().map_or_else(|| incoming.called(), |given| Some(given.username().to_owned()));
        let username = named.and_then(|name| SipUsername::try_from(name).ok());
        let arrived = self.shared.clock.now();
        let asking = Box::new(Asking { incoming, credentials, arrived, arrived_at: now });
        self.calls.insert(call, Known { trace: SipTrace::new(now), stage: Stage::Asking(asking) });
        match username {
            Some(username) => self.look_up(call, username),
            // Not a name that a trunk can have.
            None => self.decide(call, Ok(None), now),
        }
    }

    /// Asks the control plane in a task of its own: a slow database must not hold up other calls' messages.
    fn look_up(&self, call: CallHandle, username: SipUsername) {
        let shared = self.shared.clone();
        self.shared.tasks.spawn(async move {
            let asked = AssertUnwindSafe(shared.control.find_trunk(&username)).catch_unwind();
            let found = match tokio::time::timeout(shared.options.control_timeout, asked).await {
                Ok(Ok(found)) => found,
                Ok(Err(_panic)) => Err(ControlUnavailable("the look-up of a trunk failed inside".to_owned())),
                Err(_elapsed) => Err(ControlUnavailable("the look-up of a trunk took too long".to_owned())),
            };
            // The signalling task is gone only when the server stops.
            let _ = shared.commands.send(Command::Found(call, Box::new(found))).await;
        });
    }

    pub(super) fn decide(
        &mut self,
        call: CallHandle,
        found: Result<Option<TrunkForCall>, ControlUnavailable>,
        now: Instant,
    ) {
        // A CANCEL may have been faster than the control plane.
        if !matches!(self.calls.get(&call), Some(Known { stage: Stage::Asking(_), .. })) {
            return;
        }
        let Some(Known { trace, stage: Stage::Asking(asking) }) = self.calls.remove(&call) else { return };
        let found = match found {
            Ok(found) => found.filter(|found| names(found, &asking)),
            Err(error) => {
                tracing::warn!(%error, "a call is refused");
                return self.refuse(call, Rule::ControlUnavailable, now);
            }
        };
        let Some(found) = self.authenticate(&asking, found, now) else { return };
        let admitted = Admitted { asking: *asking, found };
        if let Err(rule) = self.admit(&admitted, trace, now) {
            self.refuse(call, rule, now);
        }
    }

    /// The trunk, when its address or its digest proves the caller; otherwise the caller has been answered.
    fn authenticate(
        &mut self,
        asking: &Asking,
        found: Option<TrunkForCall>,
        now: Instant,
    ) -> Option<TrunkForCall> {
        let (call, source) = (asking.incoming.call, asking.incoming.source.ip());
        let found = match found {
            Some(found) if found.trunk.allowed_ips.contains(source) => return Some(found),
            other => other,
        };
        let Some(credentials) = &asking.credentials else {
            self.challenge(call, false, now);
            return None;
        };
        let block = AddressBlock::of(source);
        if self.throttle.is_over(block, now) {
            self.refuse(call, Rule::AuthThrottled, now);
            return None;
        }
        let ha1 = found.as_ref().map(|found| Ha1Pair::new(*found.digest.md5(), *found.digest.sha256()));
        let seconds = self.epoch();
        match self.digest.judge(credentials, &asking.incoming.request, ha1.as_ref(), seconds) {
            Verdict::Granted => found,
            Verdict::Stale => {
                self.challenge(call, true, now);
                None
            }
            Verdict::Denied(denial) => {
                self.refusals.note(rule_of(denial).name(), now);
                let guessed = is_guess(denial);
                if guessed {
                    self.throttle.failed(block, now);
                }
                self.challenge(call, !guessed, now);
                None
            }
        }
    }

    fn challenge(&mut self, call: CallHandle, stale: bool, now: Instant) {
        metrics::counter!("telepath_sip_challenges_total").increment(1);
        let seconds = self.epoch();
        let challenges = self.digest.challenge(stale, seconds);
        // Gone only when the caller cancelled meanwhile.
        let _ = self.endpoint.challenge(call, &challenges, now);
        self.calls.remove(&call);
    }

    fn epoch(&self) -> EpochSeconds {
        EpochSeconds(u64::try_from(self.shared.clock.now().unix_seconds()).unwrap_or(0))
    }

    pub(super) fn refuse(&mut self, call: CallHandle, rule: Rule, now: Instant) {
        self.refusals.note(rule.name(), now);
        tracing::debug!(%call, rule = rule.name(), "call refused");
        // Gone only when the caller cancelled meanwhile.
        let _ = self.endpoint.reject(call, rule.status(), rule.retry_after().map(RetryAfter), now);
        self.calls.remove(&call);
    }

    /// The trunk's and the server's own conditions; then the call gets its task.
    fn admit(&mut self, admitted: &Admitted, trace: SipTrace, now: Instant) -> Result<(), Rule> {
        // The look-up may have begun before the server was told to stop.
        if self.draining {
            return Err(Rule::ShuttingDown);
        }
        let trunk = &admitted.found.trunk;
        let settings = &trunk.settings;
        match trunk.status {
            TrunkStatus::Active => {}
            TrunkStatus::Inactive => return Err(Rule::TrunkInactive),
            TrunkStatus::Error => return Err(Rule::TrunkError),
        }
        let request = &admitted.asking.incoming.request;
        let dialled = dialled(request);
        if !settings.inbound_numbers.is_empty()
            && !settings.inbound_numbers.iter().any(|n| is_dialled(n, &dialled))
        {
            return Err(Rule::NumberNotListed);
        }
        let live = self.trunks.get(&trunk.id).copied().unwrap_or(0);
        if settings
            .max_concurrent_calls
            .is_some_and(|most| live >= usize::try_from(most).unwrap_or(usize::MAX))
        {
            return Err(Rule::TrunkFull);
        }
        let codecs = codecs(&settings.codecs);
        let offer = read_offer(&admitted.asking.incoming, &codecs)?;
        let id =
            CallId::generate(admitted.asking.arrived, &*self.shared.entropy).map_err(|_| Rule::NoEntropy)?;
        let facts = CallFacts {
            id,
            account: trunk.account_id,
            trunk: trunk.id,
            from: Party::from_sip_user(&admitted.asking.incoming.caller().unwrap_or_default()),
            to: Party::from_sip_user(&called_party(&trunk.sip_username, &dialled)),
            carrier: Some(carrier(&admitted.asking.incoming)),
            arrived: admitted.asking.arrived,
        };
        let agent = match plan(&admitted.found.agent) {
            Ok(agent) => agent,
            Err(why) => {
                call::record_refused(
                    &self.shared,
                    facts,
                    DisconnectReason::ConnectionFailed,
                    why,
                    trace.into_text(),
                );
                return Err(Rule::DialectNotSupported);
            }
        };
        let lease = self.shared.ports.lease(now).map_err(|_| Rule::RtpPortsUsedUp)?;
        let (to_call, from_carrier) = mpsc::channel(CALL_QUEUE);
        let (place, asked) = self.shared.live.enter(id, trunk.id);
        let handle = admitted.asking.incoming.call;
        let setup = CallSetup {
            handle,
            facts,
            offer,
            codecs,
            agent,
            system_prompt: settings.system_prompt.clone(),
            metadata: settings.metadata.clone(),
            max_duration: settings
                .max_call_seconds
                .map(|seconds| std::time::Duration::from_secs(seconds.into())),
            arrived_at: admitted.asking.arrived_at,
            lease,
            from_carrier,
            asked,
        };
        *self.trunks.entry(trunk.id).or_default() += 1;
        self.calls.insert(handle, Known { trace, stage: Stage::Owned { to_call, trunk: trunk.id } });
        self.shared.tasks.spawn(call::supervise(Arc::clone(&self.shared), setup, place));
        Ok(())
    }
}

fn rule_of(denial: Denial) -> Rule {
    match denial {
        Denial::UnknownUser => Rule::UnknownUser,
        Denial::WrongResponse => Rule::WrongPassword,
        Denial::ForeignNonce => Rule::ForeignNonce,
        Denial::Replayed => Rule::ReplayedCredentials,
        Denial::UriMismatch => Rule::UriMismatch,
    }
}

/// Whether the sender may be trying passwords. The other denials are of senders who know the password but used a nonce
/// of another key, a count twice, or credentials of another request: they are given a fresh nonce.
fn is_guess(denial: Denial) -> bool {
    match denial {
        Denial::UnknownUser | Denial::WrongResponse => true,
        Denial::ForeignNonce | Denial::Replayed | Denial::UriMismatch => false,
    }
}

/// Whether the Request-URI means this trunk: by its user name, or by a telephone number, which only the credentials
/// can tie to a trunk. Anything else names another trunk.
fn names(found: &TrunkForCall, asking: &Asking) -> bool {
    let Some(user) = asking.incoming.called() else { return asking.credentials.is_some() };
    let is_number = asking.credentials.is_some() && digits_of(&user).is_some();
    is_number || user.eq_ignore_ascii_case(found.trunk.sip_username.as_str())
}

/// The digits of a telephone number as people and carriers write it; `None` when it is not one.
fn digits_of(user: &str) -> Option<String> {
    let bare: String = user.chars().filter(|c| !matches!(c, '-' | '.' | '(' | ')' | ' ')).collect();
    let digits = bare.strip_prefix('+').unwrap_or(&bare);
    (!digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())).then(|| digits.to_owned())
}

/// Whom the caller dialled: the Request-URI, then To.
fn dialled(request: &Request) -> [Option<String>; 2] {
    [request.uri().user(), request.to().uri().user()]
}

fn is_dialled(number: &E164, dialled: &[Option<String>]) -> bool {
    let wanted = number.as_str().trim_start_matches('+');
    dialled.iter().flatten().filter_map(|user| digits_of(user)).any(|digits| digits == wanted)
}

/// For the record a number is worth more than the trunk's user name.
fn called_party(username: &SipUsername, dialled: &[Option<String>; 2]) -> String {
    let number = dialled.iter().flatten().find(|user| digits_of(user).is_some());
    number.cloned().unwrap_or_else(|| username.as_str().to_owned())
}

fn carrier(incoming: &Incoming) -> String {
    let product = incoming.request.headers().first(KnownHeader::UserAgent);
    let product =
        product.map(|text| text.chars().filter(|c| !c.is_control()).take(MAX_CARRIER).collect::<String>());
    product.filter(|text| !text.is_empty()).unwrap_or_else(|| incoming.source.ip().to_canonical().to_string())
}

fn codecs(wanted: &[telepath_core::trunk::Codec]) -> Vec<Codec> {
    let list: Vec<Codec> = wanted
        .iter()
        .map(|codec| match codec {
            telepath_core::trunk::Codec::Pcmu => Codec::Pcmu,
            telepath_core::trunk::Codec::Pcma => Codec::Pcma,
        })
        .collect();
    if list.is_empty() { Codec::ALL.to_vec() } else { list }
}

/// The offer, when there is one, read and found to have a codec in common.
fn read_offer(incoming: &Incoming, codecs: &[Codec]) -> Result<Option<sdp::SessionDescription>, Rule> {
    let Some(offer) = &incoming.offer else { return Ok(None) };
    let offer = sdp::SessionDescription::parse(offer.as_bytes()).map_err(|_| Rule::MalformedSdp)?;
    // Only whether it can be answered matters here; the call answers it with its own port.
    let trial = sdp::LocalMedia {
        address: incoming.source,
        session: sdp::SessionId { id: 0, version: 0 },
        direction: sdp::Direction::SendRecv,
    };
    match sdp::answer(&offer, codecs, trial) {
        Ok(_) => Ok(Some(offer)),
        Err(_) => Err(Rule::NoCommonCodec),
    }
}

fn plan(target: &AgentTarget) -> Result<AgentPlan, &'static str> {
    match target {
        AgentTarget::Custom { url, protocol: telepath_core::trunk::AgentProtocol::TelepathV1, headers } => {
            Ok(AgentPlan { url: url.clone(), headers: headers.clone() })
        }
        AgentTarget::OpenAi { .. } => Err(
            "this version cannot connect to OpenAI; the trunk needs a custom agent that speaks telepath.v1",
        ),
        AgentTarget::ElevenLabs { .. } => Err(
            "this version cannot connect to ElevenLabs; the trunk needs a custom agent that speaks telepath.v1",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_compared_by_their_digits() {
        let number = E164::try_from("+15550100123".to_owned()).unwrap();
        let dialled = |user: &str| is_dialled(&number, &[Some("support".to_owned()), Some(user.to_owned())]);
        assert!(dialled("+15550100123") && dialled("15550100123") && dialled("+1-555-010.0123"));
        assert!(!dialled("+15550100124") && !dialled("support") && !dialled(""));
    }

    #[test]
    fn the_record_shows_the_number_rather_than_the_user_name() {
        let name = SipUsername::try_from("support-01".to_owned()).unwrap();
        let shown = |uri: &str, to: &str| called_party(&name, &[Some(uri.to_owned()), Some(to.to_owned())]);
        assert_eq!(shown("support-01", "+15550100123"), "+15550100123");
        assert_eq!(shown("+15550100123", "x"), "+15550100123");
        assert_eq!(shown("support-01", "sales"), "support-01");
    }
}
