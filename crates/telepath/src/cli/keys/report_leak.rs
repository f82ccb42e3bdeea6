//! `telepath keys report-leak`.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use clap::Args;
use telepath_client::{MAX_REPORTED, SecretText};

use crate::cli::output;
use crate::cli::reach::{ApiArgs, with_client};
use crate::exit::{Exit, Failure};

pub(super) const EXAMPLES: &str = "\
Examples:
  telepath keys report-leak --data-dir data --file found.txt
  git log -p | grep -oE 'sk_(live|test)_[0-9A-Za-z]+' | telepath keys report-leak --data-dir data --file -

The response does not say which of the secrets were keys. For a leaked key of your own, use `telepath compromise`.";

/// The most bytes that are read; a secret has 56.
const MAX_INPUT: u64 = 64 * 1024;

/// Arguments of `keys report-leak`.
#[derive(Debug, Args)]
pub(crate) struct ReportLeakArgs {
    #[command(flatten)]
    api: ApiArgs,
    /// File with the secrets, one per line; - for standard input. Secrets are never taken from the command line, which
    /// other users can see
    #[arg(long, value_name = "FILE")]
    file: PathBuf,
}

pub(super) async fn run(args: ReportLeakArgs) -> Result<(), Failure> {
    let secrets = secrets(&read(&args.file)?)?;
    with_client(&args.api, async |client| Ok(client.report_leak(&secrets).await?)).await?;
    output::line(&format_args!("Reported {}. Keys among them are revoked.", secrets.len()))
}

fn read(path: &Path) -> Result<String, Failure> {
    let mut text = String::new();
    let read = if path == Path::new("-") {
        std::io::stdin().lock().take(MAX_INPUT).read_to_string(&mut text)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(MAX_INPUT).read_to_string(&mut text))
    };
    read.map(|_| text)
        .map_err(|error| Failure::new(Exit::Usage, format!("cannot read {}: {error}", path.display())))
}

fn secrets(text: &str) -> Result<Vec<SecretText>, Failure> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let secrets: Vec<SecretText> = lines.map(|line| SecretText::new(line.to_owned())).collect();
    match secrets.len() {
        0 => Err(Failure::new(Exit::Usage, "the file contains no secret")),
        1..=MAX_REPORTED => Ok(secrets),
        found => Err(Failure::new(Exit::Usage, format!("the file contains {found} secrets"))
            .remedy(format!("Report at most {MAX_REPORTED} at once."))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_read_one_per_line_within_the_bound() {
        assert_eq!(secrets("sk_live_a\n\n  sk_live_b \r\n").unwrap().len(), 2);
        assert!(secrets(" \n").is_err());
        assert!(secrets(&"sk_live_a\n".repeat(MAX_REPORTED + 1)).is_err());
    }
}
