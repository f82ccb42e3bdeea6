//! The SIP torture tests of RFC 4475. `testdata/torture` contains a message of our own for each case with the same
//! property. If `TELEPATH_RFC4475_DIR` names a folder with the original messages, they are tested too.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::path::Path;
use std::time::Instant;

use super::super::{Endpoint, EndpointConfig, EndpointSeed, Event};
use super::pair::{callee_addr, from_caller};
use crate::message::StatusCode;

/// The reaction of a UAS that is not a registrar.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Reaction {
    /// A new call, answered with 100.
    Call,
    /// Answered with this status.
    Status(u16),
    /// Answered with 400 and this reason phrase.
    Bad(Cow<'static, str>),
    /// A valid response without a transaction, ignored.
    StrayResponse,
    /// Dropped.
    Dropped,
}

use Reaction::{Bad, Call, Dropped, Status, StrayResponse};

/// The cases by their names in RFC 4475.
const CASES: &[(&str, Reaction)] = &[
    // Valid messages (section 3.1.1).
    // To has a tag, so this INVITE names an unknown dialog.
    ("wsinv", Status(481)),
    ("intmeth", Status(501)),
    ("esc01", Call),
    ("escnull", Status(405)),
    ("esc02", Status(501)),
    ("lwsdisp", Status(200)),
    ("longreq", Call),
    ("dblreq", Status(405)),
    ("semiuri", Status(200)),
    ("transports", Status(200)),
    ("mpart01", Status(405)),
    ("unreason", StrayResponse),
    ("noreason", StrayResponse),
    // Invalid messages (section 3.1.2).
    ("badinv01", Bad(Cow::Borrowed("Malformed Via Header"))),
    ("clerr", Bad(Cow::Borrowed("Body Shorter Than Content-Length"))),
    ("ncl", Bad(Cow::Borrowed("Malformed Content-Length Header"))),
    ("scalar02", Bad(Cow::Borrowed("Malformed CSeq Header"))),
    ("scalarlg", Dropped),
    ("quotbal", Bad(Cow::Borrowed("Malformed To Header"))),
    ("ltgtruri", Bad(Cow::Borrowed("Malformed Request-URI"))),
    ("lwsruri", Bad(Cow::Borrowed("Malformed Request-URI"))),
    // Additional spaces within the start line are tolerated, spaces after it are not.
    ("lwsstart", Call),
    ("trws", Bad(Cow::Borrowed("Malformed Start Line"))),
    ("escruri", Bad(Cow::Borrowed("Headers In Request-URI"))),
    // Date is not parsed.
    ("baddate", Call),
    ("regbadct", Bad(Cow::Borrowed("Malformed Contact Header"))),
    ("badaspec", Bad(Cow::Borrowed("Malformed To Header"))),
    // Carriers send display names without the quotes that they need, so quotes are inferred, as the RFC permits.
    ("baddn", Status(200)),
    ("badvers", Status(505)),
    ("mismatch01", Bad(Cow::Borrowed("CSeq Names Another Method"))),
    ("mismatch02", Status(501)),
    ("bigcode", Dropped),
    // The transaction layer (section 3.2).
    ("badbranch", Status(200)),
    // The application layer (section 3.3).
    ("insuf", Bad(Cow::Borrowed("Missing Call-ID Header"))),
    ("unkscm", Status(416)),
    ("novelsc", Status(416)),
    ("unksm2", Status(405)),
    ("bext01", Status(420)),
    ("invut", Status(415)),
    ("regaut01", Status(405)),
    ("multi01", Bad(Cow::Borrowed("More Than One Call-ID Header"))),
    ("mcl01", Bad(Cow::Borrowed("More Than One Content-Length Header"))),
    ("bcast", StrayResponse),
    // A UAS does not check Max-Forwards.
    ("zeromf", Status(200)),
    ("cparam01", Status(405)),
    ("cparam02", Status(405)),
    ("regescrt", Status(405)),
    ("sdp01", Status(406)),
    // Backward compatibility (section 3.4): without Contact and From tag there is no dialog.
    ("inv2543", Bad(Cow::Borrowed("Missing From Tag"))),
    // Without SIP version and Via there is no destination for a response.
    ("test", Dropped),
];

fn react(bytes: &[u8]) -> Reaction {
    let mut endpoint = Endpoint::new(EndpointConfig::new(callee_addr()), EndpointSeed([3; 32]));
    endpoint.handle_message(from_caller(), bytes, Instant::now());
    let events: Vec<Event> = std::iter::from_fn(|| endpoint.poll_event()).collect();
    // Only the status line: a response that repeats a malformed header cannot be parsed.
    let lines: Vec<String> = std::iter::from_fn(|| endpoint.poll_transmit())
        .map(|out| String::from_utf8_lossy(&out.payload).lines().next().unwrap_or_default().to_owned())
        .collect();
    let sent: Vec<StatusCode> = lines
        .iter()
        .map(|line| {
            line.strip_prefix("SIP/2.0 ").and_then(|rest| StatusCode::new(rest[..3].parse().ok()?)).unwrap()
        })
        .collect();
    let phrase = lines.first().map(|line| line[12..].to_owned()).unwrap_or_default();
    match (sent.as_slice(), events.as_slice()) {
        ([StatusCode::TRYING], [Event::Incoming(_)]) => Call,
        ([StatusCode::BAD_REQUEST], [Event::Rejected { .. }]) => Bad(Cow::Owned(phrase)),
        ([status], [] | [Event::Rejected { .. }]) => Status(status.code()),
        ([], [Event::Rejected { reason, .. }]) if reason.name() == "stray_response" => StrayResponse,
        ([], [Event::Rejected { .. }]) => Dropped,
        other => panic!("unexpected reaction: {other:?}"),
    }
}

/// Tests every file of a folder and returns the names of the cases and the unexpected reactions.
fn run_folder(folder: &Path) -> (BTreeSet<String>, Vec<String>) {
    let mut tested = BTreeSet::new();
    let mut wrong = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let stem = path.file_stem().unwrap().to_string_lossy().to_lowercase();
        let stem = stem.trim_start_matches("tc_").trim_end_matches("_v").trim_end_matches("_i").to_owned();
        let reaction = react(&std::fs::read(&path).unwrap());
        match CASES.iter().find(|(name, _)| *name == stem) {
            Some((_, expected)) if *expected == reaction => {}
            Some((_, expected)) => wrong.push(format!("{stem}: {reaction:?} instead of {expected:?}")),
            None => wrong.push(format!("{stem}: not in the table")),
        }
        println!("{stem:12} {reaction:?}");
        tested.insert(stem);
    }
    (tested, wrong)
}

#[test]
fn torture_messages_get_the_reactions_of_rfc_4475() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/torture");
    let (tested, wrong) = run_folder(&folder);
    assert_eq!(wrong, Vec::<String>::new());
    let cases: BTreeSet<String> = CASES.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(tested, cases, "every case has a message");
    if let Some(folder) = std::env::var_os("TELEPATH_RFC4475_DIR") {
        let (tested, wrong) = run_folder(Path::new(&folder));
        assert_eq!(wrong, Vec::<String>::new(), "original messages");
        assert!(!tested.is_empty(), "TELEPATH_RFC4475_DIR is empty");
    }
}
