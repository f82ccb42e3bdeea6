//! The client's address and protocol behind a reverse proxy. Forwarding headers are used only if the peer is a trusted
//! proxy, because any other client can send whatever it likes in them. A header that is missing proves nothing: then the
//! server's own hop decides.
//!
//! Two families of headers say the same: `X-Forwarded-For` with `X-Forwarded-Proto`, and `Forwarded` (RFC 7239). A proxy that
//! writes one of them may pass on the other as a client sent it. So where both are present and contradict each other, the
//! request is refused rather than guessed about, unless the settings name the family to use.

mod forwarded;

use std::net::IpAddr;

use http::{HeaderMap, HeaderName};
use telepath_core::address::{NetworkList, canonical};

use forwarded::{Element, elements};

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// Which headers of trusted proxies are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ForwardingHeaders {
    /// Both families; a contradiction is refused.
    #[default]
    Any,
    /// `X-Forwarded-For` and `X-Forwarded-Proto` only.
    XForwarded,
    /// `Forwarded` only.
    Forwarded,
}

/// The protocol that a proxy reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scheme {
    Http,
    Https,
}

impl Scheme {
    /// Other words than these prove nothing.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let is = |word: &str| text.eq_ignore_ascii_case(word);
        if is("https") || is("wss") {
            Some(Scheme::Https)
        } else if is("http") || is("ws") {
            Some(Scheme::Http)
        } else {
            None
        }
    }
}

/// The client of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ForwardedClient {
    pub(crate) address: IpAddr,
    /// How a trusted proxy received the request, if it says so.
    pub(crate) scheme: Option<Scheme>,
}

/// The forwarding headers are malformed or contradict each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ConflictingHeaders;

/// What the headers of one family say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Report {
    address: Option<IpAddr>,
    scheme: Option<Scheme>,
}

/// Determines the client's address and protocol.
pub(crate) fn client_of(
    peer: IpAddr,
    headers: &HeaderMap,
    trusted: &NetworkList,
    used: ForwardingHeaders,
) -> Result<ForwardedClient, ConflictingHeaders> {
    let peer = canonical(peer);
    if !trusted.contains(peer) {
        return Ok(ForwardedClient { address: peer, scheme: None });
    }
    let report = match used {
        ForwardingHeaders::XForwarded => x_forwarded(headers, trusted),
        ForwardingHeaders::Forwarded => forwarded(headers, trusted)?,
        ForwardingHeaders::Any => {
            let (one, other) = (x_forwarded(headers, trusted), forwarded(headers, trusted)?);
            Report { address: agreed(one.address, other.address)?, scheme: agreed(one.scheme, other.scheme)? }
        }
    };
    Ok(ForwardedClient { address: report.address.unwrap_or(peer), scheme: report.scheme })
}

/// What two reports say together, if they do not contradict each other.
fn agreed<T: PartialEq>(one: Option<T>, other: Option<T>) -> Result<Option<T>, ConflictingHeaders> {
    match (one, other) {
        (Some(one), Some(other)) if one != other => Err(ConflictingHeaders),
        (one, other) => Ok(one.or(other)),
    }
}

fn x_forwarded(headers: &HeaderMap, trusted: &NetworkList) -> Report {
    Report { address: rightmost_untrusted(headers, trusted), scheme: first_scheme(headers) }
}

/// The last address that is not a trusted proxy. The client could have sent everything left of it.
fn rightmost_untrusted(headers: &HeaderMap, trusted: &NetworkList) -> Option<IpAddr> {
    let mut leftmost = None;
    for value in headers.get_all(FORWARDED_FOR).iter().rev() {
        let Ok(text) = value.to_str() else { return leftmost };
        for entry in text.rsplit(',') {
            // An entry that is not an address ends the chain; nothing left of it can be trusted.
            let Some(address) = parse_address(entry.trim()) else { return leftmost };
            leftmost = Some(address);
            if !trusted.contains(address) {
                return leftmost;
            }
        }
    }
    leftmost
}

/// The protocol of the client's own hop: the first value, because each proxy appends its own or keeps what it received. A client
/// that sends a value of its own can only deceive the server about itself.
fn first_scheme(headers: &HeaderMap) -> Option<Scheme> {
    let first = headers.get(FORWARDED_PROTO)?.to_str().ok()?.split(',').next()?;
    Scheme::parse(first.trim())
}

/// The element of the last sender that is not a trusted proxy.
fn forwarded(headers: &HeaderMap, trusted: &NetworkList) -> Result<Report, ConflictingHeaders> {
    let elements = elements(headers).map_err(|_malformed| ConflictingHeaders)?;
    let mut address = None;
    let mut scheme = None;
    for Element { sender, scheme: reported } in elements.into_iter().rev() {
        scheme = reported;
        match sender {
            Some(sender) => address = Some(sender),
            // A sender that is not told ends the chain.
            None => break,
        }
        if sender.is_some_and(|sender| !trusted.contains(sender)) {
            break;
        }
    }
    Ok(Report { address, scheme })
}

/// An address, with or without a port, IPv6 with or without brackets.
pub(crate) fn parse_address(text: &str) -> Option<IpAddr> {
    let address = text.parse::<IpAddr>().ok().or_else(|| {
        text.parse::<std::net::SocketAddr>().map(|socket| socket.ip()).ok().or_else(|| {
            text.strip_prefix('[')
                .and_then(|rest| rest.strip_suffix(']'))
                .and_then(|inner| inner.parse().ok())
        })
    })?;
    Some(canonical(address))
}

#[cfg(test)]
mod tests;
