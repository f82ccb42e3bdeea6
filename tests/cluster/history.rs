//! The requests and revocations of a run with their responses, and the two invariants that they must satisfy.

use std::collections::BTreeMap;
use std::time::Instant;

/// A key of a history.
pub(crate) type KeyNumber = usize;

/// An answered request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Request {
    pub(crate) key: KeyNumber,
    pub(crate) node: usize,
    pub(crate) sent: Instant,
    /// Whether the key was admitted, whatever the response to the request.
    pub(crate) admitted: bool,
    /// The end of the window it was counted in, in Unix seconds.
    pub(crate) reset: u64,
}

/// A successful revocation.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Revocation {
    pub(crate) key: KeyNumber,
    pub(crate) node: usize,
    pub(crate) answered: Instant,
}

#[derive(Debug, Default)]
pub(crate) struct History {
    pub(crate) requests: Vec<Request>,
    pub(crate) revocations: Vec<Revocation>,
    /// The limit of each key per window.
    pub(crate) limits: BTreeMap<KeyNumber, u64>,
}

impl History {
    pub(crate) fn admitted(&self) -> usize {
        self.requests.iter().filter(|request| request.admitted).count()
    }

    /// Every violation of an invariant.
    pub(crate) fn violations(&self) -> Vec<String> {
        let mut found = self.admitted_after_revocation();
        found.extend(self.admitted_beyond_the_limit());
        found
    }

    /// Invariant 1: no server admits a request sent after the revocation of its key was answered.
    fn admitted_after_revocation(&self) -> Vec<String> {
        let mut found = Vec::new();
        for revocation in &self.revocations {
            for request in self.requests.iter().filter(|request| request.key == revocation.key) {
                if request.admitted && request.sent > revocation.answered {
                    found.push(format!(
                        "key {} was admitted by server {} {:?} after server {} had answered its revocation",
                        request.key,
                        request.node,
                        request.sent - revocation.answered,
                        revocation.node,
                    ));
                }
            }
        }
        found
    }

    /// Invariant 2: in each window, a key is admitted at most as often as its limit.
    fn admitted_beyond_the_limit(&self) -> Vec<String> {
        let mut windows: BTreeMap<(KeyNumber, u64), u64> = BTreeMap::new();
        for request in self.requests.iter().filter(|request| request.admitted) {
            *windows.entry((request.key, request.reset)).or_default() += 1;
        }
        windows
            .iter()
            .filter(|((key, _), admitted)| self.limits.get(key).is_some_and(|limit| *admitted > limit))
            .map(|((key, reset), admitted)| {
                format!("key {key}: {admitted} were admitted in the window that ends at {reset}")
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const MOMENT: Duration = Duration::from_millis(1);

    fn request(sent: Instant, admitted: bool) -> Request {
        Request { key: 1, node: 2, sent, admitted, reset: 60 }
    }

    fn history(requests: Vec<Request>, revoked: Option<Instant>, limit: u64) -> History {
        let revocations =
            revoked.map(|answered| Revocation { key: 1, node: 0, answered }).into_iter().collect();
        History { requests, revocations, limits: BTreeMap::from([(1, limit)]) }
    }

    #[test]
    fn an_admission_after_revocation_is_detected() {
        let answered = Instant::now();
        let before = request(answered, true);
        let refused = request(answered + MOMENT, false);
        assert!(history(vec![before, refused], Some(answered), 9).violations().is_empty());
        let late = request(answered + MOMENT, true);
        let found = history(vec![before, refused, late], Some(answered), 9).violations();
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].contains("server 2") && found[0].contains("server 0"), "{found:?}");
        let other = Request { key: 3, ..late };
        assert!(history(vec![other], Some(answered), 9).violations().is_empty());
    }

    #[test]
    fn an_admission_beyond_the_limit_is_detected_per_window() {
        let now = Instant::now();
        let next = Request { reset: 120, ..request(now, true) };
        let within = vec![request(now, true), request(now, false), request(now, true), next];
        assert!(history(within.clone(), None, 2).violations().is_empty());
        let beyond = [within, vec![Request { node: 1, ..request(now, true) }]].concat();
        let found = history(beyond, None, 2).violations();
        assert_eq!(found, ["key 1: 3 were admitted in the window that ends at 60"]);
    }
}
