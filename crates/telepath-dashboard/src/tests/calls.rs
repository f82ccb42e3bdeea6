//! The log of calls, and one call.

use std::time::Duration;

use telepath_core::account::AccountDraft;
use telepath_core::call::sip_trace::{SipDirection, append_message, omission};
use telepath_core::call::{
    CallEnd, CallMetrics, CallStart, CallStatus, Direction, DisconnectReason, Party, SipFacts, Speaker, Turn,
};
use telepath_core::id::{AccountId, CallId, Id as _, TrunkId};
use telepath_core::ports::CallControl as _;
use telepath_core::trunk::{Codec, TrunkDraft};
use telepath_core::user::Role;

use super::harness::{Browser, Site};

pub(super) async fn trunk(site: &Site, account: AccountId, name: &str) -> TrunkId {
    let draft = TrunkDraft {
        name: Some(name.to_owned()),
        ai_provider: Some("custom".to_owned()),
        sip_username: Some(name.chars().filter(char::is_ascii_alphanumeric).take(20).collect()),
        custom_endpoint: Some("wss://agent.example/voice".to_owned()),
        ..TrunkDraft::default()
    };
    site.store.create_trunk(account, draft.check().unwrap(), site.origin()).await.unwrap().trunk.id
}

fn started(site: &Site, account: AccountId, trunk: TrunkId, from: &str) -> CallStart {
    CallStart {
        id: CallId::generate(site.now(), site.store.entropy().as_ref()).unwrap(),
        account_id: account,
        trunk_id: trunk,
        from: Party::from_sip_user(from),
        to: Party::from_sip_user("+15550100002"),
        direction: Direction::Inbound,
        carrier: Some("Example <b>carrier</b>".to_owned()),
        codec: Codec::Pcmu,
        start_time: site.now(),
        answer_time: site.now().plus(Duration::from_millis(186)),
        sip: SipFacts::default(),
    }
}

fn ended(start: &CallStart) -> CallEnd {
    CallEnd {
        id: start.id,
        account_id: start.account_id,
        trunk_id: start.trunk_id,
        from: start.from.clone(),
        to: start.to.clone(),
        direction: start.direction,
        carrier: start.carrier.clone(),
        status: CallStatus::Disconnected,
        reason: DisconnectReason::NormalDisconnect,
        reason_text: None,
        start_time: start.start_time,
        answer_time: Some(start.answer_time),
        end_time: start.start_time.plus(Duration::from_secs(42)),
        metrics: CallMetrics { ai_latency_ms: Some(602), mos: Some(4.3), ..CallMetrics::default() },
        turns: vec![
            turn(1, Speaker::Caller, 500, 0),
            turn(2, Speaker::Agent, 3_000, 1_930),
            turn(3, Speaker::Caller, 6_000, 0),
            turn(4, Speaker::Agent, 9_000, 500),
        ],
        caller_actions: Vec::new(),
        sip_trace: String::new(),
        sip: start.sip.clone(),
    }
}

fn turn(turn_number: u32, speaker: Speaker, started_ms: u64, processing_time_ms: u64) -> Turn {
    Turn { turn_number, speaker, started_ms, duration_ms: 2_000, processing_time_ms, interrupted: false }
}

/// A call that is over.
pub(super) async fn call(site: &Site, account: AccountId, trunk: TrunkId, from: &str) -> CallId {
    let start = started(site, account, trunk, from);
    site.store.call_started(&start).await.unwrap();
    site.store.call_ended(&ended(&start)).await.unwrap();
    start.id
}

pub(super) async fn live(site: &Site, trunk: TrunkId, from: &str) -> CallId {
    let start = started(site, site.account.id, trunk, from);
    site.store.call_started(&start).await.unwrap();
    start.id
}

#[tokio::test]
async fn the_log_shows_live_calls_first_and_filters_by_its_address() {
    let site = Site::new().await;
    let (support, sales) =
        (trunk(&site, site.account.id, "Support").await, trunk(&site, site.account.id, "Sales").await);
    site.user("ada@example.com", Role::Developer).await;
    let mut browser = Browser::of(&site, "ada@example.com").await;
    assert!(browser.get("/calls").await.expect(200).text.contains("No calls yet."));
    live(&site, support, "+15550100009").await;
    site.clock.advance(Duration::from_mins(1));
    call(&site, site.account.id, sales, "+15550100001").await;
    let page = browser.get("/calls").await.expect(200).text;
    let (first, second) = (page.find("+15550100009").unwrap(), page.find("+15550100001").unwrap());
    assert!(first < second && page.contains(">Hang up<") && page.contains("2 calls."), "{page}");
    let filtered = browser.get(&format!("/calls?connection={sales}&min_wait=600")).await.expect(200).text;
    assert!(filtered.contains("1 call.") && !filtered.contains("+15550100009"), "{filtered}");
    let none = browser.get("/calls?from=%2B1999&sort=-wait").await.expect(200).text;
    assert!(none.contains("No calls match these filters.") && none.contains("value=\"+1999\""));
}

#[tokio::test]
async fn pages_lead_to_older_calls_and_back() {
    let site = Site::new().await;
    let trunk = trunk(&site, site.account.id, "Support").await;
    for number in 0..30 {
        call(&site, site.account.id, trunk, &format!("+155501{number:05}")).await;
        site.clock.advance(Duration::from_secs(1));
    }
    site.user("ada@example.com", Role::Viewer).await;
    let mut browser = Browser::of(&site, "ada@example.com").await;
    let first = browser.get("/calls").await.expect(200);
    assert!(first.text.contains("+15550100029") && !first.text.contains("+15550100004"));
    let older = first.text.split("href=\"").find(|link| link.starts_with("/calls?cursor=")).unwrap();
    let second = browser.get(older.split('"').next().unwrap()).await.expect(200).text;
    assert!(second.contains("+15550100004") && !second.contains("+15550100005"), "{second}");
    assert!(second.contains("href=\"/calls\">Newer</a>") && !second.contains(">Older<"));
}

#[tokio::test]
async fn the_page_of_a_call_says_how_it_went() {
    let site = Site::new().await;
    let trunk = trunk(&site, site.account.id, "Support").await;
    let id = call(&site, site.account.id, trunk, "+15550100001").await;
    site.user("ada@example.com", Role::Viewer).await;
    let mut browser = Browser::of(&site, "ada@example.com").await;
    let page = browser.get(&format!("/calls/{id}")).await.expect(200).text;
    for part in [
        "The agent was slow.",
        "href=\"#t2\">turn 2</a>",
        "<b>1.9 s</b>",
        "Who spoke when",
        "id=\"t4\"",
        "186 ms after INVITE",
        "call.ended",
        "No endpoint subscribes to it.",
        "normal_disconnect",
        "it is erased",
        "Example &#60;b&#62;carrier",
    ] {
        assert!(page.contains(part), "{part}: {page}");
    }
    assert!(!page.contains("Erase this call") && !page.contains("Hang up"), "a viewer changes nothing");
    let table = browser.get(&format!("/calls/{id}?as=table")).await.expect(200).text;
    assert!(table.contains("View as chart") && table.contains("2, agent"));
}

#[tokio::test]
async fn texts_of_a_caller_stay_texts() {
    let site = Site::new().await;
    let trunk = trunk(&site, site.account.id, "<img src=x onerror=alert(1)>").await;
    let id = call(&site, site.account.id, trunk, "\u{202e}<script>alert(1)</script>").await;
    site.user("ada@example.com", Role::Owner).await;
    let mut browser = Browser::of(&site, "ada@example.com").await;
    for path in ["/calls".to_owned(), format!("/calls/{id}"), format!("/calls/{id}/erase")] {
        let page = browser.get(&path).await.expect(200).text;
        assert!(page.contains("\\u{202e}&#60;script&#62;"), "{path}: {page}");
        assert!(!page.contains("<script>") && !page.contains("<img") && !page.contains('\u{202e}'), "{path}");
    }
}

#[tokio::test]
async fn calls_of_another_account_do_not_exist() {
    let site = Site::new().await;
    let draft = AccountDraft { name: Some("Other".to_owned()), ..AccountDraft::default() };
    let other = site.store.create_account(draft.check().unwrap(), site.origin()).await.unwrap().id;
    let id = call(&site, other, trunk(&site, other, "Theirs").await, "+15550100001").await;
    site.user("ada@example.com", Role::Owner).await;
    let mut browser = Browser::of(&site, "ada@example.com").await;
    assert!(!browser.get("/calls").await.expect(200).text.contains("+15550100001"));
    for path in [format!("/calls/{id}"), format!("/calls/{id}/erase")] {
        let page = browser.get(&path).await.expect(404).text;
        assert!(page.contains("This call does not exist"));
    }
    for action in ["hang-up", "erase"] {
        browser.post(&format!("/calls/{id}/{action}"), &[]).await.expect(404);
    }
    assert!(
        site.store.get_call(other, id).await.unwrap().is_some() && site.live.0.lock().unwrap().is_empty()
    );
}

#[tokio::test]
async fn a_live_call_is_hung_up_and_one_that_is_over_is_erased() {
    let site = Site::new().await;
    let trunk = trunk(&site, site.account.id, "Support").await;
    let (live, over) =
        (live(&site, trunk, "+15550100009").await, call(&site, site.account.id, trunk, "x").await);
    site.user("ada@example.com", Role::Developer).await;
    let mut browser = Browser::of(&site, "ada@example.com").await;
    let page = browser.get(&format!("/calls/{live}")).await.expect(200).text;
    assert!(page.contains("This call is live.") && !page.contains("Erase this call"));
    let reply = browser.post(&format!("/calls/{live}/hang-up"), &[]).await;
    assert_eq!(reply.leads_to(), format!("/calls/{live}?done=hung-up"));
    assert_eq!(*site.live.0.lock().unwrap(), [live]);
    browser.post(&format!("/calls/{over}/hang-up"), &[]).await.expect(409);
    browser.post(&format!("/calls/{live}/erase"), &[]).await.expect(409);
    browser.get(&format!("/calls/{over}/erase")).await.expect(200);
    assert_eq!(browser.post(&format!("/calls/{over}/erase"), &[]).await.leads_to(), "/calls?done=erased");
    browser.get(&format!("/calls/{over}")).await.expect(404);
}

const INVITE: &str = "INVITE sip:<b>@voice.example SIP/2.0\r\nCSeq: 1 INVITE\r\n\r\nv=0\r\n";
const CHALLENGE: &str = "SIP/2.0 401 Unauthorized\r\nCSeq: 1 INVITE\r\n\r\n";
const AGAIN: &str =
    "INVITE sip:a@voice.example SIP/2.0\r\nCSeq: 2 INVITE\r\nAuthorization: [redacted]\r\n\r\n";
const OK: &str = "SIP/2.0 200 OK\r\nCSeq: 2 INVITE\r\n\r\n";
const ACK: &str = "ACK sip:a@voice.example SIP/2.0\r\nCSeq: 2 ACK\r\n\r\n";
const BYE: &str = "BYE sip:a@voice.example SIP/2.0\r\nCSeq: 3 BYE\r\n\r\n";
const BYE_OK: &str = "SIP/2.0 200 OK\r\nCSeq: 3 BYE\r\n\r\n";

fn trace_of(messages: &[(u64, SipDirection, &str)]) -> String {
    let peer = "203.0.113.60:5060".parse().unwrap();
    messages.iter().fold(String::new(), |mut trace, (at, direction, message)| {
        append_message(&mut trace, Duration::from_millis(*at), *direction, peer, message);
        trace + "\n\n"
    })
}

/// A call that is over, with a trace.
async fn traced(site: &Site, trace: String) -> CallId {
    let trunk = trunk(site, site.account.id, "Support").await;
    let start = started(site, site.account.id, trunk, "+15550100001");
    site.store.call_started(&start).await.unwrap();
    site.store.call_ended(&CallEnd { sip_trace: trace, ..ended(&start) }).await.unwrap();
    start.id
}

#[tokio::test]
async fn the_signalling_of_a_call_is_a_ladder_with_its_messages_beneath() {
    use SipDirection::{Received, Sent};
    let site = Site::new().await;
    let trace = trace_of(&[
        (0, Received, INVITE),
        (3, Sent, CHALLENGE),
        (44, Received, AGAIN),
        (186, Sent, OK),
        (228, Received, ACK),
        (42_190, Received, BYE),
        (42_191, Sent, BYE_OK),
    ]);
    let id = traced(&site, trace.clone()).await;
    site.user("ada@example.com", Role::Viewer).await;
    let mut browser = Browser::of(&site, "ada@example.com").await;
    let page = browser.get(&format!("/calls/{id}")).await.expect(200).text;
    for part in [
        "203.0.113.60:5060",
        "<a href=\"#m1\">",
        "401 Unauthorized<tspan class=\"note\" dx=\"6\">digest challenge</tspan>",
        "with credentials",
        "Audio, 0:41",
        "id=\"m6\"",
        "42,191 ms, to the carrier, 27 bytes",
        "INVITE sip:&#60;b&#62;@voice.example",
    ] {
        assert!(page.contains(part), "{part}: {page}");
    }
    let (ack, band, bye) = (page.find(">ACK<"), page.find("class=\"media\""), page.find(">BYE<"));
    assert!(ack < band && band < bye, "the audio is between the answer and the end");
    assert!(!page.contains("Later messages were not recorded") && !page.contains("<b>@"));
    let plain = browser.get(&format!("/calls/{id}/sip-trace")).await.expect(200);
    assert_eq!(
        (plain.text.as_str(), plain.header("content-type")),
        (trace.as_str(), "text/plain; charset=utf-8")
    );
    assert_eq!(plain.header("x-content-type-options"), "nosniff");
}

#[tokio::test]
async fn a_ladder_says_what_it_leaves_out_and_stays_short() {
    use SipDirection::Received;
    let site = Site::new().await;
    let options: Vec<_> =
        (0..50).map(|at| (at * 1000, Received, "OPTIONS sip:a@voice.example SIP/2.0\r\n")).collect();
    let trace = format!("{}{}{}", trace_of(&options), omission(7), trace_of(&[(99_000, Received, BYE)]));
    let id = traced(&site, trace).await;
    site.user("ada@example.com", Role::Viewer).await;
    let mut browser = Browser::of(&site, "ada@example.com").await;
    let page = browser.get(&format!("/calls/{id}")).await.expect(200).text;
    assert!(page.contains("Later messages were not recorded: 7 messages were left out."), "{page}");
    assert!(
        page.contains("15 messages are only in the whole trace.") && page.contains("7 messages not shown")
    );
    assert_eq!(page.matches("class=\"raw\"").count(), 36);
}

#[tokio::test]
async fn a_number_is_erased_from_all_calls_when_it_is_typed_twice() {
    let site = Site::new().await;
    let trunk = trunk(&site, site.account.id, "Support").await;
    let gone = call(&site, site.account.id, trunk, "+15550100001").await;
    let kept = call(&site, site.account.id, trunk, "+15550100007").await;
    let going_on = live(&site, trunk, "+15550100001").await;
    site.user("ada@example.com", Role::Developer).await;
    let mut browser = Browser::of(&site, "ada@example.com").await;
    let path = "/calls/erase-number";
    browser.get(path).await.expect(200);
    for (number, again, problem) in [
        ("15550100001", "15550100001", "Must be a number in international form"),
        ("+15550100001", "+15550100007", "Type the same number again."),
    ] {
        let page = browser.post(path, &[("number", number), ("again", again)]).await.expect(422).text;
        assert!(page.contains(problem), "{page}");
    }
    let page = browser.post(path, &[("number", "+15550100001"), ("again", "+15550100001")]).await.expect(200);
    assert!(
        page.text.contains("1 call is erased.") && page.text.contains("1 live with the number"),
        "{}",
        page.text
    );
    for (id, exists) in [(gone, false), (kept, true), (going_on, true)] {
        assert_eq!(site.store.get_call(site.account.id, id).await.unwrap().is_some(), exists);
    }
    let audit = browser.get("/audit").await.expect(200).text;
    assert!(audit.contains("…01") && !audit.contains("+15550100001"), "{audit}");
}
