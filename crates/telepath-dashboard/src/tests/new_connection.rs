//! The pages that create a connection, and the page that waits for its first call.

use std::time::Duration;

use telepath_core::page::PageRequest;
use telepath_core::trunk::{Trunk, TrunkFilter};
use telepath_core::user::Role;

use super::calls::{call, trunk};
use super::harness::{Browser, PASSWORD, Page, Site};

async fn trunks(site: &Site) -> Vec<Trunk> {
    let page = PageRequest::new(10, 0).unwrap();
    let found = site.store.list_trunks(site.account.id, TrunkFilter::default(), page).await.unwrap();
    found.items.into_iter().map(|(trunk, _)| trunk).collect()
}

/// Takes the first page, and returns the path of the second.
async fn begun(browser: &mut Browser<'_>, provider: &str) -> String {
    browser.get("/connections/new").await.expect(200);
    let fields = [("name", "Support line"), ("provider", provider)];
    browser.post("/connections/new", &fields).await.leads_to().to_owned()
}

fn secret_of(page: &Page) -> String {
    page.text.split("data-secret>").nth(1).unwrap().split('<').next().unwrap().to_owned()
}

#[tokio::test]
async fn five_pages_create_a_connection_and_keep_secrets_on_the_server() {
    let site = Site::new().await;
    site.user("ada@example.com", Role::Developer).await;
    let mut browser = Browser::of(&site, "ada@example.com").await;
    let path = begun(&mut browser, "custom").await;
    let page = browser.get(&path).await.expect(200).text;
    assert!(page.contains("Step 2 of 5") && page.contains("Test agent"), "{page}");
    let test = [
        ("action", "test"),
        ("custom_endpoint", "wss://agent.example/voice"),
        ("custom_headers", "Authorization: Bearer very-secret"),
    ];
    let page = browser.post(&path, &test).await.expect(200).text;
    assert!(page.contains("The socket was open after 84 ms. Its first message:"), "{page}");
    assert!(page.contains("&#60;b&#62;1 headers&#60;/b&#62;\\u{202e}") && !page.contains("very-secret"));
    assert!(page.contains("Kept so far: <code>Authorization</code>"), "{page}");
    let go =
        [("action", "continue"), ("custom_endpoint", "wss://agent.example/voice"), ("custom_headers", "")];
    let sip = browser.post(&path, &go).await.leads_to().to_owned();
    let page = browser.get(&sip).await.expect(200).text;
    assert!(page.contains("value=\"support-line-01\"") && !page.contains("very-secret"), "{page}");
    assert!(trunks(&site).await.is_empty(), "nothing is stored before the third page is sent");
    let fields = [
        ("sip_username", "support-01"),
        ("password", "generated"),
        ("allowed_ips", "203.0.113.0/24"),
        ("inbound_numbers", "+15550100123"),
    ];
    let page = browser.post(&sip, &fields).await.expect(200);
    assert!(page.text.contains("Connection created.") && page.header("cache-control") == "no-store");
    assert_eq!(secret_of(&page).len(), 24);
    let made = trunks(&site).await.pop().unwrap();
    assert_eq!((made.name.as_str(), made.sip_username.as_str()), ("Support line", "support-01"));
    assert_eq!((made.credentials.len(), made.settings.inbound_numbers.len()), (1, 1));
    let next = format!("/connections/{}/carrier", made.id);
    assert!(page.text.contains(&format!("action=\"{next}\"")));
    let page = browser.get(&format!("{next}?new=1&carrier=twilio")).await.expect(200).text;
    assert!(page.contains("Step 4 of 5") && page.contains("<code>sip:sip.voice.example</code>"), "{page}");
    assert!(page.contains("id=\"uri\">sip:support-01@sip.voice.example</code>"), "{page}");
    let page = browser.get(&format!("/connections/{}/try?new=1", made.id)).await.expect(200).text;
    assert!(page.contains("Waiting for the first INVITE from your carrier…"), "{page}");
    browser.post(&sip, &fields).await.expect(410);
    assert_eq!(trunks(&site).await.len(), 1, "a form that is sent twice creates one connection");
}

#[tokio::test]
async fn each_page_says_what_is_wrong_and_keeps_the_rest() {
    let site = Site::new().await;
    trunk(&site, site.account.id, "taken01").await;
    site.user("ada@example.com", Role::Developer).await;
    let mut browser = Browser::of(&site, "ada@example.com").await;
    let page = browser.post("/connections/new", &[("name", " "), ("provider", "x")]).await.expect(422).text;
    assert!(page.contains("Choose an agent.") && page.contains("id=\"name-error\""), "{page}");
    let path = begun(&mut browser, "custom").await;
    for (url, problem) in [
        ("", "Must not be empty."),
        ("http://agent.example/", "must be a wss:// URL"),
        ("wss://refused.example/", "it is not allowed"),
    ] {
        let page = browser.post(&path, &[("custom_endpoint", url)]).await.expect(422).text;
        assert!(page.to_lowercase().contains(&problem.to_lowercase()), "{url}: {page}");
    }
    let fields = [("custom_endpoint", "wss://agent.example/"), ("custom_headers", "Host: x")];
    let page = browser.post(&path, &fields).await.expect(422).text;
    assert!(page.contains("“Host”"), "{page}");
    let fields = [("custom_endpoint", "wss://agent.example/"), ("remove_headers", "1")];
    let sip = browser.post(&path, &fields).await.leads_to().to_owned();
    let fields =
        [("sip_username", "taken01"), ("password", "own"), ("sip_password", "short"), ("allowed_ips", "x")];
    let page = browser.post(&sip, &fields).await.expect(422).text;
    assert!(page.contains("Must have 8 to 128 characters") && page.contains("“x”"), "{page}");
    assert!(!page.contains("value=\"short\""), "a password is not shown");
    let fields = [("sip_username", "TAKEN01"), ("password", "own"), ("sip_password", "long enough to use")];
    let page = browser.post(&sip, &fields).await.expect(422).text;
    assert!(page.contains("Another connection of this server has this user name."), "{page}");
    let fields = [("sip_username", "free-01"), fields[1], fields[2]];
    let reply = browser.post(&sip, &fields).await;
    assert!(reply.leads_to().ends_with("/carrier?new=1"), "an own password is not shown");
}

#[tokio::test]
async fn an_agent_that_does_not_answer_its_test_can_be_kept() {
    let site = Site::new().await;
    site.user("ada@example.com", Role::Developer).await;
    let mut browser = Browser::of(&site, "ada@example.com").await;
    let path = begun(&mut browser, "custom").await;
    let fields = [("action", "test"), ("custom_endpoint", "wss://silent.example/")];
    let page = browser.post(&path, &fields).await.expect(200).text;
    assert!(page.contains("The agent could not be reached: &#60;b&#62;refused"), "{page}");
    let path = begun(&mut browser, "openai").await;
    let fields = [("action", "test"), ("openai_api_key", "sk-0123456789abcd")];
    let page = browser.post(&path, &fields).await.expect(200).text;
    assert!(
        page.contains("It accepted the session and was ready after 312 ms.")
            && page.contains("it ends with abcd"),
        "{page}"
    );
    assert!(!page.contains("sk-0123"), "{page}");
    browser.post(&path, &[("action", "continue")]).await.leads_to();
}

#[tokio::test]
async fn a_connection_is_created_after_its_user_has_confirmed_who_they_are() {
    let site = Site::new().await;
    site.user("ada@example.com", Role::Developer).await;
    let mut browser = Browser::of(&site, "ada@example.com").await;
    let path = begun(&mut browser, "custom").await;
    let sip = browser.post(&path, &[("custom_endpoint", "wss://agent.example/")]).await.leads_to().to_owned();
    site.clock.advance(Duration::from_mins(11));
    let fields = [("sip_username", "support-01"), ("password", "generated")];
    let asks = browser.post(&sip, &fields).await.leads_to().to_owned();
    assert!(trunks(&site).await.is_empty());
    browser.get(&asks).await.expect(200);
    let held = asks.strip_prefix("/confirm?held=").unwrap();
    let page = browser.post("/confirm", &[("held", held), ("password", PASSWORD)]).await.expect(200);
    assert_eq!((secret_of(&page).len(), trunks(&site).await.len()), (24, 1));
}

#[tokio::test]
async fn a_draft_is_its_users_and_is_gone_after_an_hour() {
    let site = Site::new().await;
    site.user("ada@example.com", Role::Developer).await;
    site.user("grace@example.com", Role::Developer).await;
    let mut browser = Browser::of(&site, "ada@example.com").await;
    let path = begun(&mut browser, "custom").await;
    Browser::of(&site, "grace@example.com").await.get(&path).await.expect(410);
    site.clock.advance(Duration::from_hours(1));
    let page = browser.get(&path).await.expect(410).text;
    assert!(page.contains("begin again"), "{page}");
}

#[tokio::test]
async fn the_page_that_waits_shows_the_latest_call_and_how_it_went() {
    let site = Site::new().await;
    let id = trunk(&site, site.account.id, "Support").await;
    site.user("ada@example.com", Role::Viewer).await;
    let mut browser = Browser::of(&site, "ada@example.com").await;
    let path = format!("/connections/{id}/try");
    let page = browser.get(&path).await.expect(200).text;
    assert!(page.contains("Waiting for the first INVITE") && page.contains(&format!("{path}/live")));
    let made = call(&site, site.account.id, id, "<b>+15550100001").await;
    let page = browser.get(&path).await.expect(200).text;
    for part in ["The call was accepted.", "&#60;b&#62;+15550100001", &format!("/calls/{made}")] {
        assert!(page.contains(part), "{part}: {page}");
    }
    let mut stream = browser.request("GET", &format!("{path}/live")).header("sec-fetch-site", "same-origin");
    stream = stream.header("accept", "text/event-stream");
    let response = site.send(stream.body(http_body_util::Full::default()).unwrap()).await;
    assert_eq!(response.status(), 200);
    site.streams().stop();
    let page = Page::of(response).await.text;
    assert!(page.contains("data: ") || page.is_empty(), "{page}");
}

#[tokio::test]
async fn every_carrier_has_its_page() {
    let site = Site::new().await;
    let id = trunk(&site, site.account.id, "Support").await;
    site.user("ada@example.com", Role::Viewer).await;
    let mut browser = Browser::of(&site, "ada@example.com").await;
    for (carrier, part) in [
        ("twilio", "This connection allows no network and lists no number yet."),
        ("telnyx", "sip.telnyx.com"),
        ("vonage", "without a user name"),
        ("bandwidth", "sub-account"),
        ("signalwire", "sip:Support@sip.voice.example;transport=udp"),
        ("plivo", "Zentrunk"),
        ("other", "RFC 4733"),
        ("%3Cscript%3E", "Another carrier"),
    ] {
        let page =
            browser.get(&format!("/connections/{id}/carrier?carrier={carrier}")).await.expect(200).text;
        assert!(page.contains(part) && page.contains("sip:Support@sip.voice.example"), "{carrier}: {page}");
    }
}
