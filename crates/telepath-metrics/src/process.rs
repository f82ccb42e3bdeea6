//! The metrics of the operating system about this process, with the names that Prometheus client libraries use. They are
//! read from `/proc`; elsewhere than on Linux they are left out.

use rustix::process::{Resource, getrlimit};

use crate::encoder::{Encoder, MetricKind};
use crate::registry::Collect;

/// The source of the `process_*` metrics.
#[derive(Debug)]
pub struct ProcessMetrics {
    ticks_per_second: f64,
    page_bytes: u64,
    /// Unix seconds.
    booted: Option<u64>,
}

/// What `/proc/self/stat` says (`proc_pid_stat(5)`).
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    cpu_ticks: u64,
    /// Since the system booted.
    started_ticks: u64,
    virtual_bytes: u64,
    resident_pages: u64,
}

impl Stat {
    fn parse(text: &str) -> Option<Self> {
        // The second field is the name of the program in parentheses, which may itself contain both.
        let fields: Vec<&str> = text.rsplit_once(')')?.1.split_ascii_whitespace().collect();
        // `proc_pid_stat(5)` counts from 1, and the first field here is its third.
        let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
        Some(Self {
            cpu_ticks: field(14)?.saturating_add(field(15)?),
            started_ticks: field(22)?,
            virtual_bytes: field(23)?,
            resident_pages: field(24)?,
        })
    }
}

impl ProcessMetrics {
    /// Reads what never changes.
    pub fn new() -> Self {
        Self {
            ticks_per_second: precise(rustix::param::clock_ticks_per_second()),
            page_bytes: u64::try_from(rustix::param::page_size()).unwrap_or(4096),
            booted: std::fs::read_to_string("/proc/stat").ok().and_then(|text| boot_time(&text)),
        }
    }
}

impl Default for ProcessMetrics {
    fn default() -> Self {
        Self::new()
    }
}

fn boot_time(stat: &str) -> Option<u64> {
    stat.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()
}

#[expect(clippy::cast_precision_loss, reason = "seconds and ticks are far below 2^52")]
const fn precise(value: u64) -> f64 {
    value as f64
}

impl Collect for ProcessMetrics {
    fn collect(&self, encoder: &mut Encoder) {
        use MetricKind::{Counter, Gauge};
        let stat = std::fs::read_to_string("/proc/self/stat").ok().and_then(|text| Stat::parse(&text));
        if let Some(stat) = stat {
            let cpu = precise(stat.cpu_ticks) / self.ticks_per_second;
            encoder.single("process_cpu_seconds_total", Counter, "CPU time, user and system.", cpu);
            let resident = stat.resident_pages.saturating_mul(self.page_bytes);
            encoder.single("process_resident_memory_bytes", Gauge, "Resident memory.", resident);
            encoder.single("process_virtual_memory_bytes", Gauge, "Virtual memory.", stat.virtual_bytes);
            if let Some(booted) = self.booted {
                let started = precise(booted) + precise(stat.started_ticks) / self.ticks_per_second;
                let help = "Start of the process, in seconds since 1970.";
                encoder.single("process_start_time_seconds", Gauge, help, started);
            }
        }
        if let Ok(open) = std::fs::read_dir("/proc/self/fd") {
            // The directory that is being read is open itself.
            let open = u64::try_from(open.count()).unwrap_or(u64::MAX).saturating_sub(1);
            encoder.single("process_open_fds", Gauge, "Open file descriptors.", open);
        }
        let most = getrlimit(Resource::Nofile).current.map_or(f64::INFINITY, precise);
        encoder.single("process_max_fds", Gauge, "The maximum number of open file descriptors.", most);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stat_of_a_process_is_parsed_although_its_name_contains_parentheses() {
        let text = "42 (a) b (c) S 1 42 42 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 4 0 1234 1000000 300 18446744073709551615";
        let stat =
            Stat { cpu_ticks: 300, started_ticks: 1234, virtual_bytes: 1_000_000, resident_pages: 300 };
        assert_eq!(Stat::parse(text), Some(stat));
        assert_eq!(Stat::parse("42 (a) S 1"), None);
        assert_eq!(Stat::parse(""), None);
        assert_eq!(boot_time("cpu 1 2\nbtime 1700000000\nprocesses 3\n"), Some(1_700_000_000));
    }

    #[test]
    fn this_process_has_memory_and_open_files() {
        let mut encoder = Encoder::default();
        let file = std::fs::File::open("/proc/self/stat").unwrap();
        ProcessMetrics::new().collect(&mut encoder);
        drop(file);
        let text = encoder.finish();
        let value = |name: &str| {
            let line = text.lines().find(|line| line.starts_with(&format!("{name} "))).unwrap();
            line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()
        };
        assert!(value("process_resident_memory_bytes") > 100_000.0);
        assert!(value("process_open_fds") >= 4.0 && value("process_max_fds") > value("process_open_fds"));
        assert!(value("process_start_time_seconds") > 1_500_000_000.0);
        assert!(value("process_cpu_seconds_total") >= 0.0);
    }
}
