//! Requests are counted by the pattern of their route, never by what a client wrote.

use telepath_core::user::Role;
use telepath_metrics::Registry;

use super::harness::{Browser, Site};

fn value(text: &str, series: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(series)?.trim().parse().ok())
}

#[tokio::test]
async fn requests_are_counted_by_route_method_and_class_of_status() {
    let site = Site::new().await;
    let registry = Registry::default();
    registry.add(site.dashboard.metrics());
    let count = |route: &str, method: &str, status: &str| {
        let labels = format!("{{route=\"{route}\",method=\"{method}\",status=\"{status}\"}}");
        value(&registry.render(), &format!("telepath_dashboard_requests_total{labels}"))
    };
    assert_eq!(count("/login", "GET", "2xx"), Some(0), "every series exists from the start");
    site.user("ada@example.com", Role::Owner).await;
    let mut browser = Browser::of(&site, "ada@example.com").await;
    browser.get("/login/nothing-of-this-name").await.expect(404);
    browser.get("/assets/nothing.css").await.expect(404);
    assert_eq!(count("/login", "POST", "3xx"), Some(1));
    assert_eq!((count("unmatched", "other", "4xx"), count("assets", "GET", "4xx")), (Some(1), Some(1)));
    let text = registry.render();
    assert!(!text.contains("nothing"), "no label has what a client wrote");
    let durations = "telepath_dashboard_request_duration_seconds_count{route=\"/login\",method=\"POST\"}";
    assert_eq!(value(&text, durations), Some(1));
}
