//! The figures of the page as comma-separated values: a line for each group, or for each slot of time. The columns are named as
//! those of the API.

use bytes::Bytes;
use telepath_core::analytics::{CallFigures, Measure};
use telepath_core::csv::{MEDIA_TYPE, append_line};
use telepath_store::SignedIn;

use super::{Calls, Query, too_many};
use crate::call_series::{CallSeries, percentile_ms};
use crate::reply::Reply;
use crate::route::Outcome;
use crate::visit::Visit;

/// Times in milliseconds, with the unit that the API names.
const TIMES: [(&str, Measure); 5] = [
    ("carrier_lag_ms", Measure::CarrierLag),
    ("gateway_processing_ms", Measure::GatewayProcessing),
    ("ai_latency_ms", Measure::AiLatency),
    ("time_to_first_speech_ms", Measure::TimeToFirstSpeech),
    ("turn_wait_ms", Measure::TurnWait),
];
const PERCENTILES: [u32; 3] = [50, 95, 99];

/// At most two statements: the names of connections, and the figures.
pub(super) async fn download(visit: Visit, caller: SignedIn) -> Outcome {
    let query = Query::read(&visit);
    let (account, zone) = (caller.session.account, visit.zone_of(&caller));
    let store = visit.store();
    let trunks = query.connection.into_iter().collect();
    let mut text = Vec::new();
    if let Some(split) = query.split {
        let names = super::names(store, account).await?;
        let calls = Calls { range: query.range, now: visit.now, trunks, zone: &zone, names: &names };
        line(&mut text, split.name(), &head());
        for group in split.groups(store, account, calls).await? {
            line(&mut text, &group.name, &cells(&group.figures));
        }
    } else {
        let series = CallSeries::read(store, account, query.range, visit.now, trunks).await?;
        let nothing = CallFigures::default();
        line(&mut text, "start", &head());
        for (start, figures) in series.slots().ok_or_else(too_many)? {
            line(&mut text, &start.to_string(), &cells(figures.unwrap_or(&nothing)));
        }
    }
    Ok(Reply::file("telepath-analytics.csv".to_owned(), MEDIA_TYPE, Bytes::from(text)))
}

fn line(text: &mut Vec<u8>, first: &str, cells: &[String]) {
    append_line(text, std::iter::once(first).chain(cells.iter().map(String::as_str)));
}

fn head() -> Vec<String> {
    let mut head = ["calls", "reached", "failed"].map(str::to_owned).to_vec();
    for (name, _) in TIMES {
        head.push(format!("{name}_count"));
        head.extend(PERCENTILES.map(|percent| format!("{name}_p{percent}")));
    }
    head.extend(["mos_mean", "agent_turns", "agent_interrupted"].map(str::to_owned));
    head
}

/// What was not measured is empty.
fn cells(figures: &CallFigures) -> Vec<String> {
    let mut cells =
        [figures.calls(), figures.reached, figures.failed].map(|count| count.to_string()).to_vec();
    for (_, measure) in TIMES {
        cells.push(figures.measure(measure).count().to_string());
        let value =
            |percent| percentile_ms(figures, measure, percent).map_or_else(String::new, |ms| ms.to_string());
        cells.extend(PERCENTILES.map(value));
    }
    let mos = figures.measure(Measure::Mos).mean();
    cells.push(mos.map_or_else(String::new, |mean| format!("{:.2}", mean / 100.0)));
    cells.extend([figures.agent_turns, figures.agent_interrupted].map(|count| count.to_string()));
    cells
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_column_has_a_name() {
        assert_eq!(head().len(), cells(&CallFigures::default()).len());
    }
}
