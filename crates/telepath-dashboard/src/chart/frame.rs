//! The frame of a chart: its two sizes, grid lines, labels and accessible names.

use std::fmt::{self, Write as _};

use super::axis::{Scale, time_labels};
use super::escaped;
use crate::number::grouped;
use crate::time::Zone;

use telepath_core::clock::Timestamp;

/// A length in tenths of a pixel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Px(pub(super) u32);

impl fmt::Display for Px {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0 / 10, self.0 % 10) {
            (whole, 0) => write!(f, "{whole}"),
            (whole, tenth) => write!(f, "{whole}.{tenth}"),
        }
    }
}

/// The size of a drawing. Text is never scaled, so there are two drawings instead of one that stretches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Size {
    Wide,
    Narrow,
}

/// How much a chart shows beside its picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// With numbers along its axis.
    Full,
    /// Low, above a list, without numbers along its axis.
    Strip,
}

/// Where things stand in a drawing; all in tenths of a pixel.
#[derive(Debug, Clone, Copy)]
pub(super) struct Frame {
    pub(super) size: Size,
    pub(super) shape: Shape,
    pub(super) left: u32,
    pub(super) right: u32,
    pub(super) top: u32,
    /// The base line.
    pub(super) bottom: u32,
}

impl Frame {
    pub(super) const fn new(size: Size, shape: Shape, scale: Scale) -> Self {
        let right = match size {
            Size::Wide => 7580,
            Size::Narrow => 3580,
        };
        match shape {
            Shape::Full => Self { size, shape, left: label_width(scale), right, top: 100, bottom: 1780 },
            Shape::Strip => Self { size, shape, left: 20, right, top: 40, bottom: 640 },
        }
    }

    pub(super) const fn height(self) -> u32 {
        self.bottom - self.top
    }

    /// The left edge of a slot.
    pub(super) fn edge(self, place: usize, slots: usize) -> u32 {
        let width = u64::from(self.right - self.left);
        let (place, slots) = (place as u64, slots.max(1) as u64);
        let edge = width * place / slots;
        self.left + u32::try_from(edge).unwrap_or(u32::MAX).min(self.right - self.left)
    }

    /// The middle of a slot.
    pub(super) fn middle(self, place: usize, slots: usize) -> u32 {
        self.edge(place, slots).midpoint(self.edge(place + 1, slots))
    }

    /// Begins a drawing with its accessible name and description.
    pub(super) fn open(self, names: Names<'_>) -> String {
        let (width, letter) = match self.size {
            Size::Wide => (760, "w"),
            Size::Narrow => (360, "n"),
        };
        let id = format!("{}-{letter}", names.id);
        let height = Px(self.bottom + 200);
        let role = if names.has_links { "group" } else { "img" };
        let shape = match self.shape {
            Shape::Full => "",
            Shape::Strip => " strip",
        };
        format!(
            r#"<svg class="chart {}{shape}" viewBox="0 0 {width} {height}" role="{role}" aria-labelledby="{id}t" aria-describedby="{id}d"><title id="{id}t">{}</title><desc id="{id}d">{}</desc>"#,
            match self.size {
                Size::Wide => "wide",
                Size::Narrow => "narrow",
            },
            escaped(names.title),
            escaped(names.summary),
        )
    }

    /// The grid lines with their numbers.
    pub(super) fn grid(self, svg: &mut String, scale: Scale) {
        if self.shape == Shape::Strip {
            return;
        }
        let (left, right, foot) = (Px(self.left), Px(self.right), Px(self.bottom + 40));
        let label = Px(self.left - 80);
        let mut path = String::new();
        for line in scale.lines() {
            let line = u64::try_from(line).unwrap_or(u64::MAX);
            let height = self.bottom - scale.height(line, self.height());
            // Writing to a string does not fail.
            let _ = write!(path, "M{left} {}H{right}", Px(height));
            let _ = write!(
                svg,
                r#"<text class="y" x="{label}" y="{}">{}</text>"#,
                Px(height + 40),
                grouped(line)
            );
        }
        let _ =
            write!(svg, r#"<text class="y" x="{label}" y="{foot}">0</text><path class="grid" d="{path}"/>"#);
    }

    /// The base line: dotted where nothing is known.
    pub(super) fn base(self, svg: &mut String, known: &[bool]) {
        let mut lines = [String::new(), String::new()];
        let mut place = 0;
        for run in known.chunk_by(|one, next| one == next) {
            let (from, to) = (self.edge(place, known.len()), self.edge(place + run.len(), known.len()));
            place += run.len();
            let [solid, dotted] = &mut lines;
            let line = if run.first() == Some(&true) { solid } else { dotted };
            let _ = write!(line, "M{} {}H{}", Px(from), Px(self.bottom), Px(to));
        }
        for (line, class) in lines.iter().zip(["base", "gap"]) {
            if !line.is_empty() {
                let _ = write!(svg, r#"<path class="{class}" d="{line}"/>"#);
            }
        }
    }

    /// What the pointer and the keyboard reach: one area per slot, with its numbers and where it leads.
    pub(super) fn targets(self, svg: &mut String, targets: Vec<(String, Option<&str>)>) {
        let slots = targets.len();
        for (place, (title, link)) in targets.into_iter().enumerate() {
            let (from, to) = (self.edge(place, slots), self.edge(place + 1, slots));
            let area = format!(
                r#"class="hit" x="{}" y="{}" width="{}" height="{}""#,
                Px(from),
                Px(self.top),
                Px(to - from),
                Px(self.height())
            );
            let title = escaped(&title);
            let _ = match link {
                Some(link) => {
                    write!(svg, r#"<a href="{}"><title>{title}</title><rect {area}/></a>"#, escaped(link))
                }
                None => write!(svg, "<rect {area}><title>{title}</title></rect>"),
            };
        }
    }

    /// Times below the slots.
    pub(super) fn times(self, svg: &mut String, starts: &[Timestamp], zone: &Zone) {
        let most = match self.size {
            Size::Wide => 9,
            Size::Narrow => 5,
        };
        let foot = Px(self.bottom + 170);
        for (place, label) in time_labels(starts, zone, most).into_iter().enumerate() {
            if let Some(label) = label {
                let middle = Px(self.middle(place, starts.len()).clamp(self.left.max(160), self.right - 160));
                let _ = write!(svg, r#"<text class="x" x="{middle}" y="{foot}">{label}</text>"#);
            }
        }
    }
}

/// What a drawing is called.
#[derive(Debug, Clone, Copy)]
pub(super) struct Names<'a> {
    pub(super) id: &'a str,
    pub(super) title: &'a str,
    pub(super) summary: &'a str,
    /// Whether parts of the drawing are links; then it is a group, not an image.
    pub(super) has_links: bool,
}

/// The space for the numbers along an axis.
const fn label_width(scale: Scale) -> u32 {
    let digits = scale.most.ilog10() + 1;
    let commas = (digits - 1) / 3;
    let text = digits * 68 + commas * 34 + 110;
    if text < 300 { 300 } else { text }
}
