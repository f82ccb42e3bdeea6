//! Who spoke when: a lane for the caller and one for the agent over the length of a call.

use std::fmt::Write as _;

use telepath_core::call::{Speaker, Turn};

use super::frame::Px;
use super::{Chart, Key, Table, escaped};
use crate::number::counted;
use crate::time::minutes_of;

/// Waits above this are marked; a conversation with longer ones feels slow.
pub(crate) const LONG_WAIT_MS: u64 = 800;
/// With more turns they are drawn as one shape per lane, without names of their own.
const NAMED_TURNS: usize = 60;
/// All in tenths of a pixel.
const LEFT: u32 = 640;
const TOP: [u32; 2] = [140, 560];
const HEIGHT: u32 = 340;
/// The narrowest turn that is seen.
const VISIBLE: u32 = 20;
/// The narrowest turn with a number in it.
const NUMBERED: u32 = 150;
/// Distances between labels of the time axis, in seconds.
const STEPS: [u64; 14] = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200];

/// The turns of a call of a length, in milliseconds since it was answered.
pub(crate) struct Lanes<'a> {
    pub(crate) turns: &'a [Turn],
    pub(crate) length_ms: u64,
}

/// A drawing of a width in pixels.
#[derive(Clone, Copy)]
struct Drawing {
    class: &'static str,
    width: u32,
    labels: u64,
    length_ms: u64,
}

impl Drawing {
    /// Where a moment is on the time axis.
    fn at(self, ms: u64) -> u32 {
        let room = u64::from(self.width * 10 - 40 - LEFT);
        let place = u128::from(ms.min(self.length_ms)) * u128::from(room) / u128::from(self.length_ms);
        LEFT + u32::try_from(place).unwrap_or_default()
    }

    fn axis(self, svg: &mut String) {
        let seconds = self.length_ms / 1000;
        let step = STEPS.iter().copied().find(|step| seconds / step < self.labels).unwrap_or(14_400);
        let mut lines = String::new();
        for place in 0..self.labels {
            let (second, x) = (place * step, self.at(place * step * 1000));
            if second > seconds {
                break;
            }
            // Writing to a string does not fail.
            let _ = write!(lines, "M{} 8V96", Px(x));
            let _ =
                write!(svg, r#"<text class="x" x="{}" y="114">{}</text>"#, Px(x), minutes_of(second * 1000));
        }
        let _ = write!(svg, r#"<path class="grid" d="{lines}"/>"#);
    }

    fn lanes(self, svg: &mut String) {
        for (top, name) in TOP.into_iter().zip(["Caller", "Agent"]) {
            let (y, width) = (Px(top), Px(self.width * 10 - 40 - LEFT));
            let _ = write!(
                svg,
                r#"<rect class="lane" x="64" y="{y}" width="{width}" height="34" rx="6"/><text class="y who" x="54" y="{}">{name}</text>"#,
                Px(top + 210)
            );
        }
    }

    fn edges(self, turn: &Turn) -> (u32, u32) {
        let from = self.at(turn.started_ms);
        let to = self.at(turn.started_ms.saturating_add(turn.duration_ms));
        (from, to.max(from + VISIBLE))
    }

    /// A turn with its name, and its number where there is room.
    fn turn(self, svg: &mut String, turn: &Turn, waited: Option<u64>) {
        let (from, to) = self.edges(turn);
        let (class, top) = lane_of(turn.speaker);
        let (x, y, width) = (Px(from), Px(top), Px(to - from));
        let name = name_of(turn, waited);
        let _ = write!(
            svg,
            r#"<g><title>{name}</title><rect class="{class}" x="{x}" y="{y}" width="{width}" height="34" rx="4"/>"#
        );
        if to - from >= NUMBERED {
            let _ = write!(
                svg,
                r#"<text class="x on-{class}" x="{}" y="{}">{}</text>"#,
                Px(from.midpoint(to)),
                Px(top + 210),
                turn.turn_number
            );
        }
        svg.push_str("</g>");
    }

    /// Edges where speech was cut off, and long waits.
    fn marks(self, svg: &mut String, turns: &[(&Turn, Option<u64>)]) {
        let (mut cuts, mut waits) = (String::new(), String::new());
        for (turn, waited) in turns {
            let (from, to) = self.edges(turn);
            let (_, top) = lane_of(turn.speaker);
            if turn.interrupted {
                let _ = write!(cuts, "M{} {}h3v34h-3z", Px(to.saturating_sub(30)), Px(top));
            }
            if let Some(wait) = waited.filter(|wait| *wait > LONG_WAIT_MS) {
                let asked = self.at(turn.started_ms.saturating_sub(wait));
                let _ = write!(waits, "M{} {}H{}", Px(asked), Px(top + HEIGHT / 2), Px(from));
            }
        }
        for (class, path) in [("cut-off", cuts), ("long-wait", waits)] {
            if !path.is_empty() {
                let _ = write!(svg, r#"<path class="{class}" d="{path}"/>"#);
            }
        }
    }

    /// All turns of a lane in one shape. Turns that would touch are drawn together.
    fn together(self, svg: &mut String, turns: &[Turn], speaker: Speaker) {
        let (class, top) = lane_of(speaker);
        let mut runs: Vec<(u32, u32)> = Vec::new();
        for turn in turns.iter().filter(|turn| turn.speaker == speaker) {
            let (from, to) = self.edges(turn);
            match runs.last_mut() {
                Some((_, end)) if from <= *end + VISIBLE / 2 => *end = to.max(*end),
                Some(_) | None => runs.push((from, to)),
            }
        }
        let path = runs.iter().fold(String::new(), |mut path, (from, to)| {
            let _ = write!(path, "M{} {}H{}v34H{0}z", Px(*from), Px(top), Px(*to));
            path
        });
        let _ = write!(svg, r#"<path class="{class}" d="{path}"/>"#);
    }
}

const fn lane_of(speaker: Speaker) -> (&'static str, u32) {
    match speaker {
        Speaker::Caller => ("caller", TOP[0]),
        Speaker::Agent => ("agent", TOP[1]),
    }
}

fn name_of(turn: &Turn, waited: Option<u64>) -> String {
    let speaker = turn.speaker.name();
    let mut name = format!(
        "Turn {}, {speaker}: starts at {}, lasts {}",
        turn.turn_number,
        minutes_of(turn.started_ms),
        seconds(turn.duration_ms)
    );
    if let Some(wait) = waited {
        let _ = write!(name, ", after a wait of {wait} ms");
    }
    if turn.interrupted {
        name.push_str(", cut off");
    }
    name
}

/// `5.2 s`
pub(crate) fn seconds(ms: u64) -> String {
    format!("{}.{} s", ms / 1000, ms % 1000 / 100)
}

/// Each turn, with how long the caller waited for it. Nobody waits for a greeting.
pub(crate) fn with_waits(turns: &[Turn]) -> Vec<(&Turn, Option<u64>)> {
    let mut caller_has_spoken = false;
    let mut all = Vec::with_capacity(turns.len());
    for turn in turns {
        let wait = match turn.speaker {
            Speaker::Caller => {
                caller_has_spoken = true;
                None
            }
            Speaker::Agent => {
                (caller_has_spoken && turn.processing_time_ms > 0).then_some(turn.processing_time_ms)
            }
        };
        all.push((turn, wait));
    }
    all
}

impl Lanes<'_> {
    pub(crate) fn draw(&self) -> Chart {
        let turns = with_waits(self.turns);
        let end = |turn: &Turn| turn.started_ms.saturating_add(turn.duration_ms);
        let length_ms = self.turns.iter().map(end).max().unwrap_or_default().max(self.length_ms).max(1000);
        let summary = self.summary(&turns);
        let of = |class, width, labels| {
            let drawing = Drawing { class, width, labels, length_ms };
            self.drawing(drawing, &turns, &summary)
        };
        Chart {
            title: "Who spoke when".to_owned(),
            wide: of("wide", 760, 9),
            narrow: of("narrow", 360, 5),
            legend: self.legend(&turns),
            // Its rows are turns, not times; see `rows`.
            table: Table::default(),
            summary,
        }
    }

    fn drawing(&self, drawing: Drawing, turns: &[(&Turn, Option<u64>)], summary: &str) -> String {
        let Drawing { class, width, .. } = drawing;
        let mut svg = format!(
            r#"<svg class="chart {class}" viewBox="0 0 {width} 124" role="img" aria-labelledby="lanes-{class}-t" aria-describedby="lanes-{class}-d"><title id="lanes-{class}-t">Who spoke when</title><desc id="lanes-{class}-d">{}</desc>"#,
            escaped(summary)
        );
        drawing.lanes(&mut svg);
        drawing.axis(&mut svg);
        if turns.len() <= NAMED_TURNS {
            for (turn, waited) in turns {
                drawing.turn(&mut svg, turn, *waited);
            }
        } else {
            drawing.together(&mut svg, self.turns, Speaker::Caller);
            drawing.together(&mut svg, self.turns, Speaker::Agent);
        }
        drawing.marks(&mut svg, turns);
        svg.push_str("</svg>");
        svg
    }

    fn count(&self, speaker: Speaker) -> u64 {
        self.turns.iter().filter(|turn| turn.speaker == speaker).count() as u64
    }

    fn cut_off(&self) -> u64 {
        self.turns.iter().filter(|turn| turn.interrupted).count() as u64
    }

    fn summary(&self, turns: &[(&Turn, Option<u64>)]) -> String {
        let mut text = format!(
            "{} and {} in {}.",
            counted(self.count(Speaker::Caller), "caller turn", "caller turns"),
            counted(self.count(Speaker::Agent), "agent turn", "agent turns"),
            minutes_of(self.length_ms)
        );
        let (cut, long) = (self.cut_off(), long_waits(turns));
        if cut > 0 {
            let _ = write!(text, " {} cut off.", counted(cut, "turn was", "turns were"));
        }
        if long > 0 {
            let many = counted(long, "turn came", "turns came");
            let _ = write!(text, " {many} after a wait of more than {LONG_WAIT_MS} ms.");
        }
        text
    }

    fn legend(&self, turns: &[(&Turn, Option<u64>)]) -> Vec<Key> {
        let entries = [
            ("lane-caller", "Caller", self.count(Speaker::Caller)),
            ("la", "Agent", self.count(Speaker::Agent)),
            ("cut-off", "Cut off", self.cut_off()),
            ("long-wait", "Long wait", long_waits(turns)),
        ];
        let shown = entries.into_iter().filter(|(_, _, count)| *count > 0);
        shown.map(|(class, name, count)| Key { class, name, figure: count.to_string() }).collect()
    }
}

fn long_waits(turns: &[(&Turn, Option<u64>)]) -> u64 {
    turns.iter().filter(|(_, wait)| wait.is_some_and(|wait| wait > LONG_WAIT_MS)).count() as u64
}

/// The turns as rows of a table: turn, start, length, wait before, cut off.
pub(crate) fn rows(turns: &[Turn]) -> Vec<[String; 5]> {
    let row = |(turn, wait): &(&Turn, Option<u64>)| {
        [
            format!("{}, {}", turn.turn_number, turn.speaker.name()),
            minutes_of(turn.started_ms),
            seconds(turn.duration_ms),
            wait.map_or_else(|| "–".to_owned(), |wait| format!("{wait} ms")),
            if turn.interrupted { "yes" } else { "no" }.to_owned(),
        ]
    };
    with_waits(turns).iter().map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::super::golden;
    use super::*;

    fn turn(turn_number: u32, started_ms: u64, duration_ms: u64, wait: u64) -> Turn {
        let speaker = if turn_number % 2 == 1 { Speaker::Agent } else { Speaker::Caller };
        let interrupted = turn_number == 3;
        Turn { turn_number, speaker, started_ms, duration_ms, processing_time_ms: wait, interrupted }
    }

    #[test]
    fn turns_waits_and_cuts_are_drawn() {
        let turns = [
            turn(1, 600, 5_200, 640),
            turn(2, 6_300, 7_400, 0),
            turn(3, 14_300, 9_300, 592),
            turn(4, 23_000, 9_000, 0),
            turn(5, 33_930, 200, 1_930),
        ];
        golden::check("lanes.txt", &Lanes { turns: &turns, length_ms: 42_000 }.draw());
    }

    #[test]
    fn nobody_waits_for_a_greeting() {
        let turns = [turn(1, 0, 10, 640), turn(2, 20, 10, 0), turn(3, 40, 10, 592)];
        let waits: Vec<_> = with_waits(&turns).into_iter().map(|(_, wait)| wait).collect();
        assert_eq!(waits, [None, None, Some(592)]);
    }

    #[test]
    fn a_long_call_is_drawn_in_bounded_space() {
        let turns: Vec<Turn> =
            (1..=2000).map(|number| turn(number, u64::from(number) * 3000, 2500, 900)).collect();
        let drawn = Lanes { turns: &turns, length_ms: 6_100_000 }.draw();
        assert!(drawn.wide.len() < 60_000 && drawn.narrow.len() < 60_000, "{}", drawn.wide.len());
        assert!(!drawn.wide.contains("<g>"));
    }

    #[test]
    fn impossible_times_stay_on_the_chart() {
        let drawn = Lanes { turns: &[turn(1, u64::MAX, u64::MAX, u64::MAX)], length_ms: 0 }.draw();
        assert!(drawn.wide.contains("class=\"agent\""));
        assert_eq!(
            Lanes { turns: &[], length_ms: 0 }.draw().summary,
            "0 caller turns and 0 agent turns in 0:00."
        );
    }
}
