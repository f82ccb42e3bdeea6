//! Charts: numbers in, SVG out. Colours come from classes only, so the style sheet controls both themes. Every chart also says
//! in a sentence what it shows, and gives its numbers as a table.

mod axis;
mod frame;
#[cfg(test)]
mod golden;
pub(crate) mod histogram;
pub(crate) mod ladder;
pub(crate) mod lanes;
pub(crate) mod lines;
pub(crate) mod scale;
pub(crate) mod sparkline;
pub(crate) mod stacked;
pub(crate) mod waterfall;

use std::fmt;

use crate::time::Shown;

/// A chart in two drawings, of which the style sheet shows one, and its numbers.
#[derive(Debug)]
pub(crate) struct Chart {
    /// What the chart shows, such as `Requests per hour`.
    pub(crate) title: String,
    /// The sentence that a person would say about it.
    pub(crate) summary: String,
    /// 760 px wide. Markup.
    pub(crate) wide: String,
    /// 360 px wide. Markup.
    pub(crate) narrow: String,
    pub(crate) legend: Vec<Key>,
    pub(crate) table: Table,
}

/// What a colour means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Key {
    /// The classes of the swatch.
    pub(crate) class: &'static str,
    pub(crate) name: &'static str,
    /// The figure of the whole range.
    pub(crate) figure: String,
}

/// The numbers of a chart.
#[derive(Debug, Default)]
pub(crate) struct Table {
    pub(crate) head: Vec<String>,
    pub(crate) rows: Vec<TableRow>,
}

/// A row of numbers.
#[derive(Debug)]
pub(crate) struct TableRow {
    pub(crate) heading: Heading,
    /// Where the column of the chart leads.
    pub(crate) link: Option<String>,
    pub(crate) cells: Vec<String>,
}

/// What a row is about.
#[derive(Debug)]
pub(crate) enum Heading {
    Time(Shown),
    Text(String),
}

/// Markup.
impl fmt::Display for Heading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Time(time) => time.fmt(f),
            Self::Text(text) => escaped(text).fmt(f),
        }
    }
}

/// What a number counts or measures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Things, as one and as many: `("request", "requests")`.
    Count(&'static str, &'static str),
}

/// A text in SVG.
pub(crate) fn escaped(text: &str) -> Escaped<'_> {
    Escaped(text)
}

/// A text whose characters mean nothing in SVG and HTML.
#[derive(Debug)]
pub(crate) struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|letter| match letter {
            '&' => f.write_str("&amp;"),
            '<' => f.write_str("&lt;"),
            '>' => f.write_str("&gt;"),
            '"' => f.write_str("&quot;"),
            '\'' => f.write_str("&#39;"),
            other => fmt::Write::write_char(f, other),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_in_a_chart_is_text() {
        let shown = escaped("</title><script>alert('1')</script> & \"x\"").to_string();
        assert_eq!(
            shown,
            "&lt;/title&gt;&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt; &amp; &quot;x&quot;"
        );
    }
}
