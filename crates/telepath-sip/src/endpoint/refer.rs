//! Blind transfer: our REFER (RFC 3515) and the NOTIFY requests that report its result as a status line
//! (`message/sipfrag`, RFC 3420).

use std::time::{Duration, Instant};

use super::event::{CallHandle, Event};
use super::flow::Flow;
use super::referral::{ReferProgress, Referral};
use super::reject_reason::RejectReason;
use super::response::Rejection;
use super::server_transaction::ServerId;
use super::{Deadline, Endpoint};
use crate::message::{Headers, KnownHeader, Params, Request, StatusCode, number, trim};

/// The event package of RFC 3515.
const REFER_EVENT: &str = "refer";
/// The body of its NOTIFY requests.
const SIPFRAG: &str = "message/sipfrag";

/// How long the result of a REFER is awaited: the target rings meanwhile.
const MAX_RESULT_TIME: Duration = Duration::from_mins(3);

/// What happened to a REFER.
pub(super) enum ReferStep<'a> {
    /// A 2xx with these headers arrived.
    Accepted(&'a Headers),
    Refused(StatusCode, &'a str),
    Notified(Notification),
    TimedOut,
}

/// What a NOTIFY says.
pub(super) struct Notification {
    status: Option<(StatusCode, String)>,
    terminated: bool,
}

impl Notification {
    fn of(notify: &Request) -> Self {
        let state = notify.headers().first(KnownHeader::SubscriptionState).unwrap_or_default();
        let state = trim(state.split(';').next().unwrap_or_default());
        let sipfrag = notify.content_type().is_some_and(|content_type| content_type == SIPFRAG);
        let status = sipfrag.then(|| status_line(notify.body())).flatten();
        Self { status, terminated: state.eq_ignore_ascii_case("terminated") }
    }
}

/// The status line with which a `message/sipfrag` body begins.
fn status_line(body: &[u8]) -> Option<(StatusCode, String)> {
    let line = body.split(|byte| *byte == b'\n').next()?;
    let line = String::from_utf8_lossy(line);
    let rest = line.strip_prefix("SIP/2.0 ")?;
    let (code, phrase) = rest.split_once(' ').unwrap_or((rest, ""));
    let status = number(code.trim_end_matches('\r')).and_then(StatusCode::new)?;
    Some((status, phrase.chars().filter(|c| !c.is_control()).take(MAX_PHRASE).collect()))
}

/// The longest reason phrase that is reported, in characters.
const MAX_PHRASE: usize = 128;

/// Which subscription a NOTIFY belongs to, by its Event header.
enum NotifiedEvent {
    /// The event package of RFC 3515, with the parameter `id`.
    Refer(Option<String>),
    OtherPackage,
}

impl NotifiedEvent {
    fn of(headers: &Headers) -> Self {
        let text = headers.first(KnownHeader::Event).unwrap_or_default();
        let at = text.find(';').unwrap_or(text.len());
        match Params::parse_header(&text[at..]) {
            Some(params) if trim(&text[..at]).eq_ignore_ascii_case(REFER_EVENT) => {
                Self::Refer(params.value("id").map(str::to_owned))
            }
            Some(_) | None => Self::OtherPackage,
        }
    }
}

impl Endpoint {
    /// Notes a REFER, which may be a repetition with credentials.
    pub(super) fn on_refer_sent(&mut self, handle: CallHandle, cseq: u32, now: Instant) {
        let Some(call) = self.calls.get_mut(&handle) else { return };
        if let Some(referral) = &mut call.referral {
            referral.cseq = cseq;
        } else {
            let timeout = self.timers.set(now + MAX_RESULT_TIME, Deadline::ReferTimeout(handle));
            call.referral = Some(Referral { cseq, timeout });
        }
    }

    /// A NOTIFY within a dialog: it must belong to our REFER (RFC 3515 section 2.4.4). It may arrive before the response to
    /// the REFER.
    pub(super) fn receive_notify(
        &mut self,
        handle: CallHandle,
        id: ServerId,
        flow: Flow,
        notify: &Request,
        now: Instant,
    ) {
        let referral = self.calls.get(&handle).and_then(|call| call.referral.as_ref());
        let rejection = match NotifiedEvent::of(notify.headers()) {
            NotifiedEvent::OtherPackage => {
                Rejection::new(RejectReason::UnknownSubscription, StatusCode::BAD_EVENT)
                    .with_header(KnownHeader::AllowEvents, REFER_EVENT)
            }
            NotifiedEvent::Refer(event_id) => {
                let named = |cseq| event_id.as_deref().is_none_or(|id| number::<u32>(id) == Some(cseq));
                if referral.is_some_and(|referral| named(referral.cseq)) {
                    self.respond(id, StatusCode::OK, Headers::default(), None, now);
                    return self.on_refer_step(handle, ReferStep::Notified(Notification::of(notify)));
                }
                Rejection::new(RejectReason::UnknownSubscription, StatusCode::CALL_DOES_NOT_EXIST)
            }
        };
        self.respond_rejection(id, rejection, &flow, now);
    }

    /// Advances the REFER of a call and reports its progress. Does nothing once the result is known: a NOTIFY may overtake
    /// the response to the REFER.
    pub(super) fn on_refer_step(&mut self, handle: CallHandle, step: ReferStep<'_>) {
        if self.calls.get(&handle).is_none_or(|call| call.referral.is_none()) {
            return;
        }
        let progress = match step {
            ReferStep::Accepted(headers) => {
                let unreported = headers
                    .first(KnownHeader::ReferSub)
                    .and_then(|value| value.split(';').next())
                    .is_some_and(|value| trim(value).eq_ignore_ascii_case("false"));
                if unreported { ReferProgress::Unreported } else { ReferProgress::Accepted }
            }
            ReferStep::Refused(status, phrase) => {
                let phrase = phrase.chars().take(MAX_PHRASE).collect();
                ReferProgress::Refused { status, phrase }
            }
            ReferStep::Notified(Notification { status, terminated }) => match status {
                Some((status, _)) if status.is_success() => ReferProgress::Succeeded,
                Some((status, phrase)) if !status.is_provisional() => {
                    ReferProgress::Failed { status, phrase }
                }
                Some(_) | None if terminated => ReferProgress::NoResult,
                Some((status, _)) => ReferProgress::Trying(status),
                None => return,
            },
            ReferStep::TimedOut => ReferProgress::NoResult,
        };
        if progress.is_final() {
            self.end_referral(handle);
        }
        self.report(Event::Refer { call: handle, progress });
    }

    pub(super) fn end_referral(&mut self, handle: CallHandle) {
        if let Some(referral) = self.calls.get_mut(&handle).and_then(|call| call.referral.take()) {
            self.timers.clear(Some(referral.timeout));
        }
    }
}
