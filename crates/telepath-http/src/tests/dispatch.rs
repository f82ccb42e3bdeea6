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
async fn the_second_app_answers_what_only_it_serves_and_the_first_everything_else() {
    let apps = Dispatcher::with_second(app("api"), Some(app("dashboard")));
    let (remote, local) = (Peer::Remote("192.0.2.1".parse().unwrap()), Peer::Local { uid: None });
    for (path, accept, peer, name) in [
        ("/", "*/*", remote, "api"),
        ("/v1/dashboard", "*/*", remote, "api"),
        ("/dashboard", "*/*", remote, "dashboard"),
        ("/dashboard?page=2", "*/*", remote, "dashboard"),
        ("/nothing", "text/html", remote, "dashboard"),
        ("/nothing", "*/*", remote, "api"),
        ("/api", "text/html", remote, "api"),
        ("/dashboard", "text/html", local, "api"),
    ] {
        let request = Request::get(path).header("accept", accept).body(Empty::<Bytes>::new()).unwrap();
        let (head, ()) = Request::get(path).header("accept", accept).body(()).unwrap().into_parts();
        let response = apps.handle(request, peer).await;
        assert_eq!(response.headers()["x-app"], name, "{path}");
        if peer == remote {
            let refused = apps.refuse_plain_http(&head, "192.0.2.1".parse().unwrap());
            assert_eq!(refused.headers()["x-app"], name, "{path}");
        }
    }
    let peer = local;
    let unreadable = apps.refuse_unreadable(Unreadable::Malformed, peer);
    assert_eq!(unreadable.headers()["x-app"], "api");
}
