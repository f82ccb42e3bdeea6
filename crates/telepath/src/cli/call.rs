//! `telepath call`: places one SIP call, plays a file, records the response and reports figures.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use rustls::ClientConfig;
use serde_json::{Value, json};
use telepath_core::secret::SecretText;
use telepath_egress::{Authorities, Egress};
use telepath_gateway::caller::{CallOutcome, CallerError, CallerOptions, EndedBy, place_call};
use telepath_media::codec::AudioCodec;
use telepath_media::wav;

use super::output;
use super::trunks::read_secret;
use crate::config::{LogConfig, LogFormat, duration};
use crate::exit::{Exit, Failure};
use crate::telemetry;

/// Arguments of `call`.
#[derive(Debug, Args)]
pub(crate) struct CallArgs {
    /// URI to call: sip:USER@HOST:PORT, with ;transport=tcp or ;transport=tls if not over UDP
    uri: String,
    /// User name for digest authentication
    #[arg(long, help_heading = "Credentials")]
    username: Option<String>,
    /// Password; prefer --password-file, because other users can see flags
    #[arg(long, requires = "username", conflicts_with = "password_file", help_heading = "Credentials")]
    password: Option<String>,
    /// File with the password
    #[arg(long, value_name = "FILE", requires = "username", help_heading = "Credentials")]
    password_file: Option<PathBuf>,
    /// Certificate authorities to trust over TLS, in PEM form [default: those of the system]
    #[arg(long, value_name = "FILE", help_heading = "TLS")]
    ca_file: Option<PathBuf>,
    /// File to play when the call is answered: WAVE, 16-bit PCM, mono, 8000 Hz
    #[arg(long, value_name = "FILE", help_heading = "Audio")]
    play: Option<PathBuf>,
    /// File to record to, in the same format
    #[arg(long, value_name = "FILE", help_heading = "Audio")]
    record: Option<PathBuf>,
    /// How long to listen after the last sample
    #[arg(long, value_name = "TIME", default_value = "1s", help_heading = "Audio")]
    listen: String,
    /// Codec to offer, in order of preference: PCMU, PCMA or G722 [default: all]
    #[arg(long = "codec", value_name = "CODEC", value_delimiter = ',', help_heading = "Audio")]
    codecs: Vec<String>,
    /// How long to wait for the answer
    #[arg(long, value_name = "TIME", default_value = "30s")]
    answer_within: String,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Runs the command. A rejected call is a failure.
pub(crate) async fn run(args: CallArgs) -> Result<(), Failure> {
    telemetry::start(&LogConfig { format: LogFormat::Text, level: "warn".to_owned() });
    let outcome = place_call(options(&args)?).await.map_err(|error| caller_failure(&error))?;
    if let Some(path) = &args.record {
        std::fs::write(path, wav::write(&outcome.recording))
            .map_err(|error| Failure::plain(format!("cannot write {}: {error}", path.display())))?;
    }
    if args.json {
        output::json(&as_json(&outcome))?;
    } else {
        output::raw(as_text(&outcome).as_bytes())?;
    }
    if outcome.answered() {
        return Ok(());
    }
    let reason = outcome.reason_phrase.as_deref().unwrap_or_default();
    Err(Failure::new(Exit::Refused, format!("the call was rejected: {} {reason}", outcome.status)))
}

fn options(args: &CallArgs) -> Result<CallerOptions, Failure> {
    let usage =
        |flag: &str, problem: &dyn std::fmt::Display| Failure::new(Exit::Usage, format!("{flag}: {problem}"));
    let length = |flag: &str, text: &str| duration(text).map_err(|problem| usage(flag, &problem));
    let mut options = CallerOptions::new(&args.uri).map_err(|error| usage(&args.uri, &error))?;
    options.listen = length("--listen", &args.listen)?;
    options.answer_timeout = length("--answer-within", &args.answer_within)?;
    options.credentials = credentials(args)?;
    options.tls = trust(args)?;
    if !args.codecs.is_empty() {
        let codec =
            |name: &String| AudioCodec::from_name(name).ok_or_else(|| usage("--codec", &unknown_codec(name)));
        options.codecs = args.codecs.iter().map(codec).collect::<Result<_, _>>()?;
    }
    if let Some(path) = &args.play {
        let bytes = std::fs::read(path)
            .map_err(|error| usage("--play", &format_args!("{}: {error}", path.display())))?;
        options.play = wav::read(&bytes).map_err(|error| {
            usage("--play", &format_args!("{}: {error}", path.display()))
                .remedy("Convert it to 16-bit PCM, mono, 8000 Hz.")
        })?;
    }
    Ok(options)
}

fn unknown_codec(name: &str) -> String {
    let known: Vec<&str> = AudioCodec::ALL.into_iter().map(AudioCodec::name).collect();
    format!("there is no codec {name}; there are {}", known.join(", "))
}

/// The certificate authorities to trust; `None` if there are none.
fn trust(args: &CallArgs) -> Result<Option<Arc<ClientConfig>>, Failure> {
    let Some(path) = &args.ca_file else { return Ok(Egress::default().tls_config().ok()) };
    let usage = |problem: &dyn std::fmt::Display| {
        Failure::new(Exit::Usage, format!("--ca-file: {}: {problem}", path.display()))
    };
    let pem = std::fs::read_to_string(path).map_err(|error| usage(&error))?;
    Authorities::parse(&pem).map(|authorities| Some(authorities.config())).map_err(|error| usage(&error))
}

fn credentials(args: &CallArgs) -> Result<Option<(String, SecretText)>, Failure> {
    let Some(username) = &args.username else {
        return Ok(None);
    };
    let password = match (&args.password, &args.password_file) {
        (Some(password), _) => SecretText::new(password.clone()),
        (None, Some(path)) => read_secret(path)?,
        (None, None) => {
            return Err(Failure::new(Exit::Usage, "--username requires --password-file or --password"));
        }
    };
    Ok(Some((username.clone(), password)))
}

/// Why a call could not be placed, and how to fix it.
pub(crate) fn caller_failure(error: &CallerError) -> Failure {
    match error {
        CallerError::NotASipUri | CallerError::BadName => Failure::new(Exit::Usage, error.to_string()),
        CallerError::NoAnswer(_) => Failure::plain(error.to_string())
            .remedy("Check that a SIP server listens there over that transport."),
        CallerError::Unresolved
        | CallerError::Socket(_)
        | CallerError::Entropy(_)
        | CallerError::BadAnswer => Failure::plain(error.to_string()),
    }
}

/// Milliseconds, rounded to two decimals.
pub(crate) fn milliseconds(length: Duration) -> f64 {
    (length.as_secs_f64() * 100_000.0).round() / 100.0
}

fn ended_by(outcome: &CallOutcome) -> Option<&'static str> {
    outcome.ended_by.map(|who| match who {
        EndedBy::Caller => "caller",
        EndedBy::Callee => "callee",
    })
}

fn as_json(outcome: &CallOutcome) -> Value {
    let ms = |length: Option<Duration>| length.map(milliseconds);
    json!({
        "answered": outcome.answered(),
        "status": outcome.status.code(),
        "reason": outcome.reason_phrase,
        "answered_after_ms": milliseconds(outcome.answered_after),
        "rang": outcome.rang,
        "ended_by": ended_by(outcome),
        "codec": outcome.codec.map(AudioCodec::name),
        "recorded_ms": outcome.recording.len() / 8,
        "packets": {
            "sent": outcome.packets_sent,
            "received": outcome.packets_received,
            "lost": outcome.packets_lost,
        },
        "echo": {
            "distinct": outcome.echo.distinct,
            "matched": outcome.echo.matched,
            "p50_ms": ms(outcome.echo.p50),
            "p99_ms": ms(outcome.echo.p99),
            "max_ms": ms(outcome.echo.max),
        },
    })
}

fn as_text(outcome: &CallOutcome) -> String {
    if !outcome.answered() {
        return String::new();
    }
    let ms = |length: Option<Duration>| {
        length.map_or("-".to_owned(), |length| format!("{:.2} ms", milliseconds(length)))
    };
    let rows = [
        ("answered after", ms(Some(outcome.answered_after))),
        ("codec", outcome.codec.map_or("-", AudioCodec::name).to_owned()),
        ("ended by", ended_by(outcome).unwrap_or("-").to_owned()),
        ("packets sent", outcome.packets_sent.to_string()),
        ("packets received", format!("{} ({} lost)", outcome.packets_received, outcome.packets_lost)),
        ("echoes matched", format!("{} of {}", outcome.echo.matched, outcome.echo.distinct)),
        ("echo delay p50", ms(outcome.echo.p50)),
        ("echo delay p99", ms(outcome.echo.p99)),
    ];
    rows.iter().fold(String::new(), |text, (name, value)| format!("{text}{name:18}{value}\n"))
}
