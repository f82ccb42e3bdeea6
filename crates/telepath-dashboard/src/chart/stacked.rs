//! Columns of classes on top of each other, one column per slot of time, such as requests by status class.

use std::fmt::Write as _;

use telepath_core::clock::Timestamp;

use super::axis::{Scale, slot_name};
pub(crate) use super::frame::Shape;
use super::frame::{Frame, Names, Px, Size};
use super::{Chart, Heading, Key, Table, TableRow, Unit};
use crate::number::{counted, grouped};
use crate::time::Zone;

/// The smallest height of a class that has anything; in tenths of a pixel.
const VISIBLE: u32 = 30;
/// The space between classes.
const GAP: u32 = 10;

/// A class, from the base line upwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Class {
    pub(crate) name: &'static str,
    pub(crate) look: Look,
}

/// How a class is drawn. Looks differ in colour and in pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Look {
    /// As it should be.
    Plain,
    /// The caller's fault: hatched.
    Hatched,
    /// Slowed down: dotted.
    Dotted,
    /// Failed.
    Solid,
}

impl Look {
    const fn class(self) -> &'static str {
        match self {
            Self::Plain => "c2",
            Self::Hatched => "c4",
            Self::Dotted => "c9",
            Self::Solid => "c5",
        }
    }
}

/// Responses by status; requests beyond the rate limit are apart from other mistakes of the client.
pub(crate) const STATUS: [Class; 4] = [
    Class { name: "2xx", look: Look::Plain },
    Class { name: "4xx", look: Look::Hatched },
    Class { name: "429", look: Look::Dotted },
    Class { name: "5xx", look: Look::Solid },
];

/// The place of a status in [`STATUS`].
pub(crate) const fn class_of(status: u16) -> usize {
    match status {
        429 => 2,
        400..500 => 1,
        500.. => 3,
        _ => 0,
    }
}

/// One slot of time.
#[derive(Debug, Clone)]
pub(crate) struct Column {
    pub(crate) start: Timestamp,
    /// One number per class; `None` if nothing is known of the slot.
    pub(crate) counts: Option<Vec<u64>>,
    /// Where the column leads: a path of this origin.
    pub(crate) link: Option<String>,
}

/// Columns of classes.
#[derive(Debug)]
pub(crate) struct Stacked<'a> {
    /// Unique on the page.
    pub(crate) id: &'static str,
    /// What is counted, and where: `Requests of ci-smoke-tests`. The length of a slot is added.
    pub(crate) title: &'a str,
    pub(crate) unit: Unit,
    pub(crate) classes: &'a [Class],
    pub(crate) columns: &'a [Column],
    pub(crate) zone: &'a Zone,
    pub(crate) shape: Shape,
}

impl Stacked<'_> {
    /// Draws the chart.
    pub(crate) fn draw(&self) -> Chart {
        let starts: Vec<Timestamp> = self.columns.iter().map(|column| column.start).collect();
        let title = format!("{} per {}", self.title, slot_name(&starts));
        let summary = self.summary(&starts);
        let picture = |size| {
            let has_links = size == Size::Wide && self.columns.iter().any(|column| column.link.is_some());
            self.picture(size, &starts, Names { id: self.id, title: &title, summary: &summary, has_links })
        };
        let legend = self.classes.iter().enumerate().map(|(place, class)| Key {
            class: class.look.class(),
            name: class.name,
            figure: grouped(self.total_of(place)),
        });
        Chart {
            wide: picture(Size::Wide),
            narrow: picture(Size::Narrow),
            legend: legend.collect(),
            table: self.table(&starts),
            title,
            summary,
        }
    }

    fn total_of(&self, place: usize) -> u64 {
        let counts = self.columns.iter().filter_map(|column| column.counts.as_ref());
        counts.filter_map(|counts| counts.get(place)).fold(0, |sum, count| sum.saturating_add(*count))
    }

    /// `96,412 requests: 95,775 2xx, 393 4xx and 244 5xx. The busiest hour began at 11:00 with 6,845.`
    fn summary(&self, starts: &[Timestamp]) -> String {
        let Unit::Count(one, many) = self.unit;
        let totals = self.columns.iter().map(|column| (column.start, total(column)));
        let Some((busiest, most)) = totals.max_by_key(|(_, total)| *total).filter(|(_, total)| *total > 0)
        else {
            return format!("No {many}.");
        };
        let all = self.columns.iter().fold(0_u64, |sum, column| sum.saturating_add(total(column)));
        let classes: Vec<String> = (0..)
            .zip(self.classes)
            .map(|(place, class)| (self.total_of(place), class))
            .filter(|(total, _)| *total > 0)
            .map(|(total, class)| format!("{} {}", grouped(total), class.name))
            .collect();
        let began = match slot_name(starts) {
            "day" => format!("day was {}", self.zone.day(busiest)),
            slot => format!("{slot} began at {} on {}", self.zone.clock(busiest), self.zone.day(busiest)),
        };
        let (all, classes, most) = (counted(all, one, many), list(&classes), grouped(most));
        format!("{all}: {classes}. The busiest {began}, with {most}.")
    }

    fn picture(&self, size: Size, starts: &[Timestamp], names: Names<'_>) -> String {
        let scale = Scale::up_to(self.columns.iter().map(total).max().unwrap_or_default());
        let frame = Frame::new(size, self.shape, scale);
        let mut svg = frame.open(names);
        self.patterns(&mut svg, size);
        frame.grid(&mut svg, scale);
        // The narrow drawing is a picture only: its columns are too thin to be touched, and the table has their links.
        if size == Size::Wide {
            let slot = slot_name(starts);
            let targets =
                self.columns.iter().map(|column| (self.title_of(column, slot), column.link.as_deref()));
            frame.targets(&mut svg, targets.collect());
        }
        let stacks: Vec<Vec<Part>> =
            self.columns.iter().map(|column| stack(column, scale, frame.height())).collect();
        for (class, look) in self.classes.iter().enumerate() {
            let mut path = String::new();
            for (place, stack) in stacks.iter().enumerate() {
                let (from, to) = (frame.edge(place, stacks.len()), frame.edge(place + 1, stacks.len()));
                let space = (to - from) / 8;
                for part in stack.iter().filter(|part| part.class == class) {
                    // Writing to a string does not fail.
                    let _ = write!(
                        path,
                        "M{} {}v-{}h{}v{}z",
                        Px(from + space),
                        Px(frame.bottom.saturating_sub(part.foot)),
                        Px(part.height),
                        Px(to - from - 2 * space),
                        Px(part.height),
                    );
                }
            }
            if !path.is_empty() {
                let class = look.look.class();
                let fill = match pattern(look.look) {
                    Some(_) => format!(r#" fill="url(#{})""#, self.pattern_id(look.look, size)),
                    None => format!(r#" class="{class}""#),
                };
                let _ = write!(svg, r#"<path{fill} d="{path}"/>"#);
            }
        }
        let known: Vec<bool> = self.columns.iter().map(|column| column.counts.is_some()).collect();
        frame.base(&mut svg, &known);
        frame.times(&mut svg, starts, self.zone);
        svg.push_str("</svg>");
        svg
    }

    /// `30 Nov, 14:00: 6,202 requests, 18 4xx`
    fn title_of(&self, column: &Column, slot: &str) -> String {
        let when = match slot {
            "day" => self.zone.day(column.start),
            _ => self.zone.day_and_clock(column.start),
        };
        let Some(counts) = &column.counts else { return format!("{when}: no data") };
        let Unit::Count(one, many) = self.unit;
        let mut title = format!("{when}: {}", counted(total(column), one, many));
        for (class, count) in self.classes.iter().zip(counts).skip(1).filter(|(_, count)| **count > 0) {
            let _ = write!(title, ", {} {}", grouped(*count), class.name);
        }
        title
    }

    fn patterns(&self, svg: &mut String, size: Size) {
        for class in self.classes {
            if let Some(drawn) = pattern(class.look) {
                let id = self.pattern_id(class.look, size);
                let class = class.look.class();
                let _ = write!(
                    svg,
                    r#"<defs><pattern id="{id}" width="5" height="5" patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><path class="{class}" d="M0 0h5v5H0z"/><path class="cut" d="{drawn}"/></pattern></defs>"#,
                );
            }
        }
    }

    fn pattern_id(&self, look: Look, size: Size) -> String {
        let letter = match size {
            Size::Wide => 'w',
            Size::Narrow => 'n',
        };
        format!("{}-{letter}{}", self.id, look.class())
    }

    fn table(&self, starts: &[Timestamp]) -> Table {
        let zone = starts.last().map(|at| self.zone.abbreviation(*at)).unwrap_or_default();
        let names = self.classes.iter().map(|class| class.name.to_owned());
        let rows = self.columns.iter().map(|column| {
            let cells = match &column.counts {
                None => vec!["–".to_owned(); self.classes.len() + 1],
                Some(counts) => [total(column)].iter().chain(counts).map(|count| grouped(*count)).collect(),
            };
            TableRow {
                heading: Heading::Time(self.zone.shown(column.start)),
                link: column.link.clone(),
                cells,
            }
        });
        Table {
            head: [format!("Time ({zone})"), "All".to_owned()].into_iter().chain(names).collect(),
            rows: rows.collect(),
        }
    }
}

/// What is left out of a class, as a path in a tile of 5 by 5.
const fn pattern(look: Look) -> Option<&'static str> {
    match look {
        Look::Hatched => Some("M0 0h1.6v5H0z"),
        Look::Dotted => Some("M0 0h2v2H0z"),
        Look::Plain | Look::Solid => None,
    }
}

fn total(column: &Column) -> u64 {
    column.counts.iter().flatten().fold(0, |sum, count| sum.saturating_add(*count))
}

/// One class of a column; in tenths of a pixel above the base line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Part {
    class: usize,
    foot: u32,
    height: u32,
}

/// The parts of a column from the base line upwards. Small classes are raised until they are visible, at the cost of the
/// largest, so the column keeps its height where that is possible.
fn stack(column: &Column, scale: Scale, length: u32) -> Vec<Part> {
    let counts: Vec<(usize, u64)> =
        column.counts.iter().flatten().copied().enumerate().filter(|(_, count)| *count > 0).collect();
    let gaps = u32::try_from(counts.len().saturating_sub(1)).unwrap_or_default() * GAP;
    let mut heights: Vec<u32> =
        counts.iter().map(|(_, count)| scale.height(*count, length).max(VISIBLE)).collect();
    let wanted = scale.height(total(column), length);
    let excess = (heights.iter().sum::<u32>() + gaps).saturating_sub(wanted);
    if let Some(largest) = heights.iter_mut().max() {
        *largest = largest.saturating_sub(excess).max(VISIBLE);
    }
    let mut foot = 0;
    let parts = counts.iter().zip(heights).map(|((class, _), height)| {
        let part = Part { class: *class, foot, height };
        foot += height + GAP;
        part
    });
    parts.collect()
}

/// `a`, `a and b`, `a, b and c`
fn list(items: &[String]) -> String {
    match items {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::golden;
    use super::*;

    /// 2026-11-29T13:00:00Z
    const FIRST: Timestamp = Timestamp::from_unix_seconds(1_795_957_200);

    fn columns(counts: &[Option<[u64; 4]>], link: bool) -> Vec<Column> {
        let column = |(place, counts): (u32, &Option<[u64; 4]>)| Column {
            start: FIRST.plus(Duration::from_hours(1) * place),
            counts: counts.map(|counts| counts.to_vec()),
            link: link.then(|| format!("/requests?after={place}&status=4xx")),
        };
        (0..).zip(counts).map(column).collect()
    }

    fn chart(columns: &[Column], shape: Shape) -> Chart {
        let zone = Zone::named(&"Europe/Berlin".parse().unwrap());
        let (title, unit) = ("Requests of <b>", Unit::Count("request", "requests"));
        Stacked { id: "r", title, unit, classes: &STATUS, columns, zone: &zone, shape }.draw()
    }

    #[test]
    fn a_day_of_requests_is_drawn() {
        let mut counts =
            vec![Some([6202, 18, 0, 0]), Some([0, 0, 0, 0]), None, None, Some([4560, 12, 7, 180])];
        counts.extend([Some([1, 0, 0, 0]); 19]);
        golden::check("stacked.txt", &chart(&columns(&counts, false), Shape::Full));
    }

    #[test]
    fn a_strip_of_links_is_a_group_and_its_narrow_drawing_a_picture() {
        let drawn = chart(&columns(&[Some([8, 1, 0, 0]), Some([0, 0, 0, 2])], true), Shape::Strip);
        assert!(drawn.wide.contains("role=\"group\"") && drawn.narrow.contains("role=\"img\""));
        golden::check("strip.txt", &drawn);
    }

    #[test]
    fn a_class_with_one_request_is_visible_and_the_column_keeps_its_height() {
        let column = &columns(&[Some([100_000, 1, 1, 1])], false)[0];
        let scale = Scale::up_to(100_003);
        let parts = stack(column, scale, 1600);
        assert!(parts.iter().all(|part| part.height >= VISIBLE), "{parts:?}");
        let top = parts.last().unwrap();
        assert_eq!(top.foot + top.height, scale.height(100_003, 1600));
        assert!(parts.windows(2).all(|pair| pair[1].foot == pair[0].foot + pair[0].height + GAP));
    }

    #[test]
    fn nothing_is_said_to_be_nothing() {
        let none = chart(&columns(&[Some([0; 4]); 24], false), Shape::Full);
        assert_eq!(none.summary, "No requests.");
        assert_eq!(chart(&[], Shape::Full).summary, "No requests.");
    }

    #[test]
    fn the_largest_numbers_do_not_overflow() {
        let drawn = chart(&columns(&[Some([u64::MAX; 4]); 200], true), Shape::Full);
        assert!(drawn.summary.starts_with("18,446,744,073,709,551,615 requests"));
    }

    #[test]
    fn a_slot_without_data_is_a_dotted_line_and_a_dash_in_the_table() {
        let drawn = chart(&columns(&[Some([1, 0, 0, 0]), None], false), Shape::Full);
        assert!(drawn.wide.contains("class=\"gap\"") && drawn.wide.contains("no data"));
        assert_eq!(drawn.table.rows[1].cells, ["–"; 5]);
    }
}
