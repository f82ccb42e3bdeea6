//! Logging to standard error, as text or JSON. Types that hold secrets cannot be printed; the redaction here is a second line
//! of defence for secrets inside other text, such as the request line of an unknown client.

mod redact;

use std::io::{self, Write};

pub use redact::redact;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use crate::config::{LogConfig, LogFormat};

/// Checks that `text` is a valid log filter: levels and `module=level`, separated by commas. The library also accepts the name
/// of a module alone, so that a misspelled level would silence everything else.
pub fn check_filter(text: &str) -> Result<(), String> {
    let wrong = || {
        "must be a level (off, error, warn, info, debug, trace) or levels per module such as info,telepath_gateway=debug"
            .to_owned()
    };
    let is_level = |text: &str| LEVELS.iter().any(|level| level.eq_ignore_ascii_case(text));
    let is_module = |text: &str| {
        !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_:".contains(&byte))
    };
    for directive in text.split(',') {
        let valid = match directive.split_once('=') {
            None => is_level(directive),
            Some((module, level)) => is_module(module) && is_level(level),
        };
        if !valid {
            return Err(wrong());
        }
    }
    EnvFilter::try_new(text).map(drop).map_err(|_| wrong())
}

const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// Installs the logger. A second call has no effect.
pub fn start(config: &LogConfig) {
    let filter = EnvFilter::try_new(&config.level).unwrap_or_else(|_| EnvFilter::new("info"));
    let lines =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(RedactedStderr).with_ansi(false);
    // This fails only if a subscriber is already installed, as in tests that run several commands in one process.
    let _ = match config.format {
        LogFormat::Text => lines.try_init(),
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
    };
}

/// Logs each panic as one redacted line.
pub fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let text = panic.payload_as_str().unwrap_or("(no text)");
        if tracing::enabled!(tracing::Level::ERROR) {
            tracing::error!(place, text, "a task panicked; this is a bug in Telepath");
        } else {
            // Logging is not set up yet: write one redacted line.
            let _ = writeln!(Redacting::new(io::stderr()), "panic at {place}: {text}");
        }
    }));
}

#[derive(Debug, Clone, Copy)]
struct RedactedStderr;

impl<'a> MakeWriter<'a> for RedactedStderr {
    type Writer = Redacting<io::Stderr>;

    fn make_writer(&'a self) -> Self::Writer {
        Redacting::new(io::stderr())
    }
}

/// Buffers one log event, then writes it redacted in one call.
#[derive(Debug)]
struct Redacting<W: Write> {
    event: Vec<u8>,
    out: W,
}

impl<W: Write> Redacting<W> {
    fn new(out: W) -> Self {
        Self { event: Vec::new(), out }
    }
}

impl<W: Write> Write for Redacting<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.event.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if !self.event.is_empty() {
            let line = redact(&String::from_utf8_lossy(&self.event)).into_owned();
            self.event.clear();
            self.out.write_all(line.as_bytes())?;
        }
        self.out.flush()
    }
}

impl<W: Write> Drop for Redacting<W> {
    fn drop(&mut self) {
        // There is nowhere left to report a broken standard error.
        let _ = self.flush();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Shared(Arc<Mutex<Vec<u8>>>);

    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(json: bool) -> String {
        let shared = Shared::default();
        let out = shared.clone();
        let lines =
            tracing_subscriber::fmt().with_writer(move || Redacting::new(out.clone())).with_ansi(false);
        let event = || tracing::info!(header = "Bearer abc.def", "a stranger sent {}", "sk_live_0123456789");
        if json {
            tracing::subscriber::with_default(lines.json().finish(), event);
        } else {
            tracing::subscriber::with_default(lines.finish(), event);
        }
        let bytes = shared.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn log_filters_contain_known_levels_only() {
        for good in ["info", "OFF", "warn,telepath_gateway=debug", "telepath_store::cluster=trace"] {
            assert_eq!(check_filter(good), Ok(()), "{good}");
        }
        for wrong in [
            "loud",
            "",
            "info,",
            "info,loud",
            "info, hyper=off",
            "warning",
            "telepath_gateway",
            "telepath_gateway=loud",
            "=info",
            "a=b=c",
            "3",
            "info;debug",
        ] {
            assert!(check_filter(wrong).is_err_and(|message| message.contains("trace")), "{wrong}");
        }
    }

    #[test]
    fn secrets_are_redacted_in_text_and_json_logs() {
        for json in [false, true] {
            let line = logged(json);
            assert!(line.contains("a stranger sent sk_live_[redacted]"), "{line}");
            assert!(line.contains("Bearer [redacted]") && !line.contains("0123456789"), "{line}");
            assert_eq!(line.lines().count(), 1);
        }
    }
}
