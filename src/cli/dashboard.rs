//! The dashboard of an engine: the embedded engine's own page, or that of Hatchet.
//!
//! People sign in to Hatchet's dashboard with their accounts. The embedded engine's page needs the client token, which
//! its link contains in the fragment. A browser sends the fragment to no server, so the token is in no log. The token
//! must also not be in the arguments of a process, which other users of the machine can read: a browser is therefore
//! started with a private file that redirects to the link.

use std::path::Path;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::Value;

use super::browser;
use crate::hatchet::{
    client::{ClientConfig, Token},
    system::{OsError, private_file},
    wire::{RunId, TenantId},
};

/// The algorithm by which an embedded engine signs its tokens. A real Hatchet signs with a key pair.
const EMBEDDED_ALGORITHM: &str = "HS256";

/// The file in the engine's folder that redirects to the link. It stays after the browser has opened it, since the end of
/// the reading is not known. Each start of a browser writes it again.
pub(super) const REDIRECT_FILE: &str = "open.html";

const ADVICE: &str = "Open the link in a browser";

/// The dashboard of an engine.
#[derive(Debug)]
pub(super) struct Dashboard {
    /// Base URL of the REST API, which serves the dashboard, too.
    url: String,
    tenant: TenantId,
    /// The token that the dashboard needs; `None` for Hatchet's.
    token: Option<Token>,
}

impl Dashboard {
    /// The dashboard of the engine of these settings. `None` if they have no REST address.
    pub(super) fn of(config: &ClientConfig) -> Option<Self> {
        let is_embedded = algorithm(config.token.expose()).as_deref() == Some(EMBEDDED_ALGORITHM);
        Some(Self {
            url: config.server_url.clone()?,
            tenant: config.tenant,
            token: is_embedded.then(|| config.token.clone()),
        })
    }

    /// Whether [`link`](Self::link) contains the token.
    pub(super) fn has_secret_link(&self) -> bool {
        self.token.is_some()
    }

    /// The address without a secret.
    pub(super) fn address(&self) -> String {
        let Self { url, tenant, token } = self;
        if token.is_some() { format!("{url}/") } else { format!("{url}/tenants/{tenant}") }
    }

    /// The address at which the user is signed in, or can sign in with an account.
    pub(super) fn link(&self) -> String {
        match &self.token {
            Some(token) => format!("{}#token={}", self.address(), token.expose()),
            None => self.address(),
        }
    }

    /// The address of a run on Hatchet's dashboard. `None` for an embedded engine, whose dashboard would ask for the
    /// token.
    pub(super) fn run_address(&self, run: RunId) -> Option<String> {
        let hatchet = Some(self).filter(|dashboard| dashboard.token.is_none())?;
        Some(format!("{}/runs/{run}", hatchet.address()))
    }

    /// Opens the link in the user's browser. `folder` is that of an embedded engine.
    ///
    /// # Errors
    ///
    /// Returns the reason, and what to do.
    pub(super) async fn open(&self, folder: Option<&Path>) -> Result<(), String> {
        if !self.has_secret_link() {
            return browser::open(self.link(), ADVICE).await;
        }
        let Some(folder) = folder else {
            return Err(format!(
                "other users could read the token in the arguments of the browser, and the folder of the engine is not \
                 known. {ADVICE}, or use --embedded"
            ));
        };
        let (file, draft) =
            (folder.join(REDIRECT_FILE), folder.join(format!("{REDIRECT_FILE}.{}", std::process::id())));
        private_file::replace(&file, &draft, &redirect(&self.link()))
            .map_err(|e| format!("writing {} failed: {}. {ADVICE}", file.display(), OsError(&e)))?;
        browser::open(&file, ADVICE).await
    }
}

/// The algorithm in the header of a token. `None` for a text that is no JWT.
fn algorithm(token: &str) -> Option<String> {
    let header = URL_SAFE_NO_PAD.decode(token.split('.').next()?).ok()?;
    let header: Value = serde_json::from_slice(&header).ok()?;
    header["alg"].as_str().map(str::to_owned)
}

/// A page that redirects to a link.
fn redirect(link: &str) -> String {
    let link = link.replace('&', "&amp;").replace('"', "&quot;").replace('<', "&lt;");
    format!(
        "<!doctype html>\n<meta charset=\"utf-8\">\n<meta name=\"referrer\" content=\"no-referrer\">\n\
         <meta http-equiv=\"refresh\" content=\"0; url={link}\">\n<title>Dashboard</title>\n\
         <p><a href=\"{link}\">Open the dashboard</a></p>\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hatchet::client::Sources;

    fn dashboard(header: &str, url: &str) -> Dashboard {
        let claims = r#"{"sub":"707d0855-80ab-4e1f-a156-f1c4546cbf52","grpc_broadcast_address":"h:1"}"#;
        let token = [header, claims, "signature"].map(|part| URL_SAFE_NO_PAD.encode(part)).join(".");
        let pairs = [("HATCHET_CLIENT_TOKEN", token.as_str()), ("HATCHET_CLIENT_SERVER_URL", url)];
        Dashboard::of(&ClientConfig::from_sources(&Sources::from_pairs(pairs)).unwrap()).unwrap()
    }

    #[test]
    fn link_of_hatchet_contains_no_token() {
        let dashboard = dashboard(r#"{"alg":"ES256","kid":"a"}"#, "https://hatchet.example/base/");
        let address = "https://hatchet.example/base/tenants/707d0855-80ab-4e1f-a156-f1c4546cbf52";
        assert_eq!((dashboard.address().as_str(), dashboard.link().as_str()), (address, address));
        let run: RunId = "01234567-89ab-cdef-0123-456789abcdef".parse().unwrap();
        assert_eq!(dashboard.run_address(run), Some(format!("{address}/runs/{run}")));
    }

    #[test]
    fn link_of_embedded_engine_has_the_token_in_its_fragment() {
        let dashboard = dashboard(r#"{"alg":"HS256","typ":"JWT"}"#, "http://127.0.0.1:8080");
        assert_eq!(dashboard.address(), "http://127.0.0.1:8080/");
        let (address, token) =
            dashboard.link().split_once("#token=").map(|(a, t)| (a.to_owned(), t.to_owned())).unwrap();
        assert!(address == dashboard.address() && token.starts_with("ey") && token.matches('.').count() == 2);
        assert!(dashboard.run_address("01234567-89ab-cdef-0123-456789abcdef".parse().unwrap()).is_none());
        assert!(!format!("{dashboard:?}").contains(&token));
    }

    #[cfg(feature = "engine")]
    #[tokio::test]
    async fn token_of_an_embedded_engine_is_recognized() {
        let engine = crate::engine::Engine::start(crate::engine::EngineOptions::default()).await.unwrap();
        let config = ClientConfig::from_handshake(engine.handshake(), &Sources::default()).unwrap();
        assert!(Dashboard::of(&config).unwrap().has_secret_link());
        engine.stop().await;
    }

    #[test]
    fn redirect_escapes_the_link() {
        let page = redirect("http://h/?a=\"<&#token=t");
        assert!(page.contains(r#"url=http://h/?a=&quot;&lt;&amp;#token=t""#), "{page}");
    }
}
