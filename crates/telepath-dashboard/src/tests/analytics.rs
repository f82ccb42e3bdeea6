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
