//! What a handler answers.

use askama::Template;
use bytes::Bytes;
use http::{HeaderValue, StatusCode};
use telepath_core::export::ExportFormat;
use telepath_core::user::UserToken;
use tokio::sync::mpsc;

use crate::download::{Download, Part, Parts};
use crate::held::HeldForm;
use crate::live::{Feed, Live};
use crate::problem::Problem;

/// The answer of a handler.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) content: Content,
    /// `Set-Cookie` fields.
    pub(crate) cookies: Vec<HeaderValue>,
    /// Whether the page shows a secret: it is neither stored nor compressed, and its address goes to nobody.
    pub(crate) shows_secret: bool,
}

/// The content of an answer.
#[derive(Debug)]
pub(crate) enum Content {
    Page(String),
    /// A path of this origin, or the URL of the identity provider, to go to (303).
    Redirect(String),
    /// A path of this origin that the whole page goes to, for a script that would replace a part of it.
    Leave(String),
    /// A text, when no page can be shown.
    Plain(String),
    /// A file to save.
    File(File),
    /// Server-sent events, for a page that is open.
    Live(Live),
    /// The same once it is open.
    Events(mpsc::Receiver<Bytes>),
    /// A file that is made while it is sent.
    Download(Download),
    /// The same once it has begun.
    Parts {
        disposition: String,
        media_type: &'static str,
        parts: mpsc::Receiver<Part>,
    },
    /// A form that waited until its sender confirmed who they are, to be handled now with the new token of the session.
    Resume {
        form: HeldForm,
        token: UserToken,
    },
}

/// A file that the browser saves and never shows.
#[derive(Debug)]
pub(crate) struct File {
    /// What the browser calls it: letters, digits, dots and hyphens only.
    pub(crate) name: String,
    pub(crate) media_type: &'static str,
    pub(crate) bytes: Bytes,
}

impl Reply {
    /// A page with status 200.
    pub(crate) fn page(template: &impl Template) -> Result<Self, Problem> {
        let html = template.render().map_err(|error| Problem::Failed(error.to_string()))?;
        Ok(Self::of(StatusCode::OK, Content::Page(html)))
    }

    /// Goes to a path of this origin with GET.
    pub(crate) fn see_other(path: impl Into<String>) -> Self {
        Self::of(StatusCode::SEE_OTHER, Content::Redirect(path.into()))
    }

    /// Goes to the identity provider.
    pub(crate) fn elsewhere(url: String) -> Self {
        Self::of(StatusCode::SEE_OTHER, Content::Redirect(url))
    }

    /// Lets the script of a page leave it for another path, because its user is signed out.
    pub(crate) fn leave(path: String) -> Self {
        Self::of(StatusCode::UNAUTHORIZED, Content::Leave(path))
    }

    /// A text, when no page can be shown.
    pub(crate) const fn plain(status: StatusCode, text: String) -> Self {
        Self::of(status, Content::Plain(text))
    }

    /// A file to save.
    pub(crate) const fn file(name: String, media_type: &'static str, bytes: Bytes) -> Self {
        Self::of(StatusCode::OK, Content::File(File { name, media_type, bytes }))
    }

    /// Follows a feed until the session ends or loses the right to it. Only for GET.
    pub(crate) fn live(feed: impl Feed) -> Self {
        Self::of(StatusCode::OK, Content::Live(Live::new(feed)))
    }

    /// Events of a stream that is open.
    pub(crate) fn events(batches: mpsc::Receiver<Bytes>) -> Self {
        Self::of(StatusCode::OK, Content::Events(batches))
    }

    /// An export as a file, which breaks off when the session ends or loses the right to it. `name` is a word of this program.
    pub(crate) fn export(name: &'static str, format: ExportFormat, parts: impl Parts) -> Self {
        Self::of(StatusCode::OK, Content::Download(Download::export(name, format, parts)))
    }

    /// A file that has begun.
    pub(crate) fn parts(disposition: String, media_type: &'static str, parts: mpsc::Receiver<Part>) -> Self {
        Self::of(StatusCode::OK, Content::Parts { disposition, media_type, parts })
    }

    /// Handles a form that waited for a confirmation.
    pub(crate) fn resume(form: HeldForm, token: UserToken) -> Self {
        Self::of(StatusCode::OK, Content::Resume { form, token })
    }

    const fn of(status: StatusCode, content: Content) -> Self {
        Self { status, content, cookies: Vec::new(), shows_secret: false }
    }

    /// The same with another status.
    pub(crate) fn status(self, status: StatusCode) -> Self {
        Self { status, ..self }
    }

    /// The same with a cookie.
    pub(crate) fn cookie(mut self, cookie: Option<HeaderValue>) -> Self {
        self.cookies.extend(cookie);
        self
    }

    /// The same for a page that shows a secret.
    pub(crate) fn secret(self) -> Self {
        Self { shows_secret: true, ..self }
    }
}
