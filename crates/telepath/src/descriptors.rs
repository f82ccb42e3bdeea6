//! The file descriptors of the process. API connections and calls each have a share, so that neither can starve the other.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors for everything else: the database, webhooks, listeners, logs and files.
const RESERVED: u64 = 256;
/// Descriptors of a call: the socket for RTP, one that a re-INVITE may add, and the WebSocket to the agent.
const PER_CALL: u64 = 3;
/// The least that is useful.
const MIN_CONNECTIONS: u64 = 16;

/// How many connections and calls the descriptors allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DescriptorShares {
    /// Open connections to the API.
    pub(crate) connections: u64,
    /// Concurrent calls.
    pub(crate) calls: u64,
}

impl DescriptorShares {
    /// Divides `limit` descriptors. If they do not suffice for what the configuration allows, calls get at least half.
    pub(crate) fn of(limit: u64, wanted: Self) -> Self {
        let free = limit.saturating_sub(RESERVED);
        let for_calls = wanted.calls.saturating_mul(PER_CALL);
        let kept_for_calls = for_calls.min(free / 2);
        let connections = wanted.connections.min((free - kept_for_calls).max(MIN_CONNECTIONS));
        let calls = for_calls.min(free.saturating_sub(connections)) / PER_CALL;
        Self { connections, calls: calls.max(1) }
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
            concurrent_calls = shares.calls,
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

    fn shares(limit: u64, connections: u64, calls: u64) -> (u64, u64) {
        let shares = DescriptorShares::of(limit, DescriptorShares { connections, calls });
        (shares.connections, shares.calls)
    }

    #[test]
    fn enough_descriptors_change_nothing() {
        assert_eq!(shares(1_048_576, 10_000, 1000), (10_000, 1000));
        assert_eq!(shares(256 + 10_000 + 3000, 10_000, 1000), (10_000, 1000));
        assert_eq!(shares(u64::MAX, 10_000, 1000), (10_000, 1000));
    }

    #[test]
    fn few_descriptors_are_divided_so_that_neither_side_can_starve_the_other() {
        assert_eq!(shares(1024, 10_000, 1000), (384, 128));
        assert_eq!(shares(4096, 10_000, 100), (3540, 100), "calls leave what they cannot use");
        assert_eq!(shares(4096, 100, 10_000), (100, 1246), "and so do connections");
        assert_eq!(shares(64, 10_000, 1000), (16, 1));
        for limit in 300..5000 {
            let (connections, calls) = shares(limit, 10_000, 1000);
            assert!(limit < 320 || RESERVED + connections + calls * PER_CALL <= limit, "{limit}");
        }
    }

    #[test]
    fn the_limit_is_raised_to_the_hard_limit() {
        assert_eq!(raise_limit(), getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX));
    }
}
