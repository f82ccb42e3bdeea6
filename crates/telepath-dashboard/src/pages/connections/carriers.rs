//! What is entered where at a carrier. Their consoles change their menus now and then; what is entered stays the same.

/// How a carrier proves that a call is from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Proof {
    /// It answers a challenge with the SIP user name and password (RFC 3261 section 22).
    Password,
    /// It does not, so its networks must be allowed.
    Networks,
}

/// A carrier and its steps. In a step, the names in braces stand for what [`super::carrier`] fills in:
///
/// | name | value |
/// |---|---|
/// | `{uri}` | the SIP URI with the user name of the connection |
/// | `{udp_uri}` | the same with `;transport=udp`, for carriers that use TLS otherwise |
/// | `{host}`, `{host_uri}` | the host, and its SIP URI without a user, for carriers that put the dialled number there |
/// | `{user}` | the user name |
#[derive(Debug)]
pub(super) struct Carrier {
    /// The value of the parameter.
    pub(super) value: &'static str,
    pub(super) name: &'static str,
    pub(super) proof: Proof,
    pub(super) steps: &'static [&'static str],
    /// Where it publishes the addresses of its signalling.
    pub(super) addresses: &'static str,
}

pub(super) const CARRIERS: [Carrier; 7] = [
    Carrier {
        value: "twilio",
        name: "Twilio",
        proof: Proof::Networks,
        steps: &[
            "In the console, open Elastic SIP Trunking and create a trunk, or open one.",
            "Under Origination, add the URI {host_uri} with priority 10 and weight 10. Twilio adds the dialled number.",
            "Under Numbers, add the numbers whose calls the agent answers.",
            "Leave Secure Trunking (TLS and SRTP) off, unless this server listens for SIP over TLS.",
        ],
        addresses: "Twilio lists its networks under Elastic SIP Trunking, Networking Info. Allow all of them.",
    },
    Carrier {
        value: "telnyx",
        name: "Telnyx",
        proof: Proof::Networks,
        steps: &[
            "In the portal, open SIP Trunking and create a SIP connection of the type FQDN.",
            "Add {host} as its FQDN, with the DNS record type A unless you have SRV records.",
            "In the inbound settings, choose +E.164 as number format, UDP as transport, and PCMU and PCMA as codecs.",
            "Leave encrypted media off, unless this server listens for SIP over TLS, and leave PRACK off.",
            "Assign your numbers to the connection.",
        ],
        addresses: "Telnyx lists two addresses for each SIP region on sip.telnyx.com. Allow both of yours.",
    },
    Carrier {
        value: "vonage",
        name: "Vonage",
        proof: Proof::Networks,
        steps: &[
            "In the dashboard, open SIP trunking and create a trunk, or open one.",
            "For inbound calls, add the URI {host}, without a user name.",
            "Link the numbers whose calls the agent answers to the trunk.",
        ],
        addresses: "Vonage lists its networks in its knowledge base.",
    },
    Carrier {
        value: "bandwidth",
        name: "Bandwidth",
        proof: Proof::Networks,
        steps: &[
            "In the Bandwidth App, open the sub-account and its location (SIP peer), or your inbound routes.",
            "Add {host} as a host for origination or an endpoint, with port 5060 unless the host names another.",
            "Assign your numbers to it. If their inbound number format is national, choose E.164.",
        ],
        addresses: "Bandwidth names its networks when it sets up your account.",
    },
    Carrier {
        value: "signalwire",
        name: "SignalWire",
        proof: Proof::Password,
        steps: &[
            "In your space, create a script whose <Dial> holds a <Sip> element with the URI {udp_uri}.",
            "Keep the parameter of the URI, because SignalWire calls over TLS without it.",
            "Give the <Sip> element the user name {user} and the SIP password.",
            "Let your numbers handle calls with that script.",
        ],
        addresses: "",
    },
    Carrier {
        value: "plivo",
        name: "Plivo",
        proof: Proof::Password,
        steps: &[
            "In the console, open Zentrunk and create an origination URI: {host}.",
            "Switch authentication on, with the user name {user} and the SIP password.",
            "Create an inbound trunk with that URI.",
            "Leave secure trunking (TLS and SRTP) off, unless this server listens for SIP over TLS.",
            "Assign your numbers to the trunk.",
        ],
        addresses: "",
    },
    Carrier {
        value: "other",
        name: "Another carrier",
        proof: Proof::Password,
        steps: &[
            "Let the carrier call the dialled number at {host} over UDP, or else the fixed URI {uri}.",
            "If the carrier answers challenges, give it the user name {user} and the SIP password.",
            "If it does not, add its signalling networks to the connection.",
            "List your numbers in the connection only if the carrier calls them: the fixed URI names none.",
            "Choose PCMU or PCMA, 20 ms, SRTP with SDES or none, and DTMF by RFC 4733 (RFC 2833).",
        ],
        addresses: "",
    },
];

impl Carrier {
    /// The one with a value; the last one, which is any other, for everything else.
    pub(super) fn named(value: &str) -> &'static Self {
        let [.., other] = &CARRIERS;
        CARRIERS.iter().find(|carrier| carrier.value == value).unwrap_or(other)
    }
}

/// A part of a step.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Part {
    Text(String),
    /// What is entered, as it is.
    Code(String),
}

/// The parts of a step, with the values of a connection.
pub(super) fn parts(step: &str, values: &[(&str, &str)]) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut rest = step;
    while let Some((before, after)) = rest.split_once('{') {
        let Some((name, after)) = after.split_once('}') else { break };
        parts.push(Part::Text(before.to_owned()));
        let value = values.iter().find(|(known, _)| *known == name).map_or(name, |(_, value)| value);
        parts.push(Part::Code(value.to_owned()));
        rest = after;
    }
    parts.push(Part::Text(rest.to_owned()));
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALUES: &[(&str, &str)] = &[
        ("uri", "sip:a-1@voice.example:5070"),
        ("udp_uri", "sip:a-1@voice.example:5070;transport=udp"),
        ("host", "voice.example:5070"),
        ("host_uri", "sip:voice.example:5070"),
        ("user", "a-1"),
    ];

    #[test]
    fn every_step_names_known_values_only_and_every_carrier_says_where_calls_go() {
        for carrier in &CARRIERS {
            let all: Vec<Part> = carrier.steps.iter().flat_map(|step| parts(step, VALUES)).collect();
            let codes: Vec<&Part> = all.iter().filter(|part| matches!(part, Part::Code(_))).collect();
            let known =
                |part: &&Part| VALUES.iter().any(|(_, value)| **part == Part::Code((*value).to_owned()));
            assert!(!codes.is_empty() && codes.iter().all(known), "{}: {codes:?}", carrier.name);
            assert_eq!(carrier.addresses.is_empty(), carrier.proof == Proof::Password, "{}", carrier.name);
        }
    }

    /// Such a trunk is found by the dialled number, which a URI with a user name would replace.
    #[test]
    fn a_carrier_that_sends_no_password_calls_the_dialled_number() {
        for carrier in CARRIERS.iter().filter(|carrier| carrier.proof == Proof::Networks) {
            let names_a_user =
                |step: &str| ["{uri}", "{udp_uri}", "{user}"].iter().any(|name| step.contains(name));
            let found = carrier.steps.iter().find(|step| names_a_user(step));
            assert_eq!(found, None, "{}", carrier.name);
        }
    }

    #[test]
    fn a_step_is_split_at_its_values() {
        let parts = parts("Add {host} as its FQDN.", VALUES);
        let text = |text: &str| Part::Text(text.to_owned());
        assert_eq!(parts, [text("Add "), Part::Code("voice.example:5070".to_owned()), text(" as its FQDN.")]);
    }

    #[test]
    fn an_unknown_carrier_is_any_other() {
        assert_eq!((Carrier::named("telnyx").name, Carrier::named("x").value), ("Telnyx", "other"));
    }
}
