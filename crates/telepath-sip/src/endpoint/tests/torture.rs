//! Torture messages: each case of RFC 4475 is played with a message of our own that has the same trait, put
//! through a whole endpoint. Name a folder with the original messages in `TELEPATH_RFC4475_DIR` and they are
//! put through the same table as well.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::path::Path;
use std::time::Instant;

use super::super::{Endpoint, EndpointConfig, EndpointSeed, Event};
use super::pair::{callee_addr, caller_addr};
use crate::message::StatusCode;

/// What a UAS that serves calls, and is no registrar, makes of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Outcome {
    /// A new call; 100 is on its way.
    Call,
    /// Answered with this status.
    Status(u16),
    /// Answered 400 with this reason phrase.
    Bad(Cow<'static, str>),
    /// A sound response that belongs to nothing of ours: ignored.
    StrayResponse,
    /// Dropped and counted.
    Dropped,
}

use Outcome::{Bad, Call, Dropped, Status, StrayResponse};

/// The cases by the names RFC 4475 gives them.
const CASES: &[(&str, Outcome)] = &[
    // Valid, however strange (section 3.1.1).
    // Its To has a tag, so it claims to be within a call that nobody knows.
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
    // Invalid (section 3.1.2).
    ("badinv01", Bad(Cow::Borrowed("Malformed Via Header"))),
    ("clerr", Bad(Cow::Borrowed("Body Shorter Than Content-Length"))),
    ("ncl", Bad(Cow::Borrowed("Malformed Content-Length Header"))),
    ("scalar02", Bad(Cow::Borrowed("Malformed CSeq Header"))),
    ("scalarlg", Dropped),
    ("quotbal", Bad(Cow::Borrowed("Malformed To Header"))),
    ("ltgtruri", Bad(Cow::Borrowed("Malformed Request-URI"))),
    ("lwsruri", Bad(Cow::Borrowed("Malformed Request-URI"))),
    // Spaces between the parts of the start line may be forgiven; spaces after it are not.
    ("lwsstart", Call),
    ("trws", Bad(Cow::Borrowed("Malformed Start Line"))),
    ("escruri", Bad(Cow::Borrowed("Headers In Request-URI"))),
    // A Date nobody reads does no harm.
    ("baddate", Call),
    ("regbadct", Bad(Cow::Borrowed("Malformed Contact Header"))),
    ("badaspec", Bad(Cow::Borrowed("Malformed To Header"))),
    ("baddn", Bad(Cow::Borrowed("Malformed From Header"))),
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
    // The end of the way does not count hops.
    ("zeromf", Status(200)),
    ("cparam01", Status(405)),
    ("cparam02", Status(405)),
    ("regescrt", Status(405)),
    ("sdp01", Status(406)),
    // Old peers (section 3.4): without Contact and From tag there is no dialog to build.
    ("inv2543", Bad(Cow::Borrowed("Missing From Tag"))),
    // No SIP version in the start line and no Via: nowhere to send an answer.
    ("test", Dropped),
];

fn play(bytes: &[u8]) -> Outcome {
    let mut endpoint = Endpoint::new(EndpointConfig::new(callee_addr()), EndpointSeed([3; 32]));
    endpoint.handle_datagram(caller_addr(), bytes, Instant::now());
    let events: Vec<Event> = std::iter::from_fn(|| endpoint.poll_event()).collect();
    // The status line alone: the answer to a broken header echoes it, so it need not parse.
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
        other => panic!("neither call nor answer nor drop: {other:?}"),
    }
}

/// Plays every file of a folder; gives back what was played and what came out otherwise than expected.
fn play_folder(folder: &Path) -> (BTreeSet<String>, Vec<String>) {
    let mut played = BTreeSet::new();
    let mut wrong = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let stem = path.file_stem().unwrap().to_string_lossy().to_lowercase();
        let stem = stem.trim_start_matches("tc_").trim_end_matches("_v").trim_end_matches("_i").to_owned();
        let outcome = play(&std::fs::read(&path).unwrap());
        match CASES.iter().find(|(name, _)| *name == stem) {
            Some((_, expected)) if *expected == outcome => {}
            Some((_, expected)) => wrong.push(format!("{stem}: {outcome:?} instead of {expected:?}")),
            None => wrong.push(format!("{stem}: not in the table")),
        }
        println!("{stem:12} {outcome:?}");
        played.insert(stem);
    }
    (played, wrong)
}

#[test]
fn every_torture_message_of_ours_comes_out_as_the_rfc_says() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/torture");
    let (played, wrong) = play_folder(&folder);
    assert_eq!(wrong, Vec::<String>::new());
    let cases: BTreeSet<String> = CASES.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(played, cases, "every case has a message");
    if let Some(folder) = std::env::var_os("TELEPATH_RFC4475_DIR") {
        let (played, wrong) = play_folder(Path::new(&folder));
        assert_eq!(wrong, Vec::<String>::new(), "original messages");
        assert!(!played.is_empty(), "the named folder is empty");
    }
}
