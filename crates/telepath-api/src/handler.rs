//! Runs the handler of an admitted request.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use axum::response::{IntoResponse as _, Response};
use futures_util::FutureExt as _;
use tower::Service as _;

use crate::error::ApiError;

/// Runs the handler within a time limit. A panic becomes a 500 response instead of a broken connection.
pub(crate) async fn run(mut router: Router, within: Duration, request: Request<Body>) -> Response {
    let work = async move { router.call(request).await };
    let mut work = pin!(AssertUnwindSafe(work).catch_unwind());
    // Most handlers complete on the first poll; only the others need a timer.
    let first = std::future::poll_fn(|context| Poll::Ready(work.as_mut().poll(context))).await;
    let outcome = match first {
        Poll::Ready(outcome) => Ok(outcome),
        Poll::Pending => tokio::time::timeout(within, work).await,
    };
    match outcome {
        Ok(Ok(Ok(response))) => response,
        Ok(Ok(Err(never))) => match never {},
        Ok(Err(panic)) => {
            ApiError::internal(format!("the handler panicked: {}", panic_text(&*panic))).into_response()
        }
        Err(_elapsed) => {
            ApiError::unavailable(format!("the handler took longer than {within:?}")).into_response()
        }
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("(no text)")
}
