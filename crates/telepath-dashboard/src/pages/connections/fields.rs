//! Fields that several forms about connections have.

use telepath_core::trunk::{Codec, SrtpMode};
use telepath_core::validation::Invalid;

use crate::form::{Fields, Problems, lines};

/// The orders of codecs that can be chosen, with their words.
const CODECS: [(&str, &str); 8] = [
    ("", "The server’s order: PCMU, PCMA, G722"),
    ("PCMU,PCMA", "PCMU, then PCMA"),
    ("PCMA,PCMU", "PCMA, then PCMU"),
    ("PCMU", "PCMU only"),
    ("PCMA", "PCMA only"),
    ("G722,PCMU,PCMA", "G722 (wideband), then PCMU, then PCMA"),
    ("G722,PCMA,PCMU", "G722 (wideband), then PCMA, then PCMU"),
    ("G722", "G722 (wideband) only"),
];

/// The modes of SRTP, with their words.
pub(super) const SRTP_MODES: [(&str, &str); 3] = [
    (SrtpMode::Preferred.name(), "When the carrier offers it"),
    (SrtpMode::Required.name(), "Always: refuse calls without it"),
    (SrtpMode::Off.name(), "Never: refuse calls that offer nothing else"),
];

/// The protocols of a custom agent that can be chosen, with their words.
pub(super) const PROTOCOLS: [(&str, &str); 2] =
    [("telepath.v1", "telepath.v1"), ("twilio", "Twilio Media Streams, for agents written for Twilio")];

/// The orders that can be chosen, and the present one if it is another.
pub(super) fn codec_choices(present: &str) -> Vec<(String, String)> {
    let other = CODECS.iter().all(|(value, _)| *value != present);
    let other = other.then(|| (present.to_owned(), present.replace(',', ", then ")));
    CODECS.iter().map(|(value, words)| ((*value).to_owned(), (*words).to_owned())).chain(other).collect()
}

/// The value of a choice for an order.
pub(super) fn codecs_value(codecs: &[Codec]) -> String {
    codecs.iter().map(|codec| codec.name()).collect::<Vec<_>>().join(",")
}

pub(super) fn codecs(form: &Fields) -> Vec<String> {
    form.text("codecs").split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

/// A whole number, if one was typed.
pub(super) fn number(form: &Fields, field: &str, problems: &mut Problems) -> Option<u32> {
    let text = form.text(field).trim();
    if text.is_empty() {
        return None;
    }
    text.parse().map_err(|_| problems.add(field, "Must be a whole number")).ok()
}

/// What is wrong, by the field of the form: entries of lists are named by what was typed, headers by their names.
pub(super) fn problems_of(invalid: Invalid, form: &Fields) -> Problems {
    let mut problems = Problems::default();
    for detail in invalid.into_details() {
        if detail.message.ends_with(&format!(": {}", detail.field)) {
            // The name of a member of the API says nothing to people.
            problems.add(&detail.field, "Must not be empty");
        } else if let Some((field, place)) = detail.field.split_once('[') {
            let place = place.trim_end_matches(']').parse::<usize>().ok();
            let typed = lines(form.text(field));
            let entry = place.and_then(|place| typed.get(place)).map_or("", String::as_str);
            problems.add(field, format!("“{entry}” {}", detail.message));
        } else if let Some((field, header)) = detail.field.split_once('.') {
            problems.add(field, format!("“{header}” {}", detail.message));
        } else {
            problems.add(&detail.field, detail.message);
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use telepath_core::trunk::AgentProtocol;

    use super::*;

    #[test]
    fn an_order_that_the_api_has_set_can_be_kept() {
        let choices = codec_choices("PCMA,G722");
        assert_eq!(choices.len(), CODECS.len() + 1);
        assert_eq!(choices.last().unwrap(), &("PCMA,G722".to_owned(), "PCMA, then G722".to_owned()));
        for (value, _) in CODECS {
            assert_eq!(codec_choices(value).len(), CODECS.len(), "{value}");
        }
    }

    #[test]
    fn every_protocol_can_be_chosen() {
        let names: Vec<_> = AgentProtocol::ALL.iter().map(|protocol| protocol.name()).collect();
        assert_eq!(PROTOCOLS.map(|(name, _)| name).as_slice(), names);
    }
}
