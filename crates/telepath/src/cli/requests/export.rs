//! `telepath requests export`.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use telepath_client::{Export, ExportFormat, RequestsQuery};
use telepath_core::clock::{Clock as _, SystemClock};

use super::FilterArgs;
use crate::cli::expiry::past;
use crate::cli::output::{self, Reader};
use crate::cli::reach::{ApiArgs, new_file, with_client};
use crate::cli::text;
use crate::exit::Failure;

pub(super) const EXAMPLES: &str = "\
Examples:
  telepath requests export --data-dir data --since 7d > requests.ndjson
  telepath requests export --data-dir data --format csv --output requests.csv
  telepath requests export --data-dir data --key key_01k9v1n2xrf6t8g3m5q7w9y0za | jq -r .address | sort | uniq -c";

/// Arguments of `requests export`.
#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    #[command(flatten)]
    api: ApiArgs,
    #[command(flatten)]
    filters: FilterArgs,
    /// Start: a duration ago (24h) or an RFC 3339 date-time
    #[arg(long, value_name = "WHEN", help_heading = "Filters")]
    since: Option<String>,
    /// End: a duration ago (1h) or an RFC 3339 date-time
    #[arg(long, value_name = "WHEN", help_heading = "Filters")]
    until: Option<String>,
    /// One JSON object per line, or comma-separated values
    #[arg(long, value_enum, default_value_t = Format::Ndjson)]
    format: Format,
    /// Write to a new file instead of standard output
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// The same as --format ndjson
    #[arg(long, conflicts_with = "format")]
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Ndjson,
    Csv,
}

impl From<Format> for ExportFormat {
    fn from(format: Format) -> Self {
        match format {
            Format::Ndjson => ExportFormat::Ndjson,
            Format::Csv => ExportFormat::Csv,
        }
    }
}

pub(super) async fn run(args: ExportArgs) -> Result<(), Failure> {
    let now = SystemClock.now();
    let query = RequestsQuery {
        start_date: past("--since", args.since.as_deref(), now)?,
        end_date: past("--until", args.until.as_deref(), now)?,
        ..args.filters.query()
    };
    with_client(&args.api, async |client| {
        let export = client.export_requests(&query, args.format.into()).await?;
        match args.output.as_deref() {
            None => to_standard_output(export).await,
            Some(path) => to_file(export, path).await,
        }
    })
    .await
}

async fn to_standard_output(mut export: Export) -> Result<(), Failure> {
    while let Some(piece) = export.next().await? {
        if output::stream(&piece)? == Reader::Gone {
            break;
        }
    }
    Ok(())
}

/// Deletes an incomplete file, so that it is not mistaken for a complete one.
async fn to_file(mut export: Export, path: &Path) -> Result<(), Failure> {
    let mut file = new_file(path)?;
    let written = write(&mut export, &mut file).await;
    if written.is_err() {
        // Report the first failure.
        let _ = std::fs::remove_file(path);
    }
    let bytes = text::count(written?, "byte", "bytes");
    output::note(&format_args!("Wrote {bytes} to {}.", path.display()));
    Ok(())
}

async fn write(export: &mut Export, file: &mut std::fs::File) -> Result<u64, Failure> {
    let failed = |error: std::io::Error| Failure::doing("could not write the export", &error);
    let mut bytes = 0;
    while let Some(piece) = export.next().await? {
        file.write_all(&piece).map_err(failed)?;
        bytes += piece.len() as u64;
    }
    file.sync_all().map_err(failed)?;
    Ok(bytes)
}
