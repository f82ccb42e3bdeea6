//! The checks that a UAS applies to every request before it creates state (RFC 3261 sections 8.2.1 to 8.2.3 and
//! 16.3): method, Request-URI, hops, loops, extensions and content, in this order.

use super::Endpoint;
use super::method_class::{MethodClass, ServedMethod};
use super::reject_reason::RejectReason;
use super::response::{ACCEPT, ACCEPT_BODIES, ALLOW, Rejection, SUPPORTED};
use super::session_timer::{SessionTimerError, SessionTimerRequest};
use crate::message::{KnownHeader, MAX_VIAS, Request, StatusCode, SyntaxError, Uri};

impl Endpoint {
    /// What an INVITE or UPDATE says about session timers (RFC 4028 section 9).
    pub(super) fn inspect_session_timer(&self, request: &Request) -> Result<SessionTimerRequest, Rejection> {
        let min = self.config.session_intervals.min();
        SessionTimerRequest::of(request.headers(), min).map_err(|error| match error {
            SessionTimerError::Malformed(header) => {
                let reason = RejectReason::Malformed(SyntaxError::Malformed(header));
                Rejection::new(reason, StatusCode::BAD_REQUEST).with_phrase("Malformed Session Timer")
            }
            SessionTimerError::TooSmall => {
                Rejection::new(RejectReason::SessionIntervalTooSmall, StatusCode::SESSION_INTERVAL_TOO_SMALL)
                    .with_header(KnownHeader::MinSe, min.as_secs().to_string())
            }
        })
    }

    /// Checks a request other than ACK and CANCEL.
    pub(super) fn inspect(&self, request: &Request) -> Result<ServedMethod, Rejection> {
        let method = inspect_method(request)?;
        inspect_uri(request.uri())?;
        if request.vias().len() > MAX_VIAS {
            return Err(Rejection::new(RejectReason::TooManyHops, StatusCode::TOO_MANY_HOPS));
        }
        if request.vias().iter().any(|via| self.config.advertised.contain(via.sent_by())) {
            return Err(Rejection::new(RejectReason::LoopedRequest, StatusCode::LOOP_DETECTED));
        }
        if request.to().tag().is_none() && self.servers.is_merged(request) {
            return Err(Rejection::new(RejectReason::MergedRequest, StatusCode::LOOP_DETECTED));
        }
        let required = request.require();
        // A BYE ends the call whatever it requires: refusing it would let the call go on.
        let supported = |tag: &str| SUPPORTED.split(", ").any(|known| known.eq_ignore_ascii_case(tag));
        let unsupported: Vec<&str> = required.into_iter().filter(|tag| !supported(tag)).collect();
        if !unsupported.is_empty() && method != ServedMethod::Bye {
            return Err(Rejection::new(RejectReason::UnsupportedExtension, StatusCode::BAD_EXTENSION)
                .with_header(KnownHeader::Unsupported, unsupported.join(", ")));
        }
        inspect_content(request, method)?;
        Ok(method)
    }
}

/// An unknown method takes precedence over a `CSeq` that does not match it (RFC 4475 section 3.1.2.18).
fn inspect_method(request: &Request) -> Result<ServedMethod, Rejection> {
    let (reason, status) = match MethodClass::of(request.method()) {
        MethodClass::Served(method) if request.cseq().method == *request.method() => return Ok(method),
        MethodClass::Served(_) => {
            return Err(Rejection::new(RejectReason::CSeqMismatch, StatusCode::BAD_REQUEST)
                .with_phrase("CSeq Names Another Method"));
        }
        MethodClass::Unknown => (RejectReason::UnknownMethod, StatusCode::NOT_IMPLEMENTED),
        MethodClass::NotAllowed | MethodClass::Ack | MethodClass::Cancel => {
            (RejectReason::MethodNotAllowed, StatusCode::METHOD_NOT_ALLOWED)
        }
    };
    Err(Rejection::new(reason, status).with_header(KnownHeader::Allow, ALLOW))
}

fn inspect_uri(uri: &Uri) -> Result<(), Rejection> {
    match uri {
        Uri::Sip(uri) if uri.headers().is_some() => {
            Err(Rejection::new(RejectReason::HeadersInRequestUri, StatusCode::BAD_REQUEST)
                .with_phrase("Headers In Request-URI"))
        }
        Uri::Sip(_) | Uri::Tel(_) => Ok(()),
        Uri::Other(_) => {
            Err(Rejection::new(RejectReason::UnsupportedScheme, StatusCode::UNSUPPORTED_URI_SCHEME))
        }
    }
}

/// INVITE and UPDATE may require nothing but SDP to be understood and must accept it (sections 8.2.3 and 20.1).
fn inspect_content(request: &Request, method: ServedMethod) -> Result<(), Rejection> {
    match method {
        ServedMethod::Invite | ServedMethod::Update => {}
        ServedMethod::Bye
        | ServedMethod::Options
        | ServedMethod::Info
        | ServedMethod::Prack
        | ServedMethod::Notify => {
            return Ok(());
        }
    }
    if request.body_content().is_err() {
        return Err(Rejection::new(RejectReason::UnsupportedContent, StatusCode::UNSUPPORTED_MEDIA_TYPE)
            .with_header(KnownHeader::Accept, ACCEPT_BODIES));
    }
    let accepts_sdp = |range: &String| matches!(range.as_str(), ACCEPT | "application/*" | "*/*");
    if request.accepts().is_some_and(|ranges| !ranges.iter().any(accepts_sdp)) {
        return Err(Rejection::new(RejectReason::SdpNotAcceptable, StatusCode::NOT_ACCEPTABLE));
    }
    Ok(())
}
