//! Figures of calls, split and compared.

use telepath_core::call::DisconnectReason;
use telepath_core::user::Role;

use super::harness::{Browser, Site};

#[tokio::test]
async fn figures_are_those_of_the_range_and_the_connection_and_can_be_split() {
    let site = Site::new().await;
    site.user("ada@example.com", Role::Viewer).await;
    let (one, other) = (site.trunk("Support <b>line</b>").await, site.trunk("Sales").await);
    site.call(one, 5, DisconnectReason::NormalDisconnect, 600).await;
    site.call(one, 6, DisconnectReason::ConnectionFailed, 600).await;
    site.call(other, 300, DisconnectReason::AgentHangup, 700).await;
    let mut browser = Browser::of(&site, "ada@example.com").await;
    let page = browser.get("/analytics?split=trunk").await.expect(200);
    for text in [
        "<dd class=\"v\">3 calls</dd>",
        "<dd class=\"v\">66.6%</dd>",
        "<dd class=\"v\">4.30</dd>",
        "By connection",
        "Support &#60;b&#62;line&#60;/b&#62;</th><td class=\"num end\">2</td><td class=\"num end\">50%</td>",
        "The agent could not be reached",
    ] {
        assert!(page.text.contains(text), "{text}\n{}", page.text);
    }
    let path = format!("/analytics?range=1h&connection={other}&as=table");
    let page = browser.get(&path).await.expect(200);
    assert!(
        page.text.contains("<dd class=\"v\">0 calls</dd>") && page.text.contains("<dd class=\"v\">–</dd>")
    );
    assert!(!page.text.contains("<svg class=\"chart"));
    browser.get("/analytics?range=x&connection=y&split=z&a=1&b=2").await.expect(200);
}

#[tokio::test]
async fn no_connection_is_called_better_on_few_calls() {
    let site = Site::new().await;
    site.user("ada@example.com", Role::Viewer).await;
    let (slow, fast) = (site.trunk("Slow").await, site.trunk("Fast").await);
    let mut browser = Browser::of(&site, "ada@example.com").await;
    let path = format!("/analytics?a={slow}&b={fast}");
    for calls in 1..=50_u32 {
        site.call(slow, 5, DisconnectReason::NormalDisconnect, 900 + calls % 5).await;
        site.call(fast, 5, DisconnectReason::NormalDisconnect, 800 + calls % 5).await;
        if calls == 49 {
            let page = browser.get(&path).await.expect(200);
            assert!(page.text.contains("Too few calls: 49 and 49. Each needs at least 50."));
            assert!(!page.text.contains("B responds"));
        }
    }
    let page = browser.get(&path).await.expect(200);
    assert!(page.text.contains("B responds 100 ms faster (99–101)."), "{}", page.text);
    assert!(page.text.contains("No difference detectable with 50 and 50 calls."));
}

#[tokio::test]
async fn calls_can_be_split_by_the_hour_of_the_day_in_the_zone_of_the_viewer() {
    let site = Site::new().await;
    site.user("ada@example.com", Role::Viewer).await;
    let trunk = site.trunk("Support").await;
    // The clock stands at 08:00 UTC.
    site.call(trunk, 5, DisconnectReason::NormalDisconnect, 600).await;
    site.call(trunk, 24 * 60 + 10, DisconnectReason::NormalDisconnect, 600).await;
    site.call(trunk, 120, DisconnectReason::NormalDisconnect, 600).await;
    let mut browser = Browser::of(&site, "ada@example.com").await;
    for range in ["7d", "30d"] {
        let page = browser.get(&format!("/analytics?range={range}&split=hour")).await.expect(200);
        for (hour, calls) in [("06:00–07:00", 1), ("07:00–08:00", 2)] {
            let row = format!("{hour}</th><td class=\"num end\">{calls}</td>");
            assert!(page.text.contains(&row), "{row} in {range}\n{}", page.text);
        }
    }
    browser.cookies.insert("telepath_zone".to_owned(), "Europe/Berlin".to_owned());
    let page = browser.get("/analytics?range=7d&split=hour").await.expect(200);
    assert!(page.text.contains("08:00–09:00</th><td class=\"num end\">2</td>"), "{}", page.text);
}

#[tokio::test]
async fn figures_are_downloaded_as_a_table_whose_cells_are_no_formulas() {
    let site = Site::new().await;
    site.user("ada@example.com", Role::Viewer).await;
    let trunk = site.trunk("=1+1").await;
    site.call(trunk, 5, DisconnectReason::NormalDisconnect, 600).await;
    let mut browser = Browser::of(&site, "ada@example.com").await;
    let page = browser.get("/analytics?range=24h&split=trunk").await.expect(200);
    assert!(page.text.contains("/analytics/export?range=24h&#38;split=trunk"), "{}", page.text);
    let groups = browser.get("/analytics/export?range=24h&split=trunk").await.expect(200);
    assert_eq!(groups.header("content-disposition"), "attachment; filename=\"telepath-analytics.csv\"");
    let lines: Vec<&str> = groups.text.lines().collect();
    assert!(lines[0].starts_with("\"trunk\",\"calls\",\"reached\",\"failed\""), "{}", groups.text);
    assert!(lines[1].starts_with("\"'=1+1\",\"1\",\"1\",\"0\""), "{}", groups.text);
    let slots = browser.get("/analytics/export?range=24h").await.expect(200);
    assert_eq!(slots.text.lines().count(), 25);
    assert!(slots.text.contains("\"2027-01-15T07:00:00.000Z\",\"1\""), "{}", slots.text);
}

#[tokio::test]
async fn the_distribution_of_waits_shows_its_percentiles() {
    let site = Site::new().await;
    site.user("ada@example.com", Role::Viewer).await;
    let trunk = site.trunk("Support").await;
    for wait in [400, 600, 600, 900] {
        site.call(trunk, 5, DisconnectReason::NormalDisconnect, wait).await;
    }
    let mut browser = Browser::of(&site, "ada@example.com").await;
    let page = browser.get("/analytics?range=1h").await.expect(200);
    assert!(page.text.contains("Distribution of callers’ wait, in milliseconds"), "{}", page.text);
    assert!(page.text.contains("4 turns: half of them at most"), "{}", page.text);
    let page = browser.get("/analytics?range=1h&as=table").await.expect(200);
    assert!(
        page.text.contains("<th scope=\"row\">400 to 450 ms</th><td class=\"num end\">1</td>"),
        "{}",
        page.text
    );
}
