//! One call from the caller's side: an endpoint and two sockets, driven step by step. [`super::place_call`] is made of
//! these steps; tests take them one at a time.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use telepath_core::entropy::{SystemEntropy, random_bytes};
use telepath_media::FRAME;
use telepath_media::caller::{EchoFigures, TestCaller};
use telepath_media::codec::Codec;
use telepath_media::playout::StreamStart;
use telepath_media::sdp::{self, Direction, LocalMedia, SessionId};
use telepath_sip::digest::{ClientCredentials, Password};
use telepath_sip::message::{Host, HostPort, MAX_MESSAGE_BYTES, SessionDescription, SipUri, StatusCode};
use telepath_sip::{
    CallHandle, DialogEnd, Endpoint, EndpointConfig, EndpointSeed, Event, OutgoingCall, ReInviteMethod,
};
use tokio::net::UdpSocket;
use tokio::time::Instant as TokioInstant;

use crate::dice::Rng;

use super::{CallOutcome, CallerError, CallerOptions, EndedBy, port_of};

const MAX_RTP: usize = 2_048;

/// What happened on the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LineEvent {
    /// The callee rings.
    Ringing,
    /// The callee answered.
    Answered,
    /// The call is over.
    Ended,
}

/// How the call ended.
#[derive(Debug)]
enum Ended {
    Refused(StatusCode, String),
    /// It was answered and then ended, by the callee or by us.
    HungUp,
    /// We took it back.
    Cancelled,
    Nothing,
}

pub(crate) struct Line {
    sip: UdpSocket,
    rtp: UdpSocket,
    endpoint: Endpoint,
    call: CallHandle,
    offer: sdp::SessionDescription,
    play: Vec<i16>,
    stream: StreamStart,
    dialled: Instant,
    rang: bool,
    answered: Option<Instant>,
    bad_answer: bool,
    media: Option<TestCaller>,
    codec: Option<Codec>,
    peer_media: Option<SocketAddr>,
    packets_sent: u64,
    ended: Option<(Ended, Instant)>,
    sip_buffer: Vec<u8>,
    rtp_buffer: Vec<u8>,
}

impl Line {
    /// Opens the sockets and sends the INVITE.
    pub(crate) async fn dial(options: CallerOptions) -> Result<Self, CallerError> {
        let peer = match options.peer {
            Some(peer) => peer,
            None => resolve(&options.target).await?,
        };
        let local = match options.local {
            Some(local) => local,
            None => route_to(peer)?,
        };
        let sip = UdpSocket::bind((local, 0)).await?;
        let rtp = UdpSocket::bind((local, 0)).await?;
        let entropy = SystemEntropy::default();
        let dice = Rng::roll(&entropy)?;
        let own = sip.local_addr()?;
        let media = LocalMedia {
            address: rtp.local_addr()?,
            session: SessionId { id: dice.session, version: 1 },
            direction: Direction::SendRecv,
        };
        let offer = sdp::offer(&options.codecs, media);
        let mut config = EndpointConfig::new(own);
        config.trace = false;
        let mut endpoint = Endpoint::new(config, EndpointSeed(random_bytes(&entropy)?));
        let now = Instant::now();
        let invite = OutgoingCall {
            target: options.target,
            via: peer,
            from: SipUri::new(Some(&options.from), HostPort::from(own)).ok_or(CallerError::BadName)?,
            offer: Some(SessionDescription::new(offer.to_string())),
            credentials: options.credentials.map(|(username, password)| ClientCredentials {
                username,
                password: Password::new(password.expose()),
            }),
        };
        // A fresh endpoint has room for a call.
        let call = endpoint.invite(invite, now).map_err(|_| CallerError::NoAnswer(Duration::ZERO))?;
        let mut line = Self {
            sip,
            rtp,
            endpoint,
            call,
            offer,
            play: options.play,
            stream: dice.stream,
            dialled: now,
            rang: false,
            answered: None,
            bad_answer: false,
            media: None,
            codec: None,
            peer_media: None,
            packets_sent: 0,
            ended: None,
            sip_buffer: vec![0; MAX_MESSAGE_BYTES + 1],
            rtp_buffer: vec![0; MAX_RTP],
        };
        line.send_sip().await?;
        Ok(line)
    }

    /// Waits for the final answer: `Some` when the call was answered, `None` when it was refused.
    pub(crate) async fn until_answered(&mut self, deadline: TokioInstant) -> Result<Option<()>, CallerError> {
        loop {
            match self.step(deadline).await? {
                Some(LineEvent::Answered) => return Ok(Some(())),
                Some(LineEvent::Ended) => {
                    return match self.ended {
                        Some((Ended::Nothing, _)) => Err(CallerError::NoAnswer(self.dialled.elapsed())),
                        Some((Ended::Refused(..) | Ended::HungUp | Ended::Cancelled, _)) | None => Ok(None),
                    };
                }
                None if TokioInstant::now() >= deadline => {
                    return Err(CallerError::NoAnswer(self.dialled.elapsed()));
                }
                Some(LineEvent::Ringing) | None => {}
            }
        }
    }

    /// Plays everything, listens, and says who ended the call.
    pub(crate) async fn converse(&mut self, listen: Duration) -> Result<EndedBy, CallerError> {
        let mut until = None;
        loop {
            let playing = self.media.as_ref().is_some_and(|media| media.poll_timeout().is_some());
            if !playing && until.is_none() {
                until = Some(TokioInstant::now() + listen);
            }
            if until.is_some_and(|until| TokioInstant::now() >= until) {
                return Ok(EndedBy::Caller);
            }
            // While something is left to play, the next packet is due soon anyway.
            let deadline = until.unwrap_or_else(|| TokioInstant::now() + FRAME);
            if self.step(deadline).await? == Some(LineEvent::Ended) {
                return Ok(EndedBy::Callee);
            }
        }
    }

    /// Ends the call wherever it stands: CANCEL before the answer, BYE after it.
    pub(crate) fn hang_up(&mut self) {
        // Over already, if this fails; the next step tells.
        let _ = self.endpoint.hang_up(self.call, Instant::now());
    }

    /// Waits for the end of the call, however long it takes up to the deadline.
    pub(crate) async fn until_ended(&mut self, deadline: TokioInstant) -> Result<bool, CallerError> {
        while self.ended.is_none() && TokioInstant::now() < deadline {
            self.step(deadline).await?;
        }
        Ok(self.ended.is_some())
    }

    /// Waits for the next thing to happen: an event of the call, a packet, a timer, or the deadline.
    pub(crate) async fn step(&mut self, deadline: TokioInstant) -> Result<Option<LineEvent>, CallerError> {
        self.send_sip().await?;
        if let Some(event) = self.take_event()? {
            return Ok(Some(event));
        }
        let due = [self.endpoint.poll_timeout(), self.media.as_ref().and_then(TestCaller::poll_timeout)];
        let due = due.into_iter().flatten().min().map_or(deadline, |due| deadline.min(due.into()));
        tokio::select! {
            received = self.rtp.recv_from(&mut self.rtp_buffer) => {
                if let (Ok((length, _)), Some(media)) = (received, &mut self.media) {
                    media.handle_rtp(self.rtp_buffer.get(..length).unwrap_or_default(), Instant::now());
                }
            }
            received = self.sip.recv_from(&mut self.sip_buffer) => {
                let (length, from) = received?;
                let datagram = self.sip_buffer.get(..length).unwrap_or_default();
                self.endpoint.handle_datagram(from, datagram, Instant::now());
            }
            () = tokio::time::sleep_until(due) => self.endpoint.handle_timeout(Instant::now()),
        }
        self.play_due();
        self.send_sip().await?;
        self.take_event()
    }

    fn play_due(&mut self) {
        let Some(media) = &mut self.media else { return };
        while let Some(packet) = media.poll_packet(Instant::now()) {
            let sent = self.peer_media.is_some_and(|to| self.rtp.try_send_to(packet.as_bytes(), to).is_ok());
            self.packets_sent += u64::from(sent);
        }
    }

    async fn send_sip(&mut self) -> Result<(), CallerError> {
        while let Some(transmit) = self.endpoint.poll_transmit() {
            self.sip.send_to(&transmit.payload, transmit.to).await?;
        }
        Ok(())
    }

    fn take_event(&mut self) -> Result<Option<LineEvent>, CallerError> {
        while let Some(event) = self.endpoint.poll_event() {
            if let Some(event) = self.heed(event) {
                return Ok(Some(event));
            }
            if self.bad_answer {
                return Err(CallerError::BadAnswer);
            }
        }
        Ok(None)
    }

    fn heed(&mut self, event: Event) -> Option<LineEvent> {
        let now = Instant::now();
        match event {
            Event::Ringing { .. } => {
                self.rang = true;
                Some(LineEvent::Ringing)
            }
            Event::Answered { call: _, answer } => {
                self.answered = Some(now);
                if answer.is_some_and(|answer| self.agree(&answer, now)) {
                    return Some(LineEvent::Answered);
                }
                self.bad_answer = true;
                self.hang_up();
                None
            }
            Event::Ended { call: _, end } => {
                self.ended = Some((ended(end), now));
                Some(LineEvent::Ended)
            }
            // This caller's session does not change.
            Event::ReInvite { call, method: ReInviteMethod::Invite | ReInviteMethod::Update, .. } => {
                // Gone only when the call is over.
                let _ = self.endpoint.reject_reinvite(call, StatusCode::NOT_ACCEPTABLE_HERE, now);
                None
            }
            // A caller is not called.
            Event::Incoming(incoming) => {
                let _ = self.endpoint.reject(incoming.call, StatusCode::BUSY_HERE, None, now);
                None
            }
            Event::Confirmed { .. }
            | Event::ReInviteCancelled { .. }
            | Event::Info(_)
            | Event::Rejected { .. } => None,
        }
    }

    fn agree(&mut self, answer: &SessionDescription, now: Instant) -> bool {
        let Ok(answer) = sdp::SessionDescription::parse(answer.as_bytes()) else { return false };
        let Ok(media) = sdp::accept_answer(&self.offer, &answer) else { return false };
        self.codec = Some(media.codec);
        self.peer_media = media.remote;
        self.media = Some(TestCaller::new(&media, self.stream, std::mem::take(&mut self.play), now));
        true
    }

    /// Where the callee wants media, once answered.
    #[cfg(test)]
    pub(crate) fn peer_media(&self) -> Option<SocketAddr> {
        self.peer_media
    }

    /// RTP packets received so far.
    #[cfg(test)]
    pub(crate) fn packets_received(&self) -> u64 {
        self.media.as_ref().map_or(0, |media| media.statistics().received())
    }

    /// The media socket.
    #[cfg(test)]
    pub(crate) fn rtp(&self) -> &UdpSocket {
        &self.rtp
    }

    pub(crate) fn into_outcome(mut self, ended_by: Option<EndedBy>) -> CallOutcome {
        if let Some(media) = &mut self.media {
            media.finish();
        }
        let (status, refusal) = match (&self.ended, self.answered) {
            (Some((Ended::Refused(status, reason), _)), None) => (*status, Some(reason.clone())),
            (_, Some(_)) => (StatusCode::OK, None),
            (Some((Ended::HungUp | Ended::Cancelled | Ended::Nothing, _)) | None, None) => {
                (StatusCode::REQUEST_TERMINATED, None)
            }
        };
        let final_at = self.answered.or(self.ended.as_ref().map(|(_, at)| *at)).unwrap_or(self.dialled);
        let nothing = EchoFigures { distinct: 0, matched: 0, p50: None, p99: None, max: None };
        let media = self.media.as_ref();
        CallOutcome {
            status,
            refusal,
            answered_after: final_at.saturating_duration_since(self.dialled),
            rang: self.rang,
            ended_by,
            codec: self.codec,
            recording: media.map(|media| media.recording().to_vec()).unwrap_or_default(),
            packets_sent: self.packets_sent,
            packets_received: media.map_or(0, |media| media.statistics().received()),
            packets_lost: media.map_or(0, |media| media.statistics().lost()),
            echo: media.map_or(nothing, TestCaller::echo),
        }
    }
}

fn ended(end: DialogEnd) -> Ended {
    match end {
        DialogEnd::RejectedByPeer { status, phrase } => Ended::Refused(status, phrase),
        DialogEnd::ByeReceived | DialogEnd::ByeSent { .. } | DialogEnd::AckTimeout => Ended::HungUp,
        DialogEnd::Cancelled => Ended::Cancelled,
        DialogEnd::InviteTimeout | DialogEnd::RejectedByUs(_) | DialogEnd::Challenged => Ended::Nothing,
    }
}

async fn resolve(target: &SipUri) -> Result<SocketAddr, CallerError> {
    let port = port_of(target);
    match &target.host_port().host {
        Host::Ip(ip) => Ok(SocketAddr::new(*ip, port)),
        Host::Name(name) => {
            let mut found =
                tokio::net::lookup_host((name.as_str(), port)).await.map_err(|_| CallerError::Unresolved)?;
            found.next().ok_or(CallerError::Unresolved)
        }
    }
}

/// The local address that the system uses toward the peer; no packet is sent to learn it.
fn route_to(peer: SocketAddr) -> Result<IpAddr, CallerError> {
    let any: IpAddr =
        if peer.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { std::net::Ipv6Addr::UNSPECIFIED.into() };
    let probe = std::net::UdpSocket::bind((any, 0))?;
    probe.connect(peer)?;
    Ok(probe.local_addr()?.ip())
}
