//! Methods, status codes and header names (RFC 3261 sections 7.1, 21 and 20). Unknown methods and headers are not parse
//! errors, so they are stored as `Other` (section 8.2).

use std::fmt;

use super::lex::is_token;

/// A request method; case-sensitive (RFC 3261 section 7.1).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Method {
    /// Creates or modifies a session.
    Invite,
    /// Acknowledges the final response to an INVITE.
    Ack,
    /// Ends a session.
    Bye,
    /// Cancels a pending INVITE.
    Cancel,
    /// Queries capabilities; also used as a ping.
    Options,
    /// Binds an address of record to a contact.
    Register,
    /// Mid-session information such as DTMF (RFC 6086).
    Info,
    /// Modifies a session or refreshes the target, also in an early dialog (RFC 3311).
    Update,
    /// Acknowledges a reliable provisional response (RFC 3262).
    Prack,
    /// Transfers a call (RFC 3515).
    Refer,
    /// Subscribes to an event (RFC 6665).
    Subscribe,
    /// Reports an event (RFC 6665).
    Notify,
    /// Sends an instant message (RFC 3428).
    Message,
    /// Publishes event state (RFC 3903).
    Publish,
    /// Any other token, as written.
    Other(String),
}

impl Method {
    /// Parses a method; `None` if it is not a token.
    pub fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "INVITE" => Self::Invite,
            "ACK" => Self::Ack,
            "BYE" => Self::Bye,
            "CANCEL" => Self::Cancel,
            "OPTIONS" => Self::Options,
            "REGISTER" => Self::Register,
            "INFO" => Self::Info,
            "UPDATE" => Self::Update,
            "PRACK" => Self::Prack,
            "REFER" => Self::Refer,
            "SUBSCRIBE" => Self::Subscribe,
            "NOTIFY" => Self::Notify,
            "MESSAGE" => Self::Message,
            "PUBLISH" => Self::Publish,
            other if is_token(other) => Self::Other(other.to_owned()),
            _ => return None,
        })
    }

    /// The method on the wire.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Invite => "INVITE",
            Self::Ack => "ACK",
            Self::Bye => "BYE",
            Self::Cancel => "CANCEL",
            Self::Options => "OPTIONS",
            Self::Register => "REGISTER",
            Self::Info => "INFO",
            Self::Update => "UPDATE",
            Self::Prack => "PRACK",
            Self::Refer => "REFER",
            Self::Subscribe => "SUBSCRIBE",
            Self::Notify => "NOTIFY",
            Self::Message => "MESSAGE",
            Self::Publish => "PUBLISH",
            Self::Other(name) => name,
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A status code from 100 to 699.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StatusCode(u16);

macro_rules! statuses {
    ($($name:ident = $code:literal, $phrase:literal;)*) => {
        impl StatusCode {
            $(#[doc = concat!(stringify!($code), " ", $phrase)] pub const $name: Self = Self($code);)*

            /// The default reason phrase; empty for a code that this stack does not send.
            pub fn phrase(self) -> &'static str {
                match self.0 { $($code => $phrase,)* _ => "" }
            }
        }
    };
}

statuses! {
    TRYING = 100, "Trying";
    RINGING = 180, "Ringing";
    SESSION_PROGRESS = 183, "Session Progress";
    OK = 200, "OK";
    ACCEPTED = 202, "Accepted";
    BAD_REQUEST = 400, "Bad Request";
    UNAUTHORIZED = 401, "Unauthorized";
    FORBIDDEN = 403, "Forbidden";
    NOT_FOUND = 404, "Not Found";
    METHOD_NOT_ALLOWED = 405, "Method Not Allowed";
    NOT_ACCEPTABLE = 406, "Not Acceptable";
    PROXY_AUTHENTICATION_REQUIRED = 407, "Proxy Authentication Required";
    REQUEST_TIMEOUT = 408, "Request Timeout";
    UNSUPPORTED_MEDIA_TYPE = 415, "Unsupported Media Type";
    UNSUPPORTED_URI_SCHEME = 416, "Unsupported URI Scheme";
    BAD_EXTENSION = 420, "Bad Extension";
    SESSION_INTERVAL_TOO_SMALL = 422, "Session Interval Too Small";
    BAD_INFO_PACKAGE = 469, "Bad Info Package";
    TEMPORARILY_UNAVAILABLE = 480, "Temporarily Unavailable";
    CALL_DOES_NOT_EXIST = 481, "Call/Transaction Does Not Exist";
    LOOP_DETECTED = 482, "Loop Detected";
    TOO_MANY_HOPS = 483, "Too Many Hops";
    BUSY_HERE = 486, "Busy Here";
    REQUEST_TERMINATED = 487, "Request Terminated";
    NOT_ACCEPTABLE_HERE = 488, "Not Acceptable Here";
    BAD_EVENT = 489, "Bad Event";
    REQUEST_PENDING = 491, "Request Pending";
    SERVER_INTERNAL_ERROR = 500, "Server Internal Error";
    NOT_IMPLEMENTED = 501, "Not Implemented";
    SERVICE_UNAVAILABLE = 503, "Service Unavailable";
    SERVER_TIMEOUT = 504, "Server Time-out";
    VERSION_NOT_SUPPORTED = 505, "Version Not Supported";
    MESSAGE_TOO_LARGE = 513, "Message Too Large";
    BUSY_EVERYWHERE = 600, "Busy Everywhere";
    DECLINE = 603, "Decline";
}

impl StatusCode {
    /// `None` if the code is not between 100 and 699.
    pub fn new(code: u16) -> Option<Self> {
        (100..700).contains(&code).then_some(Self(code))
    }

    /// The code as a number.
    pub fn code(self) -> u16 {
        self.0
    }

    /// Whether this is a 1xx.
    pub fn is_provisional(self) -> bool {
        self.0 < 200
    }

    /// Whether this is a 2xx.
    pub fn is_success(self) -> bool {
        (200..300).contains(&self.0)
    }
}

impl fmt::Display for StatusCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// A header name; case-insensitive. Compact forms are equal to their long forms.
#[derive(Clone, Debug)]
pub enum HeaderName {
    /// A header that this stack reads or writes.
    Known(KnownHeader),
    /// Any other, as written.
    Other(String),
}

macro_rules! headers {
    ($($name:ident $text:literal $compact:literal)*) => {
        /// The headers that this stack reads or writes.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum KnownHeader { $(#[doc = concat!("`", $text, "`")] $name,)* }

        impl KnownHeader {
            /// Every known header.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The long form in its usual spelling.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// The compact form (RFC 3261 section 7.3.3), or an empty string.
            pub fn compact(self) -> &'static str {
                match self { $(Self::$name => $compact,)* }
            }
        }
    };
}

headers! {
    Accept "Accept" ""
    Allow "Allow" ""
    AllowEvents "Allow-Events" "u"
    Authorization "Authorization" ""
    CallId "Call-ID" "i"
    Contact "Contact" "m"
    ContentDisposition "Content-Disposition" ""
    ContentEncoding "Content-Encoding" "e"
    ContentLength "Content-Length" "l"
    ContentType "Content-Type" "c"
    CSeq "CSeq" ""
    Diversion "Diversion" ""
    Event "Event" "o"
    Expires "Expires" ""
    From "From" "f"
    InfoPackage "Info-Package" ""
    MaxForwards "Max-Forwards" ""
    MinSe "Min-SE" ""
    PAssertedIdentity "P-Asserted-Identity" ""
    ProxyAuthenticate "Proxy-Authenticate" ""
    ProxyAuthorization "Proxy-Authorization" ""
    RAck "RAck" ""
    Reason "Reason" ""
    RecordRoute "Record-Route" ""
    RecvInfo "Recv-Info" ""
    ReferSub "Refer-Sub" ""
    ReferTo "Refer-To" "r"
    ReferredBy "Referred-By" "b"
    Require "Require" ""
    RetryAfter "Retry-After" ""
    Route "Route" ""
    RSeq "RSeq" ""
    Server "Server" ""
    SessionExpires "Session-Expires" "x"
    Subject "Subject" "s"
    SubscriptionState "Subscription-State" ""
    Supported "Supported" "k"
    To "To" "t"
    Unsupported "Unsupported" ""
    UserAgent "User-Agent" ""
    Via "Via" "v"
    Warning "Warning" ""
    WwwAuthenticate "WWW-Authenticate" ""
}

impl HeaderName {
    /// Parses a header name; `None` if it is not a token.
    pub fn parse(text: &str) -> Option<Self> {
        let known = KnownHeader::ALL.iter().copied().find(|known| {
            known.as_str().eq_ignore_ascii_case(text) || known.compact().eq_ignore_ascii_case(text)
        });
        match known {
            Some(known) if !text.is_empty() => Some(Self::Known(known)),
            _ if is_token(text) => Some(Self::Other(text.to_owned())),
            _ => None,
        }
    }

    /// Whether the header carries credentials.
    pub(crate) fn holds_credentials(&self) -> bool {
        match self {
            Self::Known(known) => {
                matches!(known, KnownHeader::Authorization | KnownHeader::ProxyAuthorization)
            }
            Self::Other(_) => false,
        }
    }

    /// The name; for a known header, in its usual spelling.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Known(known) => known.as_str(),
            Self::Other(name) => name,
        }
    }
}

impl PartialEq for HeaderName {
    fn eq(&self, other: &Self) -> bool {
        self.as_str().eq_ignore_ascii_case(other.as_str())
    }
}

impl Eq for HeaderName {}

impl From<KnownHeader> for HeaderName {
    fn from(known: KnownHeader) -> Self {
        Self::Known(known)
    }
}
