//! The figures and facts of a call. What was not measured is a dash.

use telepath_core::call::{CallDetails, CallMetrics, CallRecord, CarrierLagSource, SrtpSuite};
use telepath_store::TrunkName;

use super::super::verdict::median;
use super::super::words::ended_by;
use crate::chart::lanes::with_waits;
use crate::chart::scale::{Quality, scale};
use crate::number::{counted, grouped};
use crate::visible::visible;

/// A large figure.
pub(super) struct Figure {
    /// The class of its swatch, if it is a layer of the call.
    pub(super) swatch: &'static str,
    pub(super) name: &'static str,
    pub(super) value: String,
    pub(super) unit: &'static str,
    pub(super) note: String,
}

/// A name and what belongs to it.
pub(super) struct Fact {
    pub(super) name: &'static str,
    pub(super) value: String,
    pub(super) link: Option<String>,
    /// A second line.
    pub(super) note: String,
    pub(super) is_code: bool,
}

/// The quality of the line.
pub(super) struct Line {
    /// Word and class of the chip.
    pub(super) chip: Option<(&'static str, &'static str)>,
    /// Markup; empty without a score.
    pub(super) scale: String,
    pub(super) counts: Vec<(&'static str, String)>,
}

/// How long the call was answered, in milliseconds.
pub(super) fn talk_ms(call: &CallRecord) -> u64 {
    let (Some(answered), Some(ended)) = (call.answer_time, call.end_time) else {
        return u64::from(call.duration_seconds) * 1000;
    };
    u64::try_from(ended.since(answered).as_millis()).unwrap_or(u64::MAX)
}

fn figure(swatch: &'static str, name: &'static str, value: Option<u32>, note: String) -> Figure {
    let (value, unit) = match value {
        Some(ms) => (grouped(ms.into()), "ms"),
        None => ("–".to_owned(), ""),
    };
    Figure { swatch, name, value, unit, note }
}

pub(super) fn figures(details: &CallDetails) -> Vec<Figure> {
    let metrics = &details.call.metrics;
    let waits: Vec<u64> = with_waits(&details.turns).into_iter().filter_map(|(_, wait)| wait).collect();
    let turns = counted(waits.len() as u64, "turn", "turns");
    let ai = match median(waits.into_iter()) {
        Some(median) => format!("mean of {turns}, median {}", grouped(median)),
        None => "no turn was measured".to_owned(),
    };
    let lag = match metrics.carrier_lag_source {
        Some(CarrierLagSource::Rtcp) => "half the RTCP round trip",
        Some(CarrierLagSource::FirstRtp) => "answer to first RTP packet",
        None => "not measured",
    };
    let line = match (metrics.packet_loss_percent, metrics.jitter_ms) {
        (Some(loss), Some(jitter)) => format!("{loss:.1}% loss, {jitter:.1} ms jitter"),
        (Some(loss), None) => format!("{loss:.1}% loss"),
        (None, Some(jitter)) => format!("{jitter:.1} ms jitter"),
        (None, None) => "not measured".to_owned(),
    };
    vec![
        figure("la", "AI latency", metrics.ai_latency_ms, ai),
        figure("lg", "Gateway", metrics.gateway_processing_ms, "median, both directions".to_owned()),
        figure("lc", "Carrier lag", metrics.carrier_lag_ms, lag.to_owned()),
        Figure {
            swatch: "",
            name: "MOS",
            value: metrics.mos.map_or_else(|| "–".to_owned(), |mos| format!("{mos:.1}")),
            unit: if metrics.mos.is_some() { "of 4.5" } else { "" },
            note: line,
        },
    ]
}

fn fact(name: &'static str, value: impl Into<String>) -> Fact {
    Fact { name, value: value.into(), link: None, note: String::new(), is_code: false }
}

pub(super) fn facts(details: &CallDetails, connection: Option<&TrunkName>) -> Vec<Fact> {
    let (call, sip) = (&details.call, &details.sip);
    let name = connection.map_or_else(|| call.trunk_id.to_string(), |trunk| trunk.name.clone());
    let link = connection.filter(|trunk| !trunk.deleted).map(|trunk| format!("/connections/{}", trunk.id));
    let mut facts = vec![Fact { link, ..fact("Connection", name) }];
    facts.push(Fact {
        note: sip.source.as_deref().map(visible).unwrap_or_default(),
        ..fact("Carrier", call.carrier.as_deref().map_or_else(|| "unknown".to_owned(), visible))
    });
    let codec =
        call.metrics.codec_used.map_or_else(|| "–".to_owned(), |codec| format!("{}, 8 kHz", codec.name()));
    facts.push(fact("Codec", codec));
    if call.answer_time.is_some() {
        let suite = call.metrics.srtp_suite.map_or("none", SrtpSuite::name);
        facts.push(fact("Encryption", suite));
    }
    if let Some(ms) = call.metrics.rtt_ms {
        facts.push(fact("Round trip", format!("{ms:.1} ms")));
    }
    let answered = call.answer_time.map_or_else(
        || "no".to_owned(),
        |at| {
            format!(
                "{} ms after INVITE",
                grouped(u64::try_from(at.since(call.start_time).as_millis()).unwrap_or(u64::MAX))
            )
        },
    );
    facts.push(fact("Answered", answered));
    if let Some(ms) = call.metrics.time_to_first_speech_ms {
        facts.push(fact("First response", format!("{} ms after the caller spoke", grouped(ms.into()))));
    }
    if let Some(reason) = call.disconnect_reason {
        facts.push(Fact { note: reason.name().to_owned(), ..fact("Ended by", ended_by(reason)) });
    }
    if let Some(rule) = &sip.rule {
        let status = sip.status.map_or_else(String::new, |status| format!("answered with {status}"));
        facts.push(Fact { note: status, is_code: true, ..fact("Rule", visible(rule)) });
    }
    if let Some(said) = &sip.peer_reason {
        facts.push(Fact { is_code: true, ..fact("Carrier’s reason", visible(said)) });
    }
    if let Some(id) = &sip.call_id {
        facts.push(Fact { is_code: true, ..fact("SIP Call-ID", visible(id)) });
    }
    facts.push(Fact { is_code: true, ..fact("Call id", call.id.to_string()) });
    facts
}

/// The quality of the line, once the call is over and was answered.
pub(super) fn line(details: &CallDetails) -> Option<Line> {
    let metrics = &details.call.metrics;
    details.call.answer_time.and(details.call.end_time)?;
    let chip = metrics.mos.map(Quality::of).map(|quality| match quality {
        Quality::Clean => ("Clean", "chip-ok"),
        Quality::Fair => ("Fair", "chip-warn"),
        Quality::Poor => ("Poor", "chip-bad"),
    });
    Some(Line { chip, scale: metrics.mos.map(scale).unwrap_or_default(), counts: counts(metrics) })
}

fn counts(metrics: &CallMetrics) -> Vec<(&'static str, String)> {
    let (counts, jitter) = (&metrics.counts, metrics.jitter_ms);
    let ms = |ms: u64| format!("{} ms", grouped(ms));
    let percent = metrics.packet_loss_percent.map_or_else(String::new, |loss| format!(" ({loss:.1}%)"));
    let at_carrier = |figure: Option<f64>, unit| {
        figure.map_or_else(|| "–".to_owned(), |value| format!("{value:.1}{unit}"))
    };
    vec![
        ("Packets received", grouped(counts.rtp_received)),
        ("Packets sent", grouped(counts.rtp_sent)),
        ("Lost", format!("{}{percent}", grouped(counts.rtp_lost))),
        ("Late", grouped(counts.rtp_late)),
        ("Duplicate", grouped(counts.rtp_duplicate)),
        ("Sent late", grouped(counts.rtp_sent_late)),
        ("Jitter", jitter.map_or_else(|| "–".to_owned(), |jitter| format!("{jitter:.1} ms"))),
        ("Lost at the carrier", at_carrier(metrics.remote_packet_loss_percent, "%")),
        ("Jitter at the carrier", at_carrier(metrics.remote_jitter_ms, " ms")),
        ("Not usable", grouped(counts.rtp_invalid)),
        ("of these not RTP", grouped(counts.rtp_malformed)),
        ("from another address", grouped(counts.rtp_foreign_address)),
        ("of another payload type", grouped(counts.rtp_unknown_payload)),
        ("of another source", grouped(counts.rtp_foreign_source)),
        ("jumped in sequence", grouped(counts.rtp_unconfirmed_jumps)),
        ("not authenticated", grouped(counts.rtp_unauthenticated)),
        ("received before", grouped(counts.rtp_replayed)),
        ("Agent audio cut off", ms(counts.playout_cleared_ms)),
        ("Agent audio dropped", ms(counts.playout_overflow_ms)),
        ("Frames the agent missed", grouped(counts.agent_frames_dropped)),
        ("Telephone events ignored", grouped(counts.telephone_events_ignored)),
        ("Actions not recorded", grouped(counts.caller_actions_omitted)),
    ]
}
