//! Style sheet, script, fonts and icon: part of the program, named after a hash of their content, compressed once.

use std::fmt::Write as _;

use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, VARY};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use http_body_util::Full;
use sha2::{Digest as _, Sha256};

use crate::compression::{accepts_gzip, gzip};

/// The folder of all assets.
pub(crate) const PREFIX: &str = "/assets/";

const STYLES: &[&str] = &[
    include_str!("../assets/tokens.css"),
    include_str!("../assets/base.css"),
    include_str!("../assets/components.css"),
    include_str!("../assets/forms.css"),
    include_str!("../assets/charts.css"),
    include_str!("../assets/logs.css"),
    include_str!("../assets/team.css"),
    include_str!("../assets/overview.css"),
    include_str!("../assets/keys.css"),
    include_str!("../assets/voice.css"),
    include_str!("../assets/webhooks.css"),
];
/// Libraries first; `hx-csp` before the extension whose elements it checks.
const SCRIPTS: [&str; 6] = [
    include_str!("../assets/htmx/htmx.min.js"),
    include_str!("../assets/htmx/hx-csp.min.js"),
    include_str!("../assets/htmx/hx-sse.min.js"),
    include_str!("../assets/app.js"),
    include_str!("../assets/session.js"),
    include_str!("../assets/shortcuts.js"),
];
const ICON: &str = include_str!("../assets/icon.svg");
const INTER: &[u8] = include_bytes!("../assets/fonts/inter.woff2");
const MONO: &[u8] = include_bytes!("../assets/fonts/jetbrains-mono.woff2");

/// A file.
#[derive(Debug)]
struct Asset {
    path: String,
    kind: &'static str,
    plain: Bytes,
    /// `None` for formats that are compressed already.
    gzipped: Option<Bytes>,
}

impl Asset {
    fn new(name: &str, extension: &str, kind: &'static str, content: Bytes, compress: bool) -> Self {
        let digest = Sha256::digest(&content);
        let hash = digest.iter().take(8).fold(String::new(), |mut hash, byte| {
            // Writing to a string does not fail.
            let _ = write!(hash, "{byte:02x}");
            hash
        });
        let gzipped = compress.then(|| gzip(&content).map(Bytes::from)).flatten();
        Self { path: format!("{PREFIX}{name}.{hash}.{extension}"), kind, plain: content, gzipped }
    }
}

/// All files.
#[derive(Debug)]
pub(crate) struct Assets {
    style: Asset,
    script: Asset,
    icon: Asset,
    inter: Asset,
    mono: Asset,
}

impl Assets {
    pub(crate) fn new() -> Self {
        let inter = Asset::new("inter", "woff2", "font/woff2", Bytes::from_static(INTER), false);
        let mono = Asset::new("mono", "woff2", "font/woff2", Bytes::from_static(MONO), false);
        let css = STYLES.concat().replace("INTER_PATH", &inter.path).replace("MONO_PATH", &mono.path);
        Self {
            style: Asset::new("app", "css", "text/css; charset=utf-8", css.into(), true),
            script: Asset::new(
                "app",
                "js",
                "text/javascript; charset=utf-8",
                SCRIPTS.join("\n").into(),
                true,
            ),
            icon: Asset::new("icon", "svg", "image/svg+xml", ICON.into(), true),
            inter,
            mono,
        }
    }

    pub(crate) fn style(&self) -> &str {
        &self.style.path
    }

    pub(crate) fn script(&self) -> &str {
        &self.script.path
    }

    pub(crate) fn icon(&self) -> &str {
        &self.icon.path
    }

    pub(crate) fn font(&self) -> &str {
        &self.inter.path
    }

    /// The response for a path; `None` if it names no asset of this version.
    pub(crate) fn serve(&self, path: &str, headers: &HeaderMap) -> Option<Response<Full<Bytes>>> {
        let all = [&self.style, &self.script, &self.icon, &self.inter, &self.mono];
        let asset = all.into_iter().find(|asset| asset.path == path)?;
        let gzipped =
            asset.gzipped.as_ref().filter(|_| accepts_gzip(headers.get_all(ACCEPT_ENCODING).iter()));
        let mut response = Response::new(Full::new(gzipped.unwrap_or(&asset.plain).clone()));
        *response.status_mut() = StatusCode::OK;
        let fields = response.headers_mut();
        fields.insert(CONTENT_TYPE, HeaderValue::from_static(asset.kind));
        fields.insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=31536000, immutable"));
        if asset.gzipped.is_some() {
            fields.insert(VARY, HeaderValue::from_static("accept-encoding"));
        }
        if gzipped.is_some() {
            fields.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        Some(response)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use http_body_util::BodyExt as _;

    use super::*;

    /// The most bytes of all scripts, compressed.
    const SCRIPT_BYTES: usize = 25 * 1024;
    /// The most bytes of the style sheet, compressed.
    const STYLE_BYTES: usize = 10 * 1024;

    fn body(response: Response<Full<Bytes>>) -> Bytes {
        let collect = std::pin::pin!(response.into_body().collect());
        futures_util::FutureExt::now_or_never(collect).unwrap().unwrap().to_bytes()
    }

    #[test]
    fn assets_are_immutable_and_found_by_their_hashed_name_only() {
        let assets = Assets::new();
        let response = assets.serve(assets.style(), &HeaderMap::new()).unwrap();
        assert_eq!(response.headers()[CACHE_CONTROL], "public, max-age=31536000, immutable");
        assert_eq!(response.headers()[CONTENT_TYPE], "text/css; charset=utf-8");
        for gone in
            ["/assets/app.css", "/assets/", "/assets/app.0000000000000000.css", "/assets/../Cargo.toml"]
        {
            assert!(assets.serve(gone, &HeaderMap::new()).is_none(), "{gone}");
        }
    }

    #[test]
    fn texts_are_compressed_and_fonts_are_not() {
        let assets = Assets::new();
        let headers = HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_static("gzip, br"))]);
        let response = assets.serve(assets.script(), &headers).unwrap();
        assert_eq!(response.headers()[CONTENT_ENCODING], "gzip");
        let mut text = String::new();
        flate2::read::GzDecoder::new(&body(response)[..]).read_to_string(&mut text).unwrap();
        assert!(SCRIPTS.iter().all(|script| text.contains(script)));
        let font = assets.serve(assets.font(), &headers).unwrap();
        assert!(!font.headers().contains_key(CONTENT_ENCODING));
        assert_eq!(body(font), INTER);
    }

    #[test]
    fn scripts_and_styles_stay_within_their_budgets() {
        let assets = Assets::new();
        let size = |asset: &Asset| asset.gzipped.as_ref().unwrap().len();
        assert!(size(&assets.script) <= SCRIPT_BYTES, "{}", size(&assets.script));
        assert!(size(&assets.style) <= STYLE_BYTES, "{}", size(&assets.style));
    }

    #[test]
    fn the_style_sheet_names_the_fonts_as_they_are_served() {
        let assets = Assets::new();
        let text = String::from_utf8(assets.style.plain.to_vec()).unwrap();
        assert!(text.contains(&format!("url(\"{}\")", assets.inter.path)));
        assert!(text.contains(&format!("url(\"{}\")", assets.mono.path)));
        assert!(!text.contains("_PATH"));
    }
}
