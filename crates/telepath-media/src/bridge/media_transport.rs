//! Between the bridge and the media sockets: SRTP, and the RTCP session with its address.

use crate::bridge::config::RtcpSeed;
use crate::rtcp::{RtcpError, RtcpFigures, RtcpSession};
use crate::rtp::{Datagram, ReceptionReport, RtpPacket, Ssrc};
use crate::sdp::{Negotiated, RtcpTransport};
use crate::srtp::{CryptoSuite, SrtpCounters, SrtpKeys, SrtpSession};
use std::net::SocketAddr;
use std::time::Instant;

#[derive(Debug)]
pub(super) struct MediaTransport {
    /// `None` for audio in clear.
    srtp: Option<Box<SrtpSession>>,
    /// Counters of an SRTP session before the last renegotiation to audio in clear.
    earlier: SrtpCounters,
    rtcp: RtcpSession,
    rtcp_transport: RtcpTransport,
    /// The source of the peer's RTCP, if it has a port of its own: behind NAT it is not the signalled one (RFC 4961).
    rtcp_source: Option<SocketAddr>,
}

impl MediaTransport {
    pub(super) fn new(media: &Negotiated, ssrc: Ssrc, seed: RtcpSeed, now: Instant) -> Self {
        Self {
            srtp: media.srtp.clone().map(SrtpSession::new).map(Box::new),
            earlier: SrtpCounters::default(),
            rtcp: RtcpSession::new(ssrc, seed.cname, seed.intervals, now),
            rtcp_transport: media.rtcp,
            rtcp_source: None,
        }
    }

    /// Applies renegotiated media.
    pub(super) fn set_media(&mut self, media: &Negotiated) {
        self.set_keys(media.srtp.clone());
        if media.rtcp != self.rtcp_transport {
            self.rtcp_transport = media.rtcp;
            self.rtcp_source = None;
        }
    }

    fn set_keys(&mut self, keys: Option<SrtpKeys>) {
        match (&mut self.srtp, keys) {
            (Some(session), Some(keys)) => session.set_keys(keys),
            (None, Some(keys)) => self.srtp = Some(Box::new(SrtpSession::new(keys))),
            (_, None) => {
                self.earlier = self.counters();
                self.srtp = None;
            }
        }
    }

    /// The RTP packet in a datagram; `None` if it is not the peer's.
    pub(super) fn open_rtp<'a>(&mut self, bytes: &'a mut [u8]) -> Option<&'a [u8]> {
        match &mut self.srtp {
            Some(session) => session.unprotect(bytes).ok(),
            None => Some(bytes),
        }
    }

    /// The compound RTCP packet in a datagram; `None` if it is not the peer's.
    pub(super) fn open_rtcp<'a>(&mut self, bytes: &'a mut [u8]) -> Option<&'a [u8]> {
        match &mut self.srtp {
            Some(session) => session.unprotect_rtcp(bytes).ok(),
            None => Some(bytes),
        }
    }

    /// Makes a packet ready to be sent; `false` if it must not be.
    pub(super) fn seal_rtp(&mut self, packet: &mut Datagram, now: Instant) -> bool {
        if let Ok(RtpPacket { header, payload }) = RtpPacket::parse(packet.as_bytes()) {
            self.rtcp.note_sent(header, payload.len(), now);
        }
        self.srtp.as_mut().is_none_or(|session| session.protect(packet))
    }

    /// The call was answered.
    pub(super) fn start(&mut self, now: Instant) {
        self.rtcp.start(now);
    }

    /// Whether RTCP is expected from this address beside that of RTP.
    pub(super) fn is_rtcp_peer(&self, from: SocketAddr) -> bool {
        matches!(self.rtcp_transport, RtcpTransport::Separate(Some(remote)) if remote.ip() == from.ip())
    }

    /// Handles the peer's compound packet.
    pub(super) fn handle_rtcp(
        &mut self,
        bytes: &[u8],
        from: SocketAddr,
        now: Instant,
    ) -> Result<(), RtcpError> {
        self.rtcp.handle(bytes, now)?;
        if self.rtcp_transport != RtcpTransport::Muxed {
            self.rtcp_source = Some(from);
        }
        Ok(())
    }

    /// Where RTCP is sent if RTP is sent to `rtp`.
    pub(super) fn rtcp_target(&self, rtp: Option<SocketAddr>) -> Option<SocketAddr> {
        match self.rtcp_transport {
            RtcpTransport::Muxed => rtp,
            RtcpTransport::Separate(named) => self.rtcp_source.or(named).or_else(|| {
                let rtp = rtp?;
                Some(SocketAddr::new(rtp.ip(), rtp.port().checked_add(1)?))
            }),
        }
    }

    /// Whether RTCP shares the socket of RTP.
    pub(super) fn is_muxed(&self) -> bool {
        self.rtcp_transport == RtcpTransport::Muxed
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.rtcp.poll_timeout()
    }

    /// The report that is due, ready to be sent.
    pub(super) fn poll_report(
        &mut self,
        reception: impl FnOnce() -> Option<ReceptionReport>,
        now: Instant,
    ) -> Option<Vec<u8>> {
        let packet = self.rtcp.poll_report(reception, now);
        self.seal_rtcp(packet)
    }

    /// The last report, with a BYE, ready to be sent.
    pub(super) fn finish(&mut self, reception: Option<ReceptionReport>, now: Instant) -> Option<Vec<u8>> {
        let packet = self.rtcp.finish(reception, now);
        self.seal_rtcp(packet)
    }

    fn seal_rtcp(&mut self, packet: Option<Vec<u8>>) -> Option<Vec<u8>> {
        let mut packet = packet?;
        self.srtp.as_mut().is_none_or(|session| session.protect_rtcp(&mut packet)).then_some(packet)
    }

    pub(super) fn figures(&self) -> RtcpFigures {
        self.rtcp.figures()
    }

    /// The suite in use.
    pub(super) fn suite(&self) -> Option<CryptoSuite> {
        self.srtp.as_ref().map(|session| session.suite())
    }

    pub(super) fn counters(&self) -> SrtpCounters {
        let now = self.srtp.as_ref().map_or_else(SrtpCounters::default, |session| session.counters());
        SrtpCounters {
            unauthenticated: self.earlier.unauthenticated + now.unauthenticated,
            replayed: self.earlier.replayed + now.replayed,
            unprotected: self.earlier.unprotected + now.unprotected,
        }
    }
}
