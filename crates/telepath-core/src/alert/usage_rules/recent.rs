//! The last five minutes.

use serde::{Deserialize, Serialize};

/// Minutes that are added up: long enough that one busy minute is nothing, short enough that an alarm is still of use.
pub(super) const MINUTES: usize = 5;

/// Requests and errors of the last five minutes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Recent {
    /// The number of the newest minute since the epoch.
    newest: i64,
    /// The newest first.
    requests: [u32; MINUTES],
    errors: [u32; MINUTES],
}

impl Recent {
    /// Adds a minute; minutes in between were silent.
    pub(super) fn add(&mut self, minute: i64, requests: u32, errors: u32) {
        let gap = usize::try_from(minute.saturating_sub(self.newest)).unwrap_or(0).min(MINUTES);
        for counts in [&mut self.requests, &mut self.errors] {
            counts.rotate_right(gap % MINUTES);
            counts[..gap].fill(0);
        }
        self.newest = minute;
        self.requests[0] = requests;
        self.errors[0] = errors;
    }

    pub(super) fn newest(&self) -> i64 {
        self.newest
    }

    pub(super) fn requests(&self) -> u32 {
        sum(&self.requests)
    }

    pub(super) fn errors(&self) -> u32 {
        sum(&self.errors)
    }
}

fn sum(counts: &[u32]) -> u32 {
    counts.iter().fold(0, |sum, count| sum.saturating_add(*count))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn minutes_leave_after_five() {
        let mut recent = Recent::default();
        for (minute, sum) in [(100, 1), (101, 2), (104, 3), (105, 3), (106, 3), (109, 3), (113, 2), (200, 1)]
        {
            recent.add(minute, 1, 2);
            assert_eq!((recent.requests(), recent.errors()), (sum, 2 * sum), "minute {minute}");
        }
    }
}
