//! Reads a form within bounds of size and time.

use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use http_body::Body;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use telepath_http::BoxError;
use zeroize::Zeroizing;

use crate::form::{FORM_BYTES, Fields};
use crate::problem::Problem;

/// How long a form may take to arrive.
const ARRIVES_WITHIN: Duration = Duration::from_secs(10);

/// Reads the form in the body of a request.
pub(super) async fn form<B>(headers: &HeaderMap, body: B) -> Result<Fields, Problem>
where
    B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    if !kind.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        return Err(Problem::Malformed("A form is sent as application/x-www-form-urlencoded."));
    }
    let read = Limited::new(body, FORM_BYTES).collect();
    let bytes = match tokio::time::timeout(ARRIVES_WITHIN, read).await {
        Ok(Ok(collected)) => collected.to_bytes(),
        Ok(Err(error)) if error.is::<LengthLimitError>() => return Err(Problem::TooLarge),
        Ok(Err(_)) => return Err(Problem::Malformed("The form did not arrive completely.")),
        Err(_) => return Err(Problem::Malformed("The form did not arrive in time.")),
    };
    // A form may hold a password.
    let text = Zeroizing::new(String::from_utf8_lossy(&bytes).into_owned());
    Ok(Fields::parse(&text))
}
