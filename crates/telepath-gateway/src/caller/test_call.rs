//! One call of the test caller: a SIP endpoint and two sockets, driven step by step. [`super::place_call`] runs all
//! steps; tests run them one at a time.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use telepath_core::entropy::{SystemEntropy, random_bytes};
use telepath_media::codec::AudioCodec;
use telepath_media::media_clock::FRAME_DURATION;
use telepath_media::playout::StreamStart;
use telepath_media::sdp::{self, LocalMedia, SessionDescription, SessionId};
use telepath_media::test_caller::{EchoStats, TestCaller};
use telepath_sip::digest::{ClientCredentials, Password};
use telepath_sip::message::{Host, HostPort, SdpBody, SipUri, StatusCode, Transport};
use telepath_sip::{
    CallHandle, DialogEnd, Endpoint, EndpointConfig, EndpointSeed, Event, InviteRejection, NextHop,
    OutgoingCall, ReInviteMethod,
};
use tokio::net::UdpSocket;
use tokio::time::Instant as TokioInstant;

use super::sip_link::SipLink;
use super::{CallOutcome, CallerError, CallerOptions, EndedBy, port_of};
use crate::media_seeds::MediaSeeds;

const MAX_RTP: usize = 2_048;

/// An event of the call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TestCallEvent {
    /// 180 arrived.
    Ringing,
    /// 200 arrived.
    Answered,
    /// The call is over.
    Ended,
}

/// How the call ended.
#[derive(Debug)]
enum TestCallEnd {
    Rejected(StatusCode, String),
    /// Either side sent BYE.
    HungUp,
    /// We sent CANCEL.
    Cancelled,
    NoResponse,
}

pub(crate) struct TestCall {
    sip: SipLink,
    rtp: UdpSocket,
    endpoint: Endpoint,
    call: CallHandle,
    offer: SessionDescription,
    play: Vec<i16>,
    stream: StreamStart,
    dialled: Instant,
    rang: bool,
    answered: Option<Instant>,
    bad_answer: bool,
    media: Option<Box<TestCaller>>,
    codec: Option<AudioCodec>,
    peer_media: Option<SocketAddr>,
    packets_sent: u64,
    ended: Option<(TestCallEnd, Instant)>,
    rtp_buffer: Vec<u8>,
}

impl TestCall {
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
        let next_hop = NextHop {
            transport: options.target.transport().unwrap_or(Transport::Udp),
            address: peer,
            host: Some(options.target.host_port().host.clone()),
        };
        let sip = SipLink::open(local, &next_hop, options.tls).await?;
        let rtp = UdpSocket::bind((local, 0)).await?;
        let entropy = SystemEntropy::default();
        let seeds = MediaSeeds::generate(&entropy)?;
        let own = sip.local_addr()?;
        let media =
            LocalMedia { address: rtp.local_addr()?, session: SessionId { id: seeds.session, version: 1 } };
        let offer = sdp::offer(&options.codecs, media);
        let mut config = EndpointConfig::new(own);
        config.trace = false;
        let mut endpoint = Endpoint::new(config, EndpointSeed(random_bytes(&entropy)?));
        let now = Instant::now();
        let invite = OutgoingCall {
            target: options.target,
            next_hop,
            from: SipUri::new(Some(&options.from), HostPort::from(own)).ok_or(CallerError::BadName)?,
            offer: Some(SdpBody::new(offer.to_string())),
            credentials: options.credentials.map(|(username, password)| ClientCredentials {
                username,
                password: Password::new(password.expose()),
            }),
        };
        // A new endpoint is not at its limit of calls.
        let call = endpoint.invite(invite, now).map_err(|_| CallerError::NoAnswer(Duration::ZERO))?;
        let mut test_call = Self {
            sip,
            rtp,
            endpoint,
            call,
            offer,
            play: options.play,
            stream: seeds.stream,
            dialled: now,
            rang: false,
            answered: None,
            bad_answer: false,
            media: None,
            codec: None,
            peer_media: None,
            packets_sent: 0,
            ended: None,
            rtp_buffer: vec![0; MAX_RTP],
        };
        test_call.send_sip().await?;
        Ok(test_call)
    }

    /// Waits for the final response: `Some` if the call was answered, `None` if it was rejected.
    pub(crate) async fn until_answered(&mut self, deadline: TokioInstant) -> Result<Option<()>, CallerError> {
        loop {
            match self.step(deadline).await? {
                Some(TestCallEvent::Answered) => return Ok(Some(())),
                Some(TestCallEvent::Ended) => {
                    return match self.ended {
                        Some((TestCallEnd::NoResponse, _)) => {
                            Err(CallerError::NoAnswer(self.dialled.elapsed()))
                        }
                        Some((
                            TestCallEnd::Rejected(..) | TestCallEnd::HungUp | TestCallEnd::Cancelled,
                            _,
                        ))
                        | None => Ok(None),
                    };
                }
                None if TokioInstant::now() >= deadline => {
                    return Err(CallerError::NoAnswer(self.dialled.elapsed()));
                }
                Some(TestCallEvent::Ringing) | None => {}
            }
        }
    }

    /// Plays all samples, listens, and returns who ended the call.
    pub(crate) async fn play_and_listen(&mut self, listen: Duration) -> Result<EndedBy, CallerError> {
        let mut until = None;
        loop {
            let playing = self.media.as_ref().is_some_and(|media| media.poll_timeout().is_some());
            if !playing && until.is_none() {
                until = Some(TokioInstant::now() + listen);
            }
            if until.is_some_and(|until| TokioInstant::now() >= until) {
                return Ok(EndedBy::Caller);
            }
            // While samples are left to play, the next packet is due within a frame.
            let deadline = until.unwrap_or_else(|| TokioInstant::now() + FRAME_DURATION);
            if self.step(deadline).await? == Some(TestCallEvent::Ended) {
                return Ok(EndedBy::Callee);
            }
        }
    }

    /// Ends the call: CANCEL before the answer, BYE after it.
    pub(crate) fn hang_up(&mut self) {
        // Fails only when the call is over, which the next step reports.
        let _ = self.endpoint.hang_up(self.call, Instant::now());
    }

    /// Waits for the end of the call; `false` if it has not ended at the deadline.
    pub(crate) async fn until_ended(&mut self, deadline: TokioInstant) -> Result<bool, CallerError> {
        while self.ended.is_none() && TokioInstant::now() < deadline {
            self.step(deadline).await?;
        }
        Ok(self.ended.is_some())
    }

    /// Waits for an event of the call, a packet, a timer or the deadline; returns the event, if there is one.
    pub(crate) async fn step(
        &mut self,
        deadline: TokioInstant,
    ) -> Result<Option<TestCallEvent>, CallerError> {
        self.send_sip().await?;
        if let Some(event) = self.take_event()? {
            return Ok(Some(event));
        }
        let due = [self.endpoint.poll_timeout(), self.media.as_deref().and_then(TestCaller::poll_timeout)];
        let due = due.into_iter().flatten().min().map_or(deadline, |due| deadline.min(due.into()));
        tokio::select! {
            received = self.rtp.recv_from(&mut self.rtp_buffer) => {
                if let (Ok((length, _)), Some(media)) = (received, &mut self.media) {
                    media.handle_rtp(self.rtp_buffer.get(..length).unwrap_or_default(), Instant::now());
                }
            }
            received = self.sip.receive() => match (received, self.sip.flow()) {
                (Ok((flow, message)), _) => self.endpoint.handle_message(flow, &message, Instant::now()),
                (Err(_), Some(flow)) => self.endpoint.handle_flow_closed(&flow, Instant::now()),
                (Err(error), None) => return Err(error.into()),
            },
            () = tokio::time::sleep_until(due) => self.endpoint.handle_timeout(Instant::now()),
        }
        self.send_due_packets();
        self.send_sip().await?;
        self.take_event()
    }

    fn send_due_packets(&mut self) {
        let Some(media) = &mut self.media else { return };
        while let Some(packet) = media.poll_packet(Instant::now()) {
            let sent = self.peer_media.is_some_and(|to| self.rtp.try_send_to(packet.as_bytes(), to).is_ok());
            self.packets_sent += u64::from(sent);
        }
    }

    async fn send_sip(&mut self) -> Result<(), CallerError> {
        while let Some(transmit) = self.endpoint.poll_transmit() {
            self.sip.send(&transmit).await?;
        }
        Ok(())
    }

    fn take_event(&mut self) -> Result<Option<TestCallEvent>, CallerError> {
        while let Some(event) = self.endpoint.poll_event() {
            if let Some(event) = self.handle_event(event) {
                return Ok(Some(event));
            }
            if self.bad_answer {
                return Err(CallerError::BadAnswer);
            }
        }
        Ok(None)
    }

    fn handle_event(&mut self, event: Event) -> Option<TestCallEvent> {
        let now = Instant::now();
        match event {
            Event::Ringing { .. } => {
                self.rang = true;
                Some(TestCallEvent::Ringing)
            }
            Event::Answered { call: _, answer } => {
                self.answered = Some(now);
                if answer.is_some_and(|answer| self.apply_answer(&answer, now)) {
                    return Some(TestCallEvent::Answered);
                }
                self.bad_answer = true;
                self.hang_up();
                None
            }
            Event::Ended { call: _, end, reason: _ } => {
                self.ended = Some((test_call_end(end), now));
                Some(TestCallEvent::Ended)
            }
            // The test caller does not support renegotiation.
            Event::ReInvite { call, method: ReInviteMethod::Invite | ReInviteMethod::Update, .. } => {
                // Fails only when the call is over.
                let _ = self.endpoint.reject_reinvite(
                    call,
                    InviteRejection::of(StatusCode::NOT_ACCEPTABLE_HERE),
                    now,
                );
                None
            }
            // The test caller does not accept calls.
            Event::Incoming(incoming) => {
                let _ = self.endpoint.reject(incoming.call, StatusCode::BUSY_HERE, None, now);
                None
            }
            Event::Confirmed { .. }
            | Event::ReInviteCancelled { .. }
            | Event::Response { .. }
            | Event::Refer { .. }
            | Event::SessionRefreshed { .. }
            | Event::Dtmf { .. }
            | Event::Rejected { .. } => None,
        }
    }

    fn apply_answer(&mut self, answer: &SdpBody, now: Instant) -> bool {
        let Ok(answer) = SessionDescription::parse(answer.as_bytes()) else { return false };
        let Ok(media) = sdp::accept_answer(&self.offer, &answer) else { return false };
        self.codec = Some(media.codec);
        self.peer_media = media.remote;
        self.media =
            Some(Box::new(TestCaller::new(&media, self.stream, std::mem::take(&mut self.play), now)));
        true
    }

    /// Where the callee receives RTP; `None` before the answer.
    #[cfg(test)]
    pub(crate) fn peer_media(&self) -> Option<SocketAddr> {
        self.peer_media
    }

    /// The audio received so far.
    #[cfg(test)]
    pub(crate) fn recording(&self) -> &[i16] {
        self.media.as_deref().map_or(&[], TestCaller::recording)
    }

    /// The RTP socket.
    #[cfg(test)]
    pub(crate) fn rtp(&self) -> &UdpSocket {
        &self.rtp
    }

    pub(crate) fn into_outcome(mut self, ended_by: Option<EndedBy>) -> CallOutcome {
        if let Some(media) = &mut self.media {
            media.finish();
        }
        let (status, reason_phrase) = match (&self.ended, self.answered) {
            (Some((TestCallEnd::Rejected(status, phrase), _)), None) => (*status, Some(phrase.clone())),
            (_, Some(_)) => (StatusCode::OK, None),
            (
                Some((TestCallEnd::HungUp | TestCallEnd::Cancelled | TestCallEnd::NoResponse, _)) | None,
                None,
            ) => (StatusCode::REQUEST_TERMINATED, None),
        };
        let final_response_at =
            self.answered.or(self.ended.as_ref().map(|(_, at)| *at)).unwrap_or(self.dialled);
        let media = self.media.as_deref();
        CallOutcome {
            status,
            reason_phrase,
            answered_after: final_response_at.saturating_duration_since(self.dialled),
            rang: self.rang,
            ended_by,
            codec: self.codec,
            recording: media.map(|media| media.recording().to_vec()).unwrap_or_default(),
            packets_sent: self.packets_sent,
            packets_received: media.map_or(0, |media| media.statistics().received()),
            packets_lost: media.map_or(0, |media| media.statistics().lost()),
            echo: media.map_or_else(EchoStats::default, TestCaller::echo),
        }
    }
}

fn test_call_end(end: DialogEnd) -> TestCallEnd {
    match end {
        DialogEnd::RejectedByPeer { status, phrase } => TestCallEnd::Rejected(status, phrase),
        DialogEnd::ByeReceived
        | DialogEnd::ByeSent { .. }
        | DialogEnd::AckTimeout
        | DialogEnd::PeerLost
        | DialogEnd::SessionExpired => TestCallEnd::HungUp,
        DialogEnd::Cancelled => TestCallEnd::Cancelled,
        DialogEnd::InviteTimeout
        | DialogEnd::ConnectionFailed
        | DialogEnd::RejectedByUs(_)
        | DialogEnd::PrackTimeout
        | DialogEnd::Challenged => TestCallEnd::NoResponse,
    }
}

async fn resolve(target: &SipUri) -> Result<SocketAddr, CallerError> {
    let port = port_of(target);
    match &target.host_port().host {
        Host::Ip(ip) => Ok(SocketAddr::new(*ip, port)),
        Host::Name(name) => {
            let mut addresses =
                tokio::net::lookup_host((name.as_str(), port)).await.map_err(|_| CallerError::Unresolved)?;
            addresses.next().ok_or(CallerError::Unresolved)
        }
    }
}

/// The local address from which the operating system reaches the peer. No packet is sent.
fn route_to(peer: SocketAddr) -> Result<IpAddr, CallerError> {
    let any: IpAddr =
        if peer.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { std::net::Ipv6Addr::UNSPECIFIED.into() };
    let probe = std::net::UdpSocket::bind((any, 0))?;
    probe.connect(peer)?;
    Ok(probe.local_addr()?.ip())
}
