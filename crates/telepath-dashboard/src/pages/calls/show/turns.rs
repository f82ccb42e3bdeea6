//! How long the caller waited: a row for each turn of the agent.

use telepath_core::call::{CallDetails, Speaker};

use crate::chart::lanes::{LONG_WAIT_MS, seconds, with_waits};
use crate::chart::waterfall::{axis_end, bar};
use crate::form::Fields;
use crate::number::grouped;
use crate::time::minutes_of;

/// Turns of one page.
const PAGE: usize = 60;

/// The turns of the agent, a page of them.
pub(super) struct Turns {
    pub(super) rows: Vec<TurnRow>,
    pub(super) earlier: Option<String>,
    pub(super) later: Option<String>,
    /// The page of the turn that the verdict names.
    path: String,
    numbers: Vec<u32>,
}

pub(super) struct TurnRow {
    pub(super) number: u32,
    pub(super) at: String,
    /// Markup.
    pub(super) bar: String,
    pub(super) wait: String,
    pub(super) speech: String,
    pub(super) is_slow: bool,
    pub(super) is_greeting: bool,
    pub(super) is_cut_off: bool,
}

impl Turns {
    pub(super) fn of(details: &CallDetails, query: &Fields, path: &str) -> Self {
        let all: Vec<_> = with_waits(&details.turns)
            .into_iter()
            .filter(|(turn, _)| turn.speaker == Speaker::Agent)
            .collect();
        let numbers: Vec<u32> = all.iter().map(|(turn, _)| turn.turn_number).collect();
        let wanted = query.text("from").parse().unwrap_or_default();
        let first = numbers.iter().position(|number| *number >= wanted).unwrap_or_default() / PAGE * PAGE;
        let end = axis_end(all.iter().filter_map(|(_, wait)| *wait).max().unwrap_or_default());
        let gateway = details.call.metrics.gateway_processing_ms.unwrap_or_default().into();
        let first_wait = all.iter().position(|(_, wait)| wait.is_some());
        let rows = all.iter().enumerate().skip(first).take(PAGE).map(|(place, (turn, wait))| TurnRow {
            number: turn.turn_number,
            at: minutes_of(turn.started_ms),
            bar: bar(*wait, gateway, end),
            wait: wait.map_or_else(|| "–".to_owned(), |wait| format!("{} ms", grouped(wait))),
            speech: seconds(turn.duration_ms),
            is_slow: wait.is_some_and(|wait| wait > LONG_WAIT_MS),
            is_greeting: place == 0 && first_wait != Some(0),
            is_cut_off: turn.interrupted,
        });
        let page_at = |place: usize| numbers.get(place).map(|number| format!("{path}?from={number}#waits"));
        Self {
            rows: rows.collect(),
            earlier: first.checked_sub(PAGE).and_then(page_at),
            later: page_at(first + PAGE),
            path: path.to_owned(),
            numbers,
        }
    }

    /// The address of a turn's row.
    pub(super) fn link(&self, turn: u32) -> String {
        let place = self.numbers.iter().position(|number| *number == turn).unwrap_or_default();
        if self.rows.iter().any(|row| row.number == turn) || place < PAGE {
            format!("#t{turn}")
        } else {
            format!("{}?from={turn}#t{turn}", self.path)
        }
    }
}
