//! Log lines on standard error, as text or JSON. The types that hold secrets cannot be printed; the redaction here is a
//! second line of defence for secrets that arrive inside other texts, such as a stranger's request line.

mod redact;

use std::io::{self, Write};

pub use redact::redact;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use crate::config::{LogConfig, LogFormat};

/// Whether a text is a filter of log lines.
pub fn check_filter(text: &str) -> Result<(), String> {
    EnvFilter::try_new(text)
        .map(drop)
        .map_err(|_| "must be a level (error, warn, info, debug, trace) or a filter such as info,telepath_gateway=debug".to_owned())
}

/// Starts to write log lines; a second call changes nothing.
pub fn start(config: &LogConfig) {
    let filter = EnvFilter::try_new(&config.level).unwrap_or_else(|_| EnvFilter::new("info"));
    let lines =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(RedactedStderr).with_ansi(false);
    // It fails only when a subscriber is already there, as in tests that run several commands in one process.
    let _ = match config.format {
        LogFormat::Text => lines.try_init(),
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
    };
}

/// Panics become one log line, without the payload's unknown text going anywhere unredacted.
pub fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let text = panic.payload_as_str().unwrap_or("(no text)");
        if tracing::enabled!(tracing::Level::ERROR) {
            tracing::error!(place, text, "a task panicked; this is a bug in Telepath");
        } else {
            // Before the log is set up: still one redacted line.
            let _ = writeln!(RedactedLine::default(), "panic at {place}: {text}");
        }
    }));
}

#[derive(Debug, Clone, Copy)]
struct RedactedStderr;

impl<'a> MakeWriter<'a> for RedactedStderr {
    type Writer = RedactedLine;

    fn make_writer(&'a self) -> RedactedLine {
        RedactedLine::default()
    }
}

/// Collects one event and writes it redacted, in one piece, when the event is over.
#[derive(Debug, Default)]
struct RedactedLine(Vec<u8>);

impl Write for RedactedLine {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if !self.0.is_empty() {
            let line = redact(&String::from_utf8_lossy(&self.0)).into_owned();
            self.0.clear();
            io::stderr().lock().write_all(line.as_bytes())?;
        }
        Ok(())
    }
}

impl Drop for RedactedLine {
    fn drop(&mut self) {
        // Nowhere is left to report a broken standard error to.
        let _ = self.flush();
    }
}
