//! The file descriptors of the process. API connections, SIP connections, calls and webhook deliveries each have a share, so that none can
//! starve the others.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors for everything else: the database, listeners, the local socket, metrics, logs and files.
const RESERVED: u64 = 256;
/// Descriptors of a call: the socket for RTP, one that a re-INVITE may add, and the WebSocket to the agent.
const PER_CALL: u64 = 3;
/// Descriptors of a delivery attempt: two for the look-up of a name, then two connections that race.
const PER_DELIVERY: u64 = 2;
/// The least that is useful.
const MIN_CONNECTIONS: u64 = 16;
/// The part of the descriptors that deliveries get at most, and the least that is useful.
const DELIVERIES_PART: u64 = 8;
const MIN_DELIVERIES: u64 = 4;

/// The part of the descriptors that SIP connections get at most.
const SIP_PART: u64 = 8;

/// How many connections, calls and deliveries the descriptors allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DescriptorShares {
    /// Open connections to the API.
    pub(crate) connections: u64,
    /// Open SIP connections.
    pub(crate) sip_connections: u64,
    /// Concurrent calls.
    pub(crate) calls: u64,
    /// Concurrent delivery attempts.
    pub(crate) deliveries: u64,
}

impl DescriptorShares {
    /// Divides `limit` descriptors. If they do not suffice for what the configuration allows, calls get at least half.
    pub(crate) fn of(limit: u64, wanted: Self) -> Self {
        let free = limit.saturating_sub(RESERVED);
        let deliveries = wanted.deliveries.min((free / DELIVERIES_PART / PER_DELIVERY).max(MIN_DELIVERIES));
        let free = free.saturating_sub(deliveries * PER_DELIVERY);
        let sip_connections = wanted.sip_connections.min((free / SIP_PART).max(MIN_CONNECTIONS));
        let free = free.saturating_sub(sip_connections);
        let for_calls = wanted.calls.saturating_mul(PER_CALL);
        let kept_for_calls = for_calls.min(free / 2);
        let connections = wanted.connections.min((free - kept_for_calls).max(MIN_CONNECTIONS));
        let calls = for_calls.min(free.saturating_sub(connections)) / PER_CALL;
        Self { connections, sip_connections, calls: calls.max(1), deliveries }
    }
}

/// Raises the limit of open files to the highest that the process may set itself, and divides it.
pub(crate) fn divide(wanted: DescriptorShares) -> DescriptorShares {
    let limit = raise_limit();
    let shares = DescriptorShares::of(limit, wanted);
    if shares != wanted {
        tracing::warn!(
            limit,
            api_connections = shares.connections,
            sip_connections = shares.sip_connections,
            concurrent_calls = shares.calls,
            concurrent_deliveries = shares.deliveries,
            "the process may open too few files for the configured limits, so they are lowered; raise its limit of open files \
             (LimitNOFILE in systemd)"
        );
    }
    shares
}

/// Raises the soft limit to the hard limit and returns what is in force.
fn raise_limit() -> u64 {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current != maximum
        && let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })
    {
        tracing::warn!(%error, "could not raise the limit of open files");
    }
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shares(limit: u64, connections: u64, calls: u64) -> (u64, u64, u64) {
        let wanted = DescriptorShares { connections, sip_connections: 0, calls, deliveries: 512 };
        let shares = DescriptorShares::of(limit, wanted);
        (shares.connections, shares.calls, shares.deliveries)
    }

    #[test]
    fn enough_descriptors_change_nothing() {
        assert_eq!(shares(1_048_576, 10_000, 1000), (10_000, 1000, 512));
        assert_eq!(shares(256 + 1024 + 10_000 + 3000, 10_000, 1000), (10_000, 1000, 512));
        assert_eq!(shares(u64::MAX, 10_000, 1000), (10_000, 1000, 512));
    }

    #[test]
    fn few_descriptors_are_divided_so_that_no_side_can_starve_the_others() {
        assert_eq!(shares(1024, 10_000, 1000), (336, 112, 48));
        assert_eq!(shares(4096, 10_000, 100), (3060, 100, 240), "calls leave what they cannot use");
        assert_eq!(shares(4096, 100, 10_000), (100, 1086, 240), "and so do connections");
        assert_eq!(shares(64, 10_000, 1000), (16, 1, 4));
        for limit in 300..20_000 {
            let (connections, calls, deliveries) = shares(limit, 10_000, 1000);
            let used = RESERVED + connections + calls * PER_CALL + deliveries * PER_DELIVERY;
            assert!(limit < 320 || used <= limit, "{limit}");
        }
    }

    #[test]
    fn sip_connections_get_an_eighth_and_leave_what_they_do_not_use() {
        let wanted = |sip_connections| DescriptorShares {
            connections: 10_000,
            sip_connections,
            calls: 1000,
            deliveries: 512,
        };
        assert_eq!(DescriptorShares::of(1_048_576, wanted(2000)), wanted(2000));
        let few = DescriptorShares::of(1024, wanted(2000));
        assert_eq!((few.connections, few.sip_connections, few.calls), (294, 84, 98));
        for limit in 400..20_000 {
            let shares = DescriptorShares::of(limit, wanted(2000));
            let used = RESERVED + shares.connections + shares.sip_connections;
            let used = used + shares.calls * PER_CALL + shares.deliveries * PER_DELIVERY;
            assert!(used <= limit, "{limit}");
        }
    }

    #[test]
    fn the_limit_is_raised_to_the_hard_limit() {
        assert_eq!(raise_limit(), getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX));
    }
}
