//! Session timers (RFC 4028), without transactions: what a request or response says about them, what both sides agree on,
//! and when the session must be refreshed or ends.

use std::time::{Duration, Instant};

use crate::message::{Headers, KnownHeader, Params, is_number, number, trim};

/// The option tag of RFC 4028.
pub(super) const TIMER: &str = "timer";

/// The smallest session interval that RFC 4028 section 5 allows.
pub(super) const MIN_INTERVAL: Duration = Duration::from_secs(90);

/// The longest session interval that we agree to: a longer one is shortened (section 9), because it would detect nothing.
const MAX_INTERVAL: Duration = Duration::from_hours(24);

/// The longest time before the end of a session at which it is given up (section 10).
const MAX_MARGIN: Duration = Duration::from_secs(32);

/// The session intervals that an endpoint asks for and accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionIntervals {
    /// The shortest interval that a caller may ask for: a request with a shorter one gets 422. At least 90 s.
    pub min: Duration,
    /// The interval that our INVITEs ask for. `None` leaves it to the peer: a call has a session timer only if the peer or a
    /// proxy asks for one.
    pub preferred: Option<Duration>,
}

impl Default for SessionIntervals {
    fn default() -> Self {
        Self { min: MIN_INTERVAL, preferred: None }
    }
}

impl SessionIntervals {
    /// The shortest interval that we accept.
    pub(super) fn min(&self) -> Duration {
        self.min.max(MIN_INTERVAL)
    }
}

/// Who refreshes the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refresher {
    Us,
    Peer,
}

/// The parameter `refresher`: the sender or the receiver of the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RefresherRole {
    Uac,
    Uas,
}

impl RefresherRole {
    fn name(self) -> &'static str {
        match self {
            Self::Uac => "uac",
            Self::Uas => "uas",
        }
    }
}

/// What both sides agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SessionTimer {
    pub(super) interval: Duration,
    pub(super) refresher: Refresher,
}

/// The value of Session-Expires.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct SessionExpires {
    interval: Duration,
    refresher: Option<RefresherRole>,
}

impl SessionExpires {
    fn parse(text: &str) -> Option<Self> {
        let at = text.find(';').unwrap_or(text.len());
        let params = Params::parse_header(&text[at..])?;
        let refresher = match params.value("refresher") {
            Some(role) if role.eq_ignore_ascii_case("uac") => Some(RefresherRole::Uac),
            Some(role) if role.eq_ignore_ascii_case("uas") => Some(RefresherRole::Uas),
            Some(_) => return None,
            None => None,
        };
        Some(Self { interval: seconds(&text[..at])?, refresher })
    }
}

/// A number of seconds with parameters that mean nothing here. One that is too large for 32 bits is the largest.
pub(super) fn seconds(text: &str) -> Option<Duration> {
    let text = trim(text.split(';').next().unwrap_or(text));
    is_number(text).then(|| Duration::from_secs(number::<u32>(text).unwrap_or(u32::MAX).into()))
}

/// Why a request is rejected for its session timer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SessionTimerError {
    /// The header cannot be parsed.
    Malformed(KnownHeader),
    /// The interval is shorter than our minimum, which the caller can correct (section 9).
    TooSmall,
}

/// What an INVITE or UPDATE says about session timers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(super) struct SessionTimerRequest {
    supported: bool,
    asked: Option<SessionExpires>,
    min: Duration,
}

impl SessionTimerRequest {
    /// Reads the headers of a request; `min` is our minimum.
    pub(super) fn of(headers: &Headers, min: Duration) -> Result<Self, SessionTimerError> {
        let supported =
            headers.lists(KnownHeader::Supported, TIMER) || headers.lists(KnownHeader::Require, TIMER);
        let malformed = SessionTimerError::Malformed;
        let asked = match headers.first(KnownHeader::SessionExpires) {
            Some(text) => Some(SessionExpires::parse(text).ok_or(malformed(KnownHeader::SessionExpires))?),
            None => None,
        };
        let peer_min = match headers.first(KnownHeader::MinSe) {
            Some(text) => seconds(text).ok_or(malformed(KnownHeader::MinSe))?,
            None => Duration::ZERO,
        };
        let too_small = asked.is_some_and(|asked| asked.interval < min);
        if too_small && supported {
            return Err(SessionTimerError::TooSmall);
        }
        // A peer that does not know 422 cannot correct what a proxy asked for (section 9), so it has no timer.
        Ok(Self { supported, asked: asked.filter(|_| !too_small), min: peer_min })
    }

    /// What we agree to as the UAS (section 9, table 2). A request without Session-Expires keeps a timer that is running:
    /// the peer may have been put on hold by a device that does not know the timer.
    pub(super) fn agree(&self, current: Option<SessionTimer>) -> Option<SessionTimer> {
        let asked = self.asked.or(current.map(|current| SessionExpires {
            interval: current.interval,
            refresher: match current.refresher {
                Refresher::Us => Some(RefresherRole::Uas),
                Refresher::Peer => None,
            },
        }))?;
        let refresher = match (self.supported, asked.refresher) {
            (true, None | Some(RefresherRole::Uac)) => Refresher::Peer,
            (true, Some(RefresherRole::Uas)) | (false, _) => Refresher::Us,
        };
        Some(SessionTimer { interval: asked.interval.min(MAX_INTERVAL.max(self.min)), refresher })
    }

    /// Adds the headers of our 2xx.
    pub(super) fn add_to_response(&self, timer: Option<SessionTimer>, headers: &mut Headers) {
        let Some(timer) = timer else { return };
        let role = match timer.refresher {
            Refresher::Us => RefresherRole::Uas,
            Refresher::Peer => RefresherRole::Uac,
        };
        headers.push(KnownHeader::SessionExpires, value(timer.interval, Some(role)));
        if self.supported {
            headers.push(KnownHeader::Require, TIMER.to_owned());
        }
    }
}

fn value(interval: Duration, refresher: Option<RefresherRole>) -> String {
    let seconds = interval.as_secs();
    refresher.map_or_else(|| seconds.to_string(), |role| format!("{seconds};refresher={}", role.name()))
}

/// What a 2xx to our request says; `None` if the session has no timer, or if the header makes no sense (section 7.2).
pub(super) fn of_response(headers: &Headers) -> Option<SessionTimer> {
    let agreed = SessionExpires::parse(headers.first(KnownHeader::SessionExpires)?)?;
    let refresher = match agreed.refresher {
        Some(RefresherRole::Uas) => Refresher::Peer,
        Some(RefresherRole::Uac) | None => Refresher::Us,
    };
    (agreed.interval >= MIN_INTERVAL).then_some(SessionTimer { interval: agreed.interval, refresher })
}

/// The session timer of one call.
#[derive(Clone, Copy, Debug)]
pub(super) struct SessionState {
    timer: Option<SessionTimer>,
    /// The interval of our requests while there is no timer yet.
    preferred: Option<Duration>,
    /// The largest Min-SE of a 422 (section 7.4).
    min: Duration,
    refreshed_at: Option<Instant>,
}

impl SessionState {
    pub(super) fn new(intervals: &SessionIntervals) -> Self {
        let preferred = intervals.preferred.map(|preferred| preferred.max(intervals.min()));
        Self { timer: None, preferred, min: MIN_INTERVAL, refreshed_at: None }
    }

    pub(super) fn timer(&self) -> Option<SessionTimer> {
        self.timer
    }

    /// A 2xx agreed on a timer or on none.
    pub(super) fn agreed(&mut self, timer: Option<SessionTimer>, now: Instant) {
        self.timer = timer;
        self.refreshed_at = Some(now);
    }

    /// Our request that refreshes the session succeeded. A peer that says nothing about the timer may still count with it.
    pub(super) fn refreshed(&mut self, headers: &Headers, now: Instant) {
        let timer = match headers.first(KnownHeader::SessionExpires) {
            Some(_) => of_response(headers),
            None => self.timer.map(|timer| SessionTimer { refresher: Refresher::Us, ..timer }),
        };
        self.agreed(timer, now);
    }

    /// Adds the headers of our INVITE or UPDATE.
    pub(super) fn add_to_request(&self, headers: &mut Headers) {
        let role = self.timer.map(|timer| match timer.refresher {
            Refresher::Us => RefresherRole::Uac,
            Refresher::Peer => RefresherRole::Uas,
        });
        let Some(interval) = self.timer.map(|timer| timer.interval).or(self.preferred) else { return };
        headers.push(KnownHeader::SessionExpires, value(interval.max(self.min), role));
        if self.min > MIN_INTERVAL {
            headers.push(KnownHeader::MinSe, self.min.as_secs().to_string());
        }
    }

    /// Processes a 422: whether another request, with a longer interval, can succeed (section 7.4).
    pub(super) fn lengthen(&mut self, headers: &Headers) -> bool {
        let Some(min) = headers.first(KnownHeader::MinSe).and_then(seconds) else { return false };
        let asked = self.timer.map(|timer| timer.interval).or(self.preferred).unwrap_or_default();
        let longer = min > asked.max(self.min) && min <= MAX_INTERVAL;
        if longer {
            self.min = min;
        }
        longer
    }

    /// When we refresh the session: after half of the interval (section 7.2).
    pub(super) fn refresh_at(&self) -> Option<Instant> {
        let timer = self.timer.filter(|timer| timer.refresher == Refresher::Us)?;
        Some(self.refreshed_at? + timer.interval / 2)
    }

    /// When the session is given up unless it is refreshed before (section 10).
    pub(super) fn expires_at(&self) -> Option<Instant> {
        let interval = self.timer?.interval;
        Some(self.refreshed_at? + interval.saturating_sub(MAX_MARGIN.min(interval / 3)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(KnownHeader, &str)]) -> Headers {
        let mut headers = Headers::default();
        for (name, value) in lines {
            headers.push(*name, (*value).to_owned());
        }
        headers
    }

    fn agree(lines: &[(KnownHeader, &str)]) -> Result<Option<(u64, Refresher)>, SessionTimerError> {
        let request = SessionTimerRequest::of(&headers(lines), MIN_INTERVAL)?;
        Ok(request.agree(None).map(|timer| (timer.interval.as_secs(), timer.refresher)))
    }

    use KnownHeader::{MinSe, SessionExpires as Expires, Supported};

    #[test]
    fn the_refresher_of_a_2xx_follows_table_2_of_rfc_4028() {
        let supported = (Supported, "replaces, Timer");
        assert_eq!(agree(&[supported, (Expires, "1800")]), Ok(Some((1_800, Refresher::Peer))));
        assert_eq!(agree(&[supported, (Expires, "90;refresher=uac")]), Ok(Some((90, Refresher::Peer))));
        assert_eq!(agree(&[supported, (Expires, "90 ;Refresher=UAS")]), Ok(Some((90, Refresher::Us))));
        assert_eq!(agree(&[(Expires, "600")]), Ok(Some((600, Refresher::Us))), "inserted by a proxy");
        assert_eq!(agree(&[supported]), Ok(None), "nobody asks for a timer");
    }

    #[test]
    fn an_interval_below_the_minimum_is_too_small_only_for_a_peer_that_knows_422() {
        let supported = (Supported, "timer");
        for small in ["0", "1", "89", "00089"] {
            assert_eq!(agree(&[supported, (Expires, small)]), Err(SessionTimerError::TooSmall), "{small}");
            assert_eq!(agree(&[(Expires, small)]), Ok(None), "{small}");
        }
        assert_eq!(agree(&[supported, (Expires, "00090")]), Ok(Some((90, Refresher::Peer))));
    }

    #[test]
    fn a_huge_interval_is_shortened_but_not_below_min_se() {
        let supported = (Supported, "timer");
        let huge = "99999999999999999999999999";
        assert_eq!(agree(&[supported, (Expires, huge)]), Ok(Some((86_400, Refresher::Peer))));
        let asked = [supported, (Expires, "200000"), (MinSe, "100000")];
        assert_eq!(agree(&asked), Ok(Some((100_000, Refresher::Peer))));
    }

    #[test]
    fn a_malformed_session_timer_names_its_header() {
        for text in ["", "-1", "abc", "1800;refresher=both", "1 800", "1800;refresher=", "+90"] {
            let error = SessionTimerError::Malformed(Expires);
            assert_eq!(agree(&[(Supported, "timer"), (Expires, text)]), Err(error), "{text:?}");
        }
        assert_eq!(agree(&[(MinSe, "soon")]), Err(SessionTimerError::Malformed(MinSe)));
    }

    #[test]
    fn a_session_is_refreshed_after_half_of_its_interval_and_given_up_before_its_end() {
        let now = Instant::now();
        let mut state = SessionState::new(&SessionIntervals::default());
        assert_eq!((state.refresh_at(), state.expires_at()), (None, None));
        let timer = |seconds, refresher| SessionTimer { interval: Duration::from_secs(seconds), refresher };
        state.agreed(Some(timer(1_800, Refresher::Us)), now);
        assert_eq!(state.refresh_at(), Some(now + Duration::from_mins(15)));
        assert_eq!(state.expires_at(), Some(now + Duration::from_secs(1_768)));
        state.agreed(Some(timer(90, Refresher::Peer)), now);
        assert_eq!(state.refresh_at(), None);
        assert_eq!(state.expires_at(), Some(now + Duration::from_mins(1)), "one third of the interval");
    }

    #[test]
    fn a_2xx_without_session_expires_leaves_the_refreshes_to_us() {
        let now = Instant::now();
        let mut state = SessionState::new(&SessionIntervals::default());
        state.agreed(Some(SessionTimer { interval: MIN_INTERVAL, refresher: Refresher::Peer }), now);
        state.refreshed(&Headers::default(), now);
        let ours = Some(SessionTimer { interval: MIN_INTERVAL, refresher: Refresher::Us });
        assert_eq!(state.timer(), ours);
        state.refreshed(&headers(&[(Expires, "7")]), now);
        assert_eq!(state.timer(), None, "an interval that RFC 4028 does not allow");
    }

    #[test]
    fn a_422_lengthens_the_interval_of_the_next_request() {
        let preferred = Some(Duration::from_mins(2));
        let mut state = SessionState::new(&SessionIntervals { preferred, ..SessionIntervals::default() });
        let written = |state: &SessionState| {
            let mut headers = Headers::default();
            state.add_to_request(&mut headers);
            [Expires, MinSe].map(|name| headers.first(name).map(str::to_owned))
        };
        assert_eq!(written(&state), [Some("120".to_owned()), None]);
        assert!(state.lengthen(&headers(&[(MinSe, "300")])));
        assert_eq!(written(&state), [Some("300".to_owned()), Some("300".to_owned())]);
        for useless in ["300", "60", "999999", "x"] {
            assert!(!state.lengthen(&headers(&[(MinSe, useless)])), "{useless}");
        }
        assert!(!state.lengthen(&Headers::default()));
    }
}
