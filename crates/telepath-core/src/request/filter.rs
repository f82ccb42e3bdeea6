//! The filters of the request log.

use ipnet::IpNet;

use super::RequestMethod;
use super::segment::Logged;
use crate::clock::Timestamp;
use crate::error::ErrorCode;
use crate::id::{KeyId, RequestId, SecretId, UserId};

/// One status, or all of a class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatusFilter {
    /// Such as `404`.
    Exactly(u16),
    /// The first digit, such as that of `4xx`.
    Class(u16),
}

impl StatusFilter {
    /// Reads `404` or `4xx`.
    pub fn parse(text: &str) -> Option<Self> {
        if let Some(class) = text.strip_suffix("xx") {
            return class.parse().ok().filter(|class| (1..=5).contains(class)).map(Self::Class);
        }
        text.parse().ok().filter(|status| (100..=599).contains(status)).map(Self::Exactly)
    }

    const fn lets_through(self, status: u16) -> bool {
        match self {
            StatusFilter::Exactly(exact) => status == exact,
            StatusFilter::Class(class) => status / 100 == class,
        }
    }
}

/// Which requests a list shows; every member narrows it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RequestFilter {
    /// Only requests with this key.
    pub key_id: Option<KeyId>,
    /// Only requests with this secret of a key.
    pub secret_id: Option<SecretId>,
    /// Only requests of this user.
    pub user_id: Option<UserId>,
    /// Only requests with this method.
    pub method: Option<RequestMethod>,
    /// Of the route with this path, such as `/v1/trunks/{id}`.
    pub route: Option<String>,
    /// With exactly this path.
    pub path: Option<String>,
    /// Answered so.
    pub status: Option<StatusFilter>,
    /// Answered with this error.
    pub error: Option<ErrorCode>,
    /// From an address of this network.
    pub network: Option<IpNet>,
    /// Only requests whose `User-Agent` contains this text.
    pub user_agent: Option<String>,
    /// The one with this id.
    pub id: Option<RequestId>,
    /// That took at least so long.
    pub min_duration_us: Option<u64>,
    /// Not before this moment.
    pub start: Option<Timestamp>,
    /// Not after this moment.
    pub end: Option<Timestamp>,
}

fn allows<T>(wanted: Option<&T>, fits: impl FnOnce(&T) -> bool) -> bool {
    wanted.is_none_or(fits)
}

impl RequestFilter {
    /// Whether no member is set.
    pub fn lets_everything_through(&self) -> bool {
        *self == Self::default()
    }

    /// Whether a request is shown, apart from `secret_id`: a logged request has only a mark of its secret. The cheap questions come first, because most requests fail one of them.
    pub fn lets_through(&self, request: &Logged<'_>) -> bool {
        let facts = &request.facts;
        allows(self.key_id.as_ref(), |key| facts.caller.key() == Some(*key))
            && allows(self.user_id.as_ref(), |user| facts.caller.user() == Some(*user))
            && allows(self.id.as_ref(), |id| request.id == *id)
            && allows(self.status.as_ref(), |status| status.lets_through(facts.status))
            && allows(self.method.as_ref(), |method| facts.method == *method)
            && allows(self.start.as_ref(), |start| facts.at >= *start)
            && allows(self.end.as_ref(), |end| facts.at <= *end)
            && allows(self.min_duration_us.as_ref(), |least| facts.duration_us >= *least)
            && allows(self.error.as_ref(), |error| request.error == Some(error.name()))
            && allows(self.network.as_ref(), |network| network.contains(&facts.address))
            && allows(self.route.as_ref(), |route| request.route() == Some(route))
            && allows(self.path.as_ref(), |path| request.path() == path)
            && allows(self.user_agent.as_ref(), |part| {
                request.user_agent.is_some_and(|text| text.contains(part.as_str()))
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_a_number_or_a_class() {
        assert_eq!(StatusFilter::parse("404"), Some(StatusFilter::Exactly(404)));
        assert_eq!(StatusFilter::parse("4xx"), Some(StatusFilter::Class(4)));
        for wrong in ["", "xx", "6xx", "0xx", "99", "600", "40x", "4XX", "-4xx", "404 "] {
            assert_eq!(StatusFilter::parse(wrong), None, "{wrong}");
        }
        assert!(StatusFilter::Class(4).lets_through(429) && !StatusFilter::Class(4).lets_through(503));
    }
}
