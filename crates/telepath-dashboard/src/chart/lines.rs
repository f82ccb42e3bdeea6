//! Lines over slots of time, such as percentiles of waits in milliseconds.

use std::fmt::Write as _;

use telepath_core::clock::Timestamp;

use super::axis::{Scale, slot_name};
use super::frame::{Frame, Names, Px, Shape, Size};
use super::{Chart, Heading, Key, Table, TableRow};
use crate::number::milliseconds;
use crate::time::Zone;

/// One line.
#[derive(Debug)]
pub(crate) struct Series {
    pub(crate) name: &'static str,
    pub(crate) look: Look,
    /// Milliseconds, one for each slot; `None` where nothing was measured.
    pub(crate) values: Vec<Option<u64>>,
    /// The value of the whole range.
    pub(crate) overall: Option<u64>,
}

/// How a line is drawn. Lines of one colour differ in their strokes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Look {
    Carrier,
    CarrierDashed,
    Gateway,
    GatewayDashed,
    Agent,
    AgentDashed,
    /// Half of the values are below.
    Median,
    /// Few values are above.
    High,
    /// Hardly any value is above.
    Highest,
}

impl Look {
    const fn class(self) -> &'static str {
        match self {
            Self::Carrier => "line lc",
            Self::CarrierDashed => "line lc dash",
            Self::Gateway => "line lg",
            Self::GatewayDashed => "line lg dash",
            Self::Agent => "line la",
            Self::AgentDashed => "line la dash",
            Self::Median => "line l2",
            Self::High => "line l2 dash",
            Self::Highest => "line l5 dash",
        }
    }
}

/// Lines over the same slots.
#[derive(Debug)]
pub(crate) struct Lines<'a> {
    /// Unique on the page.
    pub(crate) id: &'static str,
    /// What is measured. The length of a slot is added.
    pub(crate) title: &'a str,
    pub(crate) starts: &'a [Timestamp],
    pub(crate) series: &'a [Series],
    pub(crate) zone: &'a Zone,
}

impl Lines<'_> {
    /// Draws the chart.
    pub(crate) fn draw(&self) -> Chart {
        let title = format!("{} per {}, in milliseconds", self.title, slot_name(self.starts));
        let summary = self.summary();
        let names = Names { id: self.id, title: &title, summary: &summary, has_links: false };
        let (wide, narrow) = (self.picture(Size::Wide, names), self.picture(Size::Narrow, names));
        let legend = self.series.iter().map(|series| Key {
            class: series.look.class(),
            name: series.name,
            figure: milliseconds(series.overall),
        });
        Chart { legend: legend.collect(), table: self.table(), wide, narrow, title, summary }
    }

    /// `Agent p50 602 ms, agent p95 1,240 ms.`
    fn summary(&self) -> String {
        let measured = self.series.iter().filter(|series| series.overall.is_some());
        let figures: Vec<String> =
            measured.map(|series| format!("{} {}", series.name, milliseconds(series.overall))).collect();
        if figures.is_empty() {
            "Nothing was measured.".to_owned()
        } else {
            format!("{}.", figures.join(", "))
        }
    }

    fn picture(&self, size: Size, names: Names<'_>) -> String {
        let values = self.series.iter().flat_map(|series| &series.values);
        let scale = Scale::up_to(values.copied().flatten().max().unwrap_or_default());
        let frame = Frame::new(size, Shape::Full, scale);
        let mut svg = frame.open(names);
        frame.grid(&mut svg, scale);
        if size == Size::Wide {
            let targets = (0..).zip(self.starts).map(|(place, start)| (self.title_of(place, *start), None));
            frame.targets(&mut svg, targets.collect());
        }
        frame.base(&mut svg, &vec![true; self.starts.len()]);
        for series in self.series {
            let path = self.path(series, frame, scale);
            if !path.is_empty() {
                // Writing to a string does not fail.
                let _ = write!(svg, r#"<path class="{}" d="{path}"/>"#, series.look.class());
            }
        }
        frame.times(&mut svg, self.starts, self.zone);
        svg.push_str("</svg>");
        svg
    }

    /// The line; it is broken where nothing was measured. A single value is a dot.
    fn path(&self, series: &Series, frame: Frame, scale: Scale) -> String {
        let (mut path, mut drawn) = (String::new(), false);
        for (place, value) in series.values.iter().enumerate() {
            if let Some(value) = value {
                let (x, y) = (
                    Px(frame.middle(place, self.starts.len())),
                    Px(frame.bottom - scale.height(*value, frame.height())),
                );
                let alone = !drawn && series.values.get(place + 1).copied().flatten().is_none();
                let _ = write!(path, "{}{x} {y}", if drawn { 'L' } else { 'M' });
                if alone {
                    path.push_str("h.1");
                }
            }
            drawn = value.is_some();
        }
        path
    }

    fn title_of(&self, place: usize, start: Timestamp) -> String {
        let values = self.series.iter().filter_map(|series| {
            let value = series.values.get(place).copied().flatten()?;
            Some(format!("{} {}", series.name, milliseconds(Some(value))))
        });
        let values: Vec<String> = values.collect();
        let values = if values.is_empty() { "nothing measured".to_owned() } else { values.join(", ") };
        format!("{}: {values}", self.zone.day_and_clock(start))
    }

    fn table(&self) -> Table {
        let zone = self.starts.last().map(|at| self.zone.abbreviation(*at)).unwrap_or_default();
        let names = self.series.iter().map(|series| series.name.to_owned());
        let rows = self.starts.iter().enumerate().map(|(place, start)| TableRow {
            heading: Heading::Time(self.zone.shown(*start)),
            link: None,
            cells: self
                .series
                .iter()
                .map(|series| milliseconds(series.values.get(place).copied().flatten()))
                .collect(),
        });
        Table { head: std::iter::once(format!("Time ({zone})")).chain(names).collect(), rows: rows.collect() }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::golden;
    use super::*;

    /// 2026-11-29T13:00:00Z
    const FIRST: Timestamp = Timestamp::from_unix_seconds(1_795_957_200);

    fn chart(series: &[Series]) -> Chart {
        let starts: Vec<Timestamp> =
            (0..6_u32).map(|place| FIRST.plus(Duration::from_hours(1) * place)).collect();
        Lines { id: "w", title: "Wait", starts: &starts, series, zone: &Zone::utc() }.draw()
    }

    #[test]
    fn a_line_is_broken_where_nothing_was_measured() {
        let values = vec![Some(600), Some(640), None, Some(610), None, None];
        let agent = Series { name: "Agent p50", look: Look::Agent, values, overall: Some(604) };
        let high = vec![Some(1240), Some(1100), Some(900), Some(1500), Some(1000), Some(1000)];
        let high = Series { name: "Agent p95", look: Look::AgentDashed, values: high, overall: Some(1280) };
        golden::check("lines.txt", &chart(&[agent, high]));
    }

    #[test]
    fn nothing_measured_is_said_and_shown_as_a_dash() {
        let none = Series { name: "p50", look: Look::Median, values: vec![None; 6], overall: None };
        let drawn = chart(&[none]);
        assert_eq!((drawn.summary.as_str(), drawn.legend[0].figure.as_str()), ("Nothing was measured.", "–"));
        assert_eq!(drawn.table.rows[0].cells, ["–"]);
    }
}
