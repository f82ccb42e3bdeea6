//! The requests of several keys side by side.

use telepath_client::{KeyId, UsageOfKey, UsageQuery};

use crate::cli::reach::{ApiArgs, with_client};
use crate::cli::{chart, output, pages};
use crate::exit::Failure;

/// The width of the column with the chart.
const CHART_COLUMNS: usize = 48;

pub(super) async fn run(
    api: &ApiArgs,
    ids: &[KeyId],
    query: &UsageQuery,
    as_json: bool,
) -> Result<(), Failure> {
    let list = with_client(api, async |client| Ok(client.usage_of_keys(ids, query).await?)).await?;
    if as_json {
        return output::json(&list);
    }
    let head = ["KEY", "REQUESTS", "ERRORS", "429", "BY TIME"];
    output::raw(pages::table(&list.usage, head, row).as_bytes())
}

fn row(usage: &UsageOfKey) -> [String; 5] {
    let values: Vec<u64> = usage.buckets.iter().map(|bucket| bucket.requests).collect();
    let limited: u64 = usage.buckets.iter().filter_map(|bucket| bucket.statuses.get("429")).sum();
    [
        usage.key_id.to_string(),
        usage.request_count.to_string(),
        usage.error_count.to_string(),
        limited.to_string(),
        chart::sparkline(&values, CHART_COLUMNS),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_is_a_row_with_its_counts_and_a_sparkline() {
        let bucket = |requests: u64| {
            serde_json::json!({"start": "2027-01-15T04:00:00Z", "requests": requests, "errors": 0,
                "statuses": {"2xx": requests, "429": 2}})
        };
        let usage: UsageOfKey = serde_json::from_value(serde_json::json!({
            "key_id": "key_01k9v1n2xrf6t8g3m5q7w9y0za", "request_count": 12, "error_count": 4,
            "buckets": [bucket(0), bucket(4), bucket(8)],
        }))
        .unwrap();
        assert_eq!(row(&usage), ["key_01k9v1n2xrf6t8g3m5q7w9y0za", "12", "4", "6", "│ ▄█│"]);
    }
}
