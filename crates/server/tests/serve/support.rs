//! A server in this process, on a data directory of its own.

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, SystemTime};

use file_storage::Role;
use server::Server;
use server::auth::{NewToken, mint_token};
use server::config::{Config, Flag, Sources};
use server::http::Shutdown;
use server::secrets::Secrets;
use tokio::task::JoinHandle;
use uuid::Uuid;

/// A running server.
pub(crate) struct TestServer {
    pub(crate) address: SocketAddr,
    pub(crate) client: reqwest::Client,
    config: Config,
    shutdown: Shutdown,
    running: JoinHandle<()>,
}

/// The configuration of a data directory, with some keys set.
pub(crate) fn config(data_dir: &Path, settings: &[(&'static str, &str)]) -> Config {
    let data_dir = data_dir.display().to_string();
    let settings =
        [("listen", "127.0.0.1:0"), ("data_dir", &data_dir)].into_iter().chain(settings.iter().copied());
    let flags = settings.map(|(key, value)| Flag { flag: "--test", key, value: value.to_owned() }).collect();
    let sources = Sources { config_file: None, environment: Vec::new(), flags };
    Config::load(&sources).unwrap().config
}

impl TestServer {
    pub(crate) async fn start(data_dir: &Path, settings: &[(&'static str, &str)]) -> Self {
        let config = config(data_dir, settings);
        let server = Server::open(config.clone()).await.unwrap();
        let (address, shutdown) = (server.address(), Shutdown::default());
        let running = tokio::spawn({
            let shutdown = shutdown.clone();
            async move { server.run(&shutdown).await }
        });
        Self { address, client: reqwest::Client::new(), config, shutdown, running }
    }

    /// Asks for a path, with a token if one is given; gives status and body.
    pub(crate) async fn get(&self, path: &str, token: Option<&str>) -> (u16, String) {
        let mut request = self.client.get(format!("http://{}{path}", self.address));
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    /// A token that this server accepts.
    pub(crate) fn token(&self, role: Role) -> String {
        let secrets = Secrets::open(&self.config).unwrap();
        let user = (role == Role::Authenticated).then(|| Uuid::from_u128(7));
        let lifetime = Duration::from_secs(600);
        let token = NewToken { role, user, issued_at: SystemTime::now().into(), lifetime };
        mint_token(secrets.jwt(), &self.config.auth, &token).unwrap()
    }

    /// Tells it that it is to stop soon.
    pub(crate) fn drain(&self) {
        self.shutdown.drain();
    }

    pub(crate) async fn stop(self) {
        self.shutdown.stop();
        self.running.await.unwrap();
    }
}
