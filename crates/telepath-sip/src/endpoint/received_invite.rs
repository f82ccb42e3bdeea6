//! An INVITE outside a dialog, as far as it can be read: whoever rejects one records what it said, also if it cannot be
//! parsed.

use std::fmt;
use std::sync::Arc;

use crate::message::{Headers, KnownHeader, MalformedRequest, Method, NameAddr, Request, SyntaxError, Uri};
use crate::redact::redact;

/// An INVITE outside a dialog.
#[derive(Clone, Debug)]
pub enum ReceivedInvite {
    /// A well-formed INVITE.
    Parsed(Arc<Request>),
    /// An INVITE that cannot be parsed.
    Malformed(Arc<MalformedInvite>),
}

/// An INVITE that cannot be parsed, with the parts of it that can.
pub struct MalformedInvite {
    error: SyntaxError,
    uri: Option<Uri>,
    from: Option<Uri>,
    to: Option<Uri>,
    headers: Headers,
    bytes: Vec<u8>,
}

impl fmt::Debug for MalformedInvite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MalformedInvite").field("error", &self.error).finish_non_exhaustive()
    }
}

impl From<Arc<Request>> for ReceivedInvite {
    fn from(request: Arc<Request>) -> Self {
        Self::Parsed(request)
    }
}

impl From<Arc<MalformedInvite>> for ReceivedInvite {
    fn from(invite: Arc<MalformedInvite>) -> Self {
        Self::Malformed(invite)
    }
}

impl ReceivedInvite {
    /// The Request-URI. Of a malformed one, its user.
    pub fn uri(&self) -> Option<&Uri> {
        match self {
            Self::Parsed(request) => Some(request.uri()),
            Self::Malformed(invite) => invite.uri.as_ref(),
        }
    }

    /// The URI of From.
    pub fn from(&self) -> Option<&Uri> {
        match self {
            Self::Parsed(request) => Some(request.from().uri()),
            Self::Malformed(invite) => invite.from.as_ref(),
        }
    }

    /// The URI of To.
    pub fn to(&self) -> Option<&Uri> {
        match self {
            Self::Parsed(request) => Some(request.to().uri()),
            Self::Malformed(invite) => invite.to.as_ref(),
        }
    }

    /// The headers as text.
    pub fn headers(&self) -> &Headers {
        match self {
            Self::Parsed(request) => request.headers(),
            Self::Malformed(invite) => &invite.headers,
        }
    }

    /// Why the INVITE cannot be parsed.
    pub fn syntax_error(&self) -> Option<SyntaxError> {
        match self {
            Self::Parsed(_) => None,
            Self::Malformed(invite) => Some(invite.error),
        }
    }

    /// The whole INVITE without credentials, see [`crate::redact`].
    pub fn text(&self) -> String {
        match self {
            Self::Parsed(request) => redact(&request.to_bytes()),
            Self::Malformed(invite) => redact(&invite.bytes),
        }
    }
}

impl MalformedInvite {
    /// `None` if the request is no INVITE, or one within a dialog.
    pub(super) fn of(request: MalformedRequest, bytes: &[u8]) -> Option<Self> {
        let MalformedRequest { error, method, uri, headers, response: _ } = request;
        let address = |name| headers.first(name).and_then(NameAddr::parse_from);
        let to = address(KnownHeader::To);
        let in_dialog = match &to {
            Some(to) => to.tag().is_some(),
            None => {
                headers.first(KnownHeader::To).is_some_and(|text| text.to_ascii_lowercase().contains("tag="))
            }
        };
        if method != Method::Invite || in_dialog {
            return None;
        }
        let from = address(KnownHeader::From).map(|from| from.uri().clone());
        let to = to.map(|to| to.uri().clone());
        Some(Self { error, uri, from, to, headers, bytes: bytes.to_vec() })
    }
}
