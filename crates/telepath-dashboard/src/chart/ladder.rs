//! A ladder of messages: the carrier, Telepath and the agent as lines, and an arrow for each message between them.

use std::fmt::Write as _;

use super::frame::Px;
use super::{Chart, Table, escaped};
use crate::number::{counted, grouped};

/// All in tenths of a pixel.
const TOP: u32 = 580;
const ROW: u32 = 260;
const BAND: u32 = 620;
/// The head of an arrow.
const HEAD: u32 = 60;

/// With whom Telepath exchanges a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Peer {
    Carrier,
    Agent,
}

/// What the colour of a message says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Look {
    Plain,
    /// Success.
    Good,
    /// A refusal, or a challenge.
    Attention,
    /// Of the agent's socket.
    Socket,
}

impl Look {
    const fn class(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Good => " a-ok",
            Self::Attention => " a-warn",
            Self::Socket => " a-ws",
        }
    }
}

/// A message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Step {
    /// Since the INVITE, in milliseconds.
    pub(crate) at_ms: u64,
    pub(crate) peer: Peer,
    /// From Telepath to the peer.
    pub(crate) is_sent: bool,
    pub(crate) label: String,
    /// What the wide drawing says beside the label.
    pub(crate) note: String,
    pub(crate) look: Look,
    /// Where the message can be read.
    pub(crate) link: Option<String>,
    /// Messages before this one that are not shown.
    pub(crate) left_out: u64,
}

/// The audio, as one band between two messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Media {
    /// The message that the band stands before; behind the last one if there is no such message.
    pub(crate) before: usize,
    pub(crate) title: String,
    pub(crate) note: String,
}

/// The messages of a call.
pub(crate) struct Ladder<'a> {
    /// The address of the carrier.
    pub(crate) carrier: &'a str,
    /// How the agent is spoken to.
    pub(crate) agent: &'a str,
    pub(crate) steps: &'a [Step],
    pub(crate) media: Option<Media>,
}

/// A drawing of a width in pixels.
#[derive(Clone, Copy)]
struct Drawing {
    class: &'static str,
    width: u32,
    /// The right edge of the times.
    times: u32,
    carrier: u32,
    telepath: u32,
    agent: u32,
    with_notes: bool,
}

const WIDE: Drawing = Drawing {
    class: "wide",
    width: 760,
    times: 560,
    carrier: 1520,
    telepath: 4040,
    agent: 6680,
    with_notes: true,
};
const NARROW: Drawing = Drawing {
    class: "narrow",
    width: 360,
    times: 430,
    carrier: 780,
    telepath: 1960,
    agent: 3200,
    with_notes: false,
};

impl Drawing {
    const fn line_of(self, peer: Peer) -> u32 {
        match peer {
            Peer::Carrier => self.carrier,
            Peer::Agent => self.agent,
        }
    }

    fn heads(self, svg: &mut String, ladder: &Ladder<'_>, bottom: u32) {
        let lines = [
            (self.carrier, "Carrier", ladder.carrier),
            (self.telepath, "Telepath", "SIP and media"),
            (self.agent, "Agent", ladder.agent),
        ];
        let _ = write!(svg, r#"<text class="y" x="{}" y="13">ms</text>"#, Px(self.times));
        for (x, name, note) in lines {
            let x = Px(x);
            // Writing to a string does not fail.
            let _ = write!(
                svg,
                r#"<path class="life" d="M{x} 36V{}"/><text class="x who" x="{x}" y="13">{name}</text><text class="x" x="{x}" y="28">{}</text>"#,
                Px(bottom),
                escaped(note)
            );
        }
    }

    fn gap(self, svg: &mut String, y: u32, left_out: u64) {
        let _ = write!(
            svg,
            r#"<text class="x gap-note" x="{}" y="{}">{} not shown</text>"#,
            Px(self.carrier.midpoint(self.telepath)),
            Px(y),
            counted(left_out, "message", "messages")
        );
    }

    fn step(self, svg: &mut String, step: &Step, y: u32) {
        let (ours, theirs) = (self.telepath, self.line_of(step.peer));
        let (from, to) = if step.is_sent { (ours, theirs) } else { (theirs, ours) };
        let (left, right) = (from.min(to), from.max(to));
        let tip = if from < to { to - HEAD } else { to + HEAD };
        let look = step.look.class();
        let (open, close) = match &step.link {
            Some(link) => (format!(r#"<a href="{}">"#, escaped(link)), "</a>"),
            None => ("<g>".to_owned(), "</g>"),
        };
        let _ = write!(
            svg,
            r#"<text class="y" x="{}" y="{}">{}</text>{open}<title>{}</title><rect class="hit" x="{}" y="{}" width="{}" height="24"/>"#,
            Px(self.times),
            Px(y + 30),
            grouped(step.at_ms),
            escaped(&step.name()),
            Px(left),
            Px(y - 170),
            Px(right - left),
        );
        let _ = write!(
            svg,
            r#"<text class="x m{look}" x="{}" y="{}">{}"#,
            Px(left.midpoint(right)),
            Px(y - 50),
            escaped(&step.label)
        );
        if self.with_notes && !step.note.is_empty() {
            let _ = write!(svg, r#"<tspan class="note" dx="6">{}</tspan>"#, escaped(&step.note));
        }
        let _ = write!(
            svg,
            r#"</text><path class="a{look}" d="M{} {y}H{}"/><path class="ah{look}" d="M{} {y}L{} {}V{}z"/>{close}"#,
            Px(from),
            Px(tip),
            Px(to),
            Px(tip),
            Px(y - 35),
            Px(y + 35),
            y = Px(y),
        );
    }

    fn band(self, svg: &mut String, media: &Media, y: u32) {
        let (x, width) = (Px(self.carrier), Px(self.agent - self.carrier));
        let middle = Px(self.carrier.midpoint(self.agent));
        let _ = write!(
            svg,
            r#"<rect class="media" x="{x}" y="{}" width="{width}" height="42" rx="6"/><text class="x media-t" x="{middle}" y="{}">{}</text><text class="x" x="{middle}" y="{}">{}</text>"#,
            Px(y),
            Px(y + 180),
            escaped(&media.title),
            Px(y + 330),
            escaped(&media.note)
        );
    }
}

impl Step {
    /// What the message is, in words.
    fn name(&self) -> String {
        let peer = match self.peer {
            Peer::Carrier => "the carrier",
            Peer::Agent => "the agent",
        };
        let way = if self.is_sent { "to" } else { "from" };
        format!("{} {way} {peer}, {} ms after the INVITE", self.label, grouped(self.at_ms))
    }
}

impl Ladder<'_> {
    pub(crate) fn draw(&self) -> Chart {
        let messages = counted(self.steps.len() as u64, "message", "messages");
        let summary =
            format!("{messages} between the carrier, Telepath and the agent, each linked to its text.");
        Chart {
            title: "Signalling".to_owned(),
            wide: self.drawing(WIDE, &summary),
            narrow: self.drawing(NARROW, &summary),
            legend: Vec::new(),
            // The messages beneath are its table.
            table: Table::default(),
            summary,
        }
    }

    fn drawing(&self, drawing: Drawing, summary: &str) -> String {
        let mut rows = String::new();
        let mut y = TOP;
        for (place, step) in self.steps.iter().enumerate() {
            if let Some(media) = self.media.as_ref().filter(|media| media.before == place) {
                drawing.band(&mut rows, media, y - 60);
                y += BAND;
            }
            if step.left_out > 0 {
                drawing.gap(&mut rows, y, step.left_out);
                y += ROW;
            }
            drawing.step(&mut rows, step, y);
            y += ROW;
        }
        if let Some(media) = self.media.as_ref().filter(|media| media.before >= self.steps.len()) {
            drawing.band(&mut rows, media, y - 60);
            y += BAND;
        }
        let bottom = y - ROW + 140;
        let Drawing { class, width, .. } = drawing;
        let mut svg = format!(
            r#"<svg class="chart ladder {class}" viewBox="0 0 {width} {}" role="group" aria-labelledby="ladder-{class}-t" aria-describedby="ladder-{class}-d"><title id="ladder-{class}-t">Signalling</title><desc id="ladder-{class}-d">{}</desc>"#,
            Px(bottom + 20),
            escaped(summary)
        );
        drawing.heads(&mut svg, self, bottom);
        svg.push_str(&rows);
        svg.push_str("</svg>");
        svg
    }
}

#[cfg(test)]
mod tests {
    use super::super::golden;
    use super::*;

    fn step(at_ms: u64, is_sent: bool, label: &str, look: Look) -> Step {
        let link = Some(format!("#m{at_ms}"));
        let (label, note) = (label.to_owned(), String::new());
        Step { at_ms, peer: Peer::Carrier, is_sent, label, note, look, link, left_out: 0 }
    }

    #[test]
    fn messages_media_and_gaps_are_drawn() {
        let steps = [
            step(0, false, "INVITE", Look::Plain),
            step(3, true, "401 Unauthorized", Look::Attention),
            Step { note: "with credentials".to_owned(), ..step(44, false, "INVITE", Look::Plain) },
            Step { peer: Peer::Agent, link: None, ..step(183, false, "Ready", Look::Socket) },
            step(186, true, "200 OK", Look::Good),
            step(228, false, "ACK", Look::Plain),
            Step { left_out: 7, ..step(222_190, false, "BYE", Look::Plain) },
            step(222_191, true, "200 OK", Look::Good),
        ];
        let (title, note) = ("Two-way audio, 3:42".to_owned(), "11,098 packets in, 11,100 out".to_owned());
        let media = Some(Media { before: 6, title, note });
        let ladder = Ladder { carrier: "203.0.113.60", agent: "telepath.v1", steps: &steps, media };
        golden::check("ladder.txt", &ladder.draw());
    }

    #[test]
    fn text_of_a_message_stays_text() {
        let hostile = "</text><script>alert(1)</script>";
        let steps = [Step { note: hostile.to_owned(), ..step(0, false, hostile, Look::Plain) }];
        let chart = Ladder { carrier: hostile, agent: hostile, steps: &steps, media: None }.draw();
        assert!(!chart.wide.contains("<script>") && !chart.narrow.contains("<script>"));
    }

    #[test]
    fn a_ladder_without_messages_is_three_lines() {
        let media = Some(Media { before: 0, title: "Audio".to_owned(), note: String::new() });
        let chart = Ladder { carrier: "x", agent: "y", steps: &[], media }.draw();
        assert!(chart.wide.matches("class=\"life\"").count() == 3 && chart.wide.contains("class=\"media\""));
    }
}
