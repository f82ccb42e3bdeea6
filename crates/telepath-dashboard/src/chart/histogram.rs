//! How often each length of time occurred: columns of equal width, and lines at the percentiles.

use std::fmt::Write as _;

use super::axis::Scale;
use super::frame::{Frame, Names, Px, Shape, Size};
use super::{Chart, Heading, Key, Table, TableRow};
use crate::number::{counted, grouped, milliseconds, percent};

/// The most columns, with the last one, which has no end.
const COLUMNS: u64 = 20;
/// The height of a column that has anything, at least; in tenths of a pixel.
const VISIBLE: u32 = 30;
/// The percentiles and how their lines are drawn.
const PERCENTILES: [(&str, &str); 3] = [("p50", "line l2"), ("p95", "line l2 dash"), ("p99", "line l5 dash")];

/// How often each length of time occurred.
#[derive(Debug)]
pub(crate) struct Histogram<'a> {
    /// Unique on the page.
    pub(crate) id: &'static str,
    /// What is measured.
    pub(crate) title: &'a str,
    /// What is counted, as one and as many.
    pub(crate) unit: (&'static str, &'static str),
    /// The width of a column in milliseconds; not zero.
    pub(crate) width: u64,
    /// How often the lengths of each column occurred; the last one counts everything that is longer too.
    pub(crate) counts: &'a [u64],
    /// p50, p95 and p99 in milliseconds; `None` if nothing was measured.
    pub(crate) percentiles: [Option<u64>; 3],
}

/// The width of columns so that few lengths are beyond the last one: 1, 2 or 5 times a power of ten.
pub(crate) fn width_for(p99: u64) -> u64 {
    let widths = (0..19).flat_map(|power| [1, 2, 5].map(|first: u64| first * 10_u64.pow(power)));
    let mut fitting = widths.filter(|width| width.saturating_mul(COLUMNS - 1) > p99);
    fitting.next().unwrap_or(u64::MAX)
}

/// The beginnings of the columns.
pub(crate) fn starts(width: u64) -> impl Iterator<Item = u64> {
    (0..COLUMNS).map(move |place| place.saturating_mul(width))
}

impl Histogram<'_> {
    /// Draws the chart.
    pub(crate) fn draw(&self) -> Chart {
        let title = format!("{}, in milliseconds", self.title);
        let summary = self.summary();
        let names = Names { id: self.id, title: &title, summary: &summary, has_links: false };
        let (wide, narrow) = (self.picture(Size::Wide, names), self.picture(Size::Narrow, names));
        let key = |((name, class), value): (&(&'static str, &'static str), Option<u64>)| Key {
            class,
            name,
            figure: milliseconds(value),
        };
        let legend = PERCENTILES.iter().zip(self.percentiles).map(key).collect();
        Chart { wide, narrow, legend, table: self.table(), title, summary }
    }

    fn total(&self) -> u64 {
        self.counts.iter().fold(0, |sum, count| sum.saturating_add(*count))
    }

    /// `1,204 turns: half of them at most 602 ms, 95% at most 1,240 ms and 99% at most 1,900 ms.`
    fn summary(&self) -> String {
        let (one, many) = self.unit;
        let [Some(half), Some(most), Some(nearly_all)] = self.percentiles else {
            return "Nothing was measured.".to_owned();
        };
        let [half, most, nearly_all] = [half, most, nearly_all].map(|value| milliseconds(Some(value)));
        let all = counted(self.total(), one, many);
        format!("{all}: half of them at most {half}, 95% at most {most} and 99% at most {nearly_all}.")
    }

    fn picture(&self, size: Size, names: Names<'_>) -> String {
        let scale = Scale::up_to(self.counts.iter().copied().max().unwrap_or_default());
        let frame = Frame::new(size, Shape::Full, scale);
        let mut svg = frame.open(names);
        frame.grid(&mut svg, scale);
        if size == Size::Wide {
            let titles = self.counts.iter().enumerate();
            frame.targets(
                &mut svg,
                titles.map(|(place, count)| (self.title_of(place, *count), None)).collect(),
            );
        }
        let mut path = String::new();
        for (place, count) in self.counts.iter().enumerate().filter(|(_, count)| **count > 0) {
            let (from, to) = (frame.edge(place, self.counts.len()), frame.edge(place + 1, self.counts.len()));
            let (space, height) = ((to - from) / 16, scale.height(*count, frame.height()).max(VISIBLE));
            // Writing to a string does not fail.
            let _ = write!(
                path,
                "M{} {}v-{}h{}v{}z",
                Px(from + space),
                Px(frame.bottom),
                Px(height),
                Px(to - from - 2 * space),
                Px(height)
            );
        }
        if !path.is_empty() {
            let _ = write!(svg, r#"<path class="c2" d="{path}"/>"#);
        }
        frame.base(&mut svg, &vec![true; self.counts.len()]);
        self.percentiles(&mut svg, frame);
        self.lengths(&mut svg, frame);
        svg.push_str("</svg>");
        svg
    }

    /// Vertical lines at the percentiles, so that they can be seen where the columns are low.
    fn percentiles(&self, svg: &mut String, frame: Frame) {
        for ((_, class), value) in PERCENTILES.iter().zip(self.percentiles) {
            let Some(value) = value else { continue };
            let (x, top) = (Px(self.place_of(value, frame)), Px(frame.top));
            let _ = write!(svg, r#"<path class="{class}" d="M{x} {top}V{}"/>"#, Px(frame.bottom));
        }
    }

    /// Where a length stands. Everything in the last column, which has no end, stands in its middle.
    fn place_of(&self, value: u64, frame: Frame) -> u32 {
        let columns = self.counts.len().max(1);
        let place = usize::try_from(value / self.width).unwrap_or(usize::MAX);
        if place + 1 >= columns {
            return frame.middle(columns - 1, columns);
        }
        let (from, to) = (frame.edge(place, columns), frame.edge(place + 1, columns));
        let within = u128::from(to - from) * u128::from(value % self.width) / u128::from(self.width);
        from + u32::try_from(within).unwrap_or(0)
    }

    /// Lengths below the edges of columns.
    fn lengths(&self, svg: &mut String, frame: Frame) {
        let every = match frame.size {
            Size::Wide => 2,
            Size::Narrow => 5,
        };
        let foot = Px(frame.bottom + 170);
        for (place, start) in starts(self.width).take(self.counts.len()).enumerate().step_by(every) {
            let x = Px(frame.edge(place, self.counts.len()).max(160));
            let _ = write!(svg, r#"<text class="x" x="{x}" y="{foot}">{}</text>"#, grouped(start));
        }
    }

    /// `600 to 650 ms`; of the last column `950 ms and more`.
    fn range_of(&self, place: usize) -> String {
        let start = self.width.saturating_mul(place as u64);
        if place + 1 == self.counts.len() {
            format!("{} ms and more", grouped(start))
        } else {
            format!("{} to {} ms", grouped(start), grouped(start.saturating_add(self.width)))
        }
    }

    fn title_of(&self, place: usize, count: u64) -> String {
        let (one, many) = self.unit;
        format!("{}: {}, {}", self.range_of(place), counted(count, one, many), percent(count, self.total()))
    }

    fn table(&self) -> Table {
        let (_, many) = self.unit;
        let rows = self.counts.iter().enumerate().map(|(place, count)| TableRow {
            heading: Heading::Text(self.range_of(place)),
            link: None,
            cells: vec![grouped(*count), percent(*count, self.total())],
        });
        let many = many.chars().next().into_iter().flat_map(char::to_uppercase).chain(many.chars().skip(1));
        let head = vec!["Length".to_owned(), many.collect(), "Share".to_owned()];
        Table { head, rows: rows.collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::super::golden;
    use super::*;

    fn chart(width: u64, counts: &[u64], percentiles: [Option<u64>; 3]) -> Chart {
        Histogram { id: "h", title: "Callers’ wait", unit: ("turn", "turns"), width, counts, percentiles }
            .draw()
    }

    #[test]
    fn columns_are_lengths_and_lines_are_percentiles() {
        let mut counts = [0; 20];
        counts[10..16].copy_from_slice(&[3, 40, 900, 310, 45, 4]);
        counts[19] = 1;
        golden::check("histogram.txt", &chart(50, &counts, [Some(602), Some(690), Some(760)]));
    }

    #[test]
    fn nothing_measured_is_said_and_has_no_lines() {
        let drawn = chart(50, &[0; 20], [None; 3]);
        assert_eq!((drawn.summary.as_str(), drawn.legend[0].figure.as_str()), ("Nothing was measured.", "–"));
        assert!(!drawn.wide.contains("class=\"line"), "{}", drawn.wide);
    }

    #[test]
    fn columns_are_as_wide_as_the_slowest_need() {
        for (p99, width) in
            [(0, 1), (18, 1), (19, 2), (940, 50), (950, 100), (12_000, 1000), (u64::MAX, u64::MAX)]
        {
            assert_eq!(width_for(p99), width, "{p99}");
        }
        assert_eq!(starts(50).collect::<Vec<_>>()[..3], [0, 50, 100]);
    }

    #[test]
    fn the_largest_numbers_do_not_overflow() {
        let drawn = chart(u64::MAX, &[u64::MAX; 20], [Some(u64::MAX); 3]);
        assert!(drawn.summary.starts_with("18,446,744,073,709,551,615 turns"));
    }
}
