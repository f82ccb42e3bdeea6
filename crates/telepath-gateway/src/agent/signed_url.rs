//! The request for a signed URL: one GET over HTTP/1.1 through telepath-egress, with a bounded response. Redirects are not
//! followed, so the key goes to no other host.

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use telepath_core::secret::SecretText;
use telepath_core::trunk::AgentUrl;
use telepath_egress::{Egress, Security};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::tungstenite::http::header::{ACCEPT, CONNECTION, HOST, USER_AGENT};
use tokio_tungstenite::tungstenite::http::{HeaderName, HeaderValue, Request, Uri};

use super::connect_error::{ConnectError, Step};

/// Maximum length of a response, in bytes. Signed URLs have a few hundred.
const MAX_RESPONSE: usize = 16 * 1024;

#[derive(Deserialize)]
struct Response {
    signed_url: SecretText,
}

/// Requests the signed URL. `url` has the scheme of a WebSocket; `wss` stands for HTTPS.
pub(super) async fn signed_url(
    url: &SecretText,
    headers: &[(HeaderName, SecretText)],
    egress: &Egress,
) -> Result<SecretText, ConnectError> {
    let uri: Uri = url.expose().parse().map_err(|_| ConnectError::Url)?;
    let host = uri.host().ok_or(ConnectError::Url)?.trim_matches(['[', ']']);
    let request = request(&uri, headers)?;
    let body = if uri.scheme_str() == Some("wss") {
        let stream = egress.dial_tls(host, uri.port_u16().unwrap_or(443), None).await?;
        exchange(stream, request).await?
    } else {
        let stream = egress.dial(host, uri.port_u16().unwrap_or(80), Security::Plain).await?;
        exchange(stream, request).await?
    };
    let broken = || ConnectError::SignedUrl("the response is not as documented".to_owned());
    let Response { signed_url } = serde_json::from_slice(&body).map_err(|_| broken())?;
    // The provider's word is checked like any other URL.
    AgentUrl::try_from(signed_url.expose().to_owned()).map_err(|_| broken())?;
    Ok(signed_url)
}

fn request(uri: &Uri, headers: &[(HeaderName, SecretText)]) -> Result<Request<Empty<Bytes>>, ConnectError> {
    let target = uri.path_and_query().map_or("/", |target| target.as_str());
    let mut request = Request::get(target).body(Empty::new()).map_err(|_| ConnectError::Url)?;
    let authority = uri.authority().ok_or(ConnectError::Url)?;
    let sent = request.headers_mut();
    sent.insert(HOST, HeaderValue::try_from(authority.as_str()).map_err(|_| ConnectError::Url)?);
    sent.insert(ACCEPT, HeaderValue::from_static("application/json"));
    sent.insert(CONNECTION, HeaderValue::from_static("close"));
    sent.insert(USER_AGENT, HeaderValue::from_static(concat!("Telepath/", env!("CARGO_PKG_VERSION"))));
    for (name, value) in headers {
        let mut value = HeaderValue::try_from(value.expose()).map_err(|_| ConnectError::Header)?;
        value.set_sensitive(true);
        sent.insert(name, value);
    }
    Ok(request)
}

async fn exchange<S>(stream: S, request: Request<Empty<Bytes>>) -> Result<Bytes, ConnectError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let failed = |error: hyper::Error| ConnectError::SignedUrl(error.to_string());
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(failed)?;
    let answer = async move {
        let response = sender.send_request(request).await.map_err(failed)?;
        if !response.status().is_success() {
            return Err(ConnectError::Http { step: Step::SignedUrl, status: response.status().as_u16() });
        }
        let body = Limited::new(response.into_body(), MAX_RESPONSE).collect().await;
        let broken = |_| ConnectError::SignedUrl("the response is broken or too long".to_owned());
        Ok(body.map_err(broken)?.to_bytes())
    };
    tokio::pin!(connection, answer);
    tokio::select! {
        biased;
        answer = &mut answer => return answer,
        // A server that closes the connection after its response ends this first; the response is then complete.
        _ = &mut connection => {}
    }
    answer.await
}

#[cfg(test)]
mod tests {
    use telepath_egress::AllowList;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    const SIGNED: &str = "wss://agent.example/v1/convai/conversation?agent_id=a&conversation_signature=s";

    /// The result of a request to a server that answers with this text, and what the server read.
    async fn ask(response: String) -> (Result<SecretText, ConnectError>, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut read = Vec::new();
            while !read.ends_with(b"\r\n\r\n") {
                read.push(stream.read_u8().await.unwrap());
            }
            // The client does not read a response that is too long to its end.
            let _ = stream.write_all(response.as_bytes()).await;
            String::from_utf8(read).unwrap()
        });
        let egress = Egress::new(AllowList::default().and_service("127.0.0.1", port));
        let url = SecretText::new(format!("ws://127.0.0.1:{port}/get-signed-url?agent_id=a"));
        let headers = [(HeaderName::from_static("xi-api-key"), SecretText::new("xi-secret".to_owned()))];
        let result = signed_url(&url, &headers, &egress).await;
        (result, server.await.unwrap())
    }

    fn ok(body: &str) -> String {
        format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len())
    }

    #[tokio::test]
    async fn the_signed_url_is_requested_with_the_key_in_a_header() {
        let (url, read) = ask(ok(&format!(r#"{{"signed_url":"{SIGNED}","more":1}}"#))).await;
        assert_eq!(url.unwrap().expose(), SIGNED);
        assert!(read.starts_with("GET /get-signed-url?agent_id=a HTTP/1.1\r\n"), "{read}");
        assert!(read.contains("xi-api-key: xi-secret\r\n") && read.contains("host: 127.0.0.1:"), "{read}");
    }

    #[tokio::test]
    async fn refusals_and_malformed_responses_are_errors_without_secrets() {
        let long = format!(r#"{{"signed_url":"wss://a.example/{}"}}"#, "x".repeat(MAX_RESPONSE));
        for (response, expected) in [
            ("HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n".to_owned(), "HTTP 401"),
            (
                "HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n".to_owned(),
                "HTTP 302",
            ),
            (ok("not json"), "not as documented"),
            (ok(r#"{"signed_url":"http://agent.example/"}"#), "not as documented"),
            (ok(r#"{"signed_url":7}"#), "not as documented"),
            (ok(&long), "too long"),
            ("HTTP/1.1 200 OK\r\ncontent-length: 900\r\n\r\n{".to_owned(), "broken"),
            (String::new(), "signed URL"),
        ] {
            let (result, _) = ask(response.clone()).await;
            let error = result.unwrap_err().to_string();
            assert!(error.contains(expected), "{response}: {error}");
            assert!(!error.contains("xi-secret") && !error.contains("127.0.0.1"), "{error}");
        }
    }
}
