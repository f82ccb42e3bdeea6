//! The dashboard: pages for users, beside the API on the same port.
//!
//! Pages are rendered on the server and work without JavaScript. They call the same store functions as the API, with the user
//! as the actor. The session cookie means nothing to the API, and an API key means nothing here.
//!
//! Top layer first; each file imports only from the layers below it:
//!
//! - `app.rs`: the life of a request
//! - `pages.rs`: the list of pages, and `pages/`: one file or folder per page, which declares its routes
//! - `error_page.rs`, `shell.rs`: the frame of a page
//! - `letters.rs`: emails that pages send
//! - `pager.rs`: newer and older pages of a list
//! - `step_up.rs`: asking for the password before an action
//! - `route.rs`, `visit.rs`: what a handler is and what it gets
//! - `shared.rs`: what all requests share
//! - `intent.rs`: forms that are handled once
//! - `call_series.rs`, `reason.rs`: the calls of a range, and why they ended
//! - `chart.rs` and `chart/`: pictures of numbers; `mark.rs`: the mark of a key; `chip.rs`: a state in a word
//! - `visible.rs`: texts from outside
//! - `navigation.rs`, `reply.rs`, `live.rs`, `download.rs`, `page_body.rs`, `problem.rs`, `held.rs`, `drafts.rs`, `kept.rs`, `form.rs`, `time.rs`, `number.rs`,
//!   `icon.rs`, `qr.rs`, `object.rs`, `chain_checks.rs`
//! - `cookie.rs`, `csrf.rs`, `host.rs`, `security_headers.rs`, `assets.rs`, `compression.rs`, `options.rs`

mod app;
mod assets;
mod call_series;
mod chain_checks;
mod chart;
mod chip;
mod compression;
mod cookie;
mod csrf;
mod download;
mod drafts;
mod error_page;
mod form;
mod held;
mod host;
#[expect(
    dead_code,
    reason = "a set of icons that is complete, so that pages can be added without editing it"
)]
mod icon;
mod intent;
mod kept;
mod letters;
mod live;
mod mark;
mod metrics;
mod navigation;
mod number;
mod object;
mod options;
mod page_body;
mod pager;
mod pages;
mod problem;
mod qr;
mod reason;
mod reply;
mod route;
mod security_headers;
mod shared;
mod shell;
mod step_up;
#[cfg(test)]
mod tests;
mod time;
mod user_agent;
mod visible;
mod visit;

pub use app::{Dashboard, SetupError};
pub use options::{DashboardOptions, InvalidPublicUrl, PublicUrl, Services};
pub use page_body::PageBody;
pub use route::RouteConflict;
