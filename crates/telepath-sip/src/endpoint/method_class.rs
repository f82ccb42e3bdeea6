//! The classes of SIP methods, one for the server side and one for the client side. This is the only place that lists
//! which methods the endpoint implements (RFC 3261 section 8.2.1).

use crate::message::Method;

/// How the endpoint treats a request, by its method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MethodClass {
    /// ACK: never answered.
    Ack,
    /// CANCEL: belongs to the transaction of another request (section 9.2).
    Cancel,
    /// Implemented.
    Served(ServedMethod),
    /// Standard, but not implemented: 405.
    NotAllowed,
    /// Unknown: 501.
    Unknown,
}

/// The methods that create a server transaction of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ServedMethod {
    Invite,
    Bye,
    Options,
    Info,
    Update,
    Notify,
    Prack,
}

impl MethodClass {
    pub(super) fn of(method: &Method) -> Self {
        match method {
            Method::Ack => Self::Ack,
            Method::Cancel => Self::Cancel,
            Method::Invite => Self::Served(ServedMethod::Invite),
            Method::Bye => Self::Served(ServedMethod::Bye),
            Method::Options => Self::Served(ServedMethod::Options),
            Method::Info => Self::Served(ServedMethod::Info),
            Method::Update => Self::Served(ServedMethod::Update),
            Method::Prack => Self::Served(ServedMethod::Prack),
            Method::Notify => Self::Served(ServedMethod::Notify),
            Method::Register | Method::Refer | Method::Subscribe | Method::Message | Method::Publish => {
                Self::NotAllowed
            }
            Method::Other(_) => Self::Unknown,
        }
    }
}

/// The methods of our own client transactions. ACK is not among them: it has no response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum ClientMethod {
    Invite,
    Cancel,
    Bye,
    Update,
    Info,
    Options,
    Refer,
    Prack,
}

impl ClientMethod {
    const ALL: [Self; 8] = [
        Self::Invite,
        Self::Cancel,
        Self::Bye,
        Self::Update,
        Self::Info,
        Self::Options,
        Self::Refer,
        Self::Prack,
    ];

    /// The client transaction method that a response names in its `CSeq`; `None` if we never send such a request.
    pub(super) fn of(method: &Method) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.method() == *method)
    }

    pub(super) fn method(self) -> Method {
        match self {
            Self::Invite => Method::Invite,
            Self::Cancel => Method::Cancel,
            Self::Bye => Method::Bye,
            Self::Update => Method::Update,
            Self::Info => Method::Info,
            Self::Options => Method::Options,
            Self::Refer => Method::Refer,
            Self::Prack => Method::Prack,
        }
    }
}
