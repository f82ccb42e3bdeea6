//! Which application answers which path.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::Empty;

use super::StreamingApp;
use crate::app::App as _;
use crate::dispatcher::Dispatcher;
use crate::peer::Peer;
use crate::rewrite::Unreadable;

fn app(name: &'static str) -> Arc<StreamingApp> {
    Arc::new(StreamingApp { name, every: Duration::from_secs(1), parts: 0, part: 0 })
}

#[tokio::test]
async fn requests_below_a_prefix_go_to_the_mounted_app_and_others_to_the_default() {
    let mounts = vec![("/dashboard", app("dashboard")), ("/dashboard/deeper", app("never reached"))];
    let apps = Dispatcher::with_mounts(app("api"), mounts);
    let peer = Peer::Local { uid: None };
    for (path, name) in [
        ("/", "api"),
        ("/v1/dashboard", "api"),
        ("/dashboards", "api"),
        ("/dashboard", "dashboard"),
        ("/dashboard/", "dashboard"),
        ("/dashboard?page=2", "dashboard"),
        ("/dashboard/deeper", "dashboard"),
    ] {
        let request = Request::get(path).body(Empty::<Bytes>::new()).unwrap();
        let (head, ()) = Request::get(path).body(()).unwrap().into_parts();
        let response = apps.handle(request, peer).await;
        assert_eq!(response.headers()["x-app"], name, "{path}");
        let refused = apps.refuse_plain_http(&head, "192.0.2.1".parse().unwrap());
        assert_eq!(refused.headers()["x-app"], name, "{path}");
    }
    let unreadable = apps.refuse_unreadable(Unreadable::Malformed, peer);
    assert_eq!(unreadable.headers()["x-app"], "api");
}
