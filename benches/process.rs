//! CPU time and memory of a process, from /proc.

use std::fs;
use std::time::Duration;

use anyhow::Context as _;

/// CPU time in /proc is in hundredths of a second (`USER_HZ`) on every Linux.
const TICK: Duration = Duration::from_millis(10);

/// CPU time of all threads of a process.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct CpuTime {
    /// In user space.
    pub(crate) user: Duration,
    /// In the kernel.
    pub(crate) system: Duration,
}

impl CpuTime {
    pub(crate) fn whole(self) -> Duration {
        self.user + self.system
    }

    /// The difference from an earlier reading.
    pub(crate) fn since(self, earlier: Self) -> Self {
        Self {
            user: self.user.saturating_sub(earlier.user),
            system: self.system.saturating_sub(earlier.system),
        }
    }
}

/// The CPU time of a process so far.
pub(crate) fn cpu_time(process: u32) -> anyhow::Result<CpuTime> {
    let path = format!("/proc/{process}/stat");
    let text = fs::read_to_string(&path).with_context(|| path.clone())?;
    // The second field is the name in parentheses, which may itself hold spaces.
    let rest = text.rsplit(')').next().unwrap_or_default();
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let ticks =
        |at: usize| fields.get(at).and_then(|field| field.parse::<u32>().ok()).context("a number of ticks");
    Ok(CpuTime { user: TICK * ticks(11)?, system: TICK * ticks(12)? })
}

/// Resident memory in MiB.
pub(crate) fn resident_mib(process: u32) -> anyhow::Result<u64> {
    Ok(resident_kib(process)? / 1024)
}

/// Resident memory in KiB.
pub(crate) fn resident_kib(process: u32) -> anyhow::Result<u64> {
    let text = fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = text.lines().find(|line| line.starts_with("VmRSS:")).context("VmRSS")?;
    line.split_whitespace().nth(1).and_then(|field| field.parse().ok()).context("a size")
}
