//! This host's access to controllers: the certificate that it joined with, renewed in time.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, bail};
use credentials::{Credentials, Line, RequestError, Trust};
use overlay::{
    id::NodeId,
    name::NodeName,
    pause::Pause,
    time::{Span, WallMs},
    trust::{Subject, Token},
};
use tokio::time::sleep;
use tonic::transport::Channel;
use tracing::{info, warn};

use crate::{
    metrics::Certificate,
    session::{SessionError, connect, random},
};

/// Where it is, in the state directory.
pub const FILE: &str = "credentials.json";
/// A clock that is set is noticed by then.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// What the agent's tasks share of it.
#[derive(Debug, Clone)]
pub struct Access {
    file: PathBuf,
    held: Arc<RwLock<Option<Credentials>>>,
}

impl Access {
    /// What this host has from when it joined; it must be of this very node.
    pub fn open(state_dir: &Path, node: &NodeName, id: NodeId) -> anyhow::Result<Self> {
        let file = state_dir.join(FILE);
        let held = Credentials::read(&file)?;
        if let Some(held) = &held
            && held.subject != Subject::Node(node.clone(), id)
        {
            bail!(
                "the certificate in {} is of {}, and this is node {node} ({id}); join again with a token",
                file.display(),
                held.subject
            );
        }
        let held = Arc::new(RwLock::new(held));
        Ok(Self { file, held })
    }

    /// For a host that is about to join.
    pub fn at(state_dir: &Path) -> Self {
        let file = state_dir.join(FILE);
        let held = Arc::default();
        Self { file, held }
    }

    /// Whatever is there, of whichever node, for somebody who only looks.
    pub fn found(state_dir: &Path) -> anyhow::Result<Self> {
        let file = state_dir.join(FILE);
        let held = Arc::new(RwLock::new(Credentials::read(&file)?));
        Ok(Self { file, held })
    }

    /// Joins the fleet by a token, with the first controller that answers.
    pub async fn join(
        &self,
        urls: &[String],
        token: &Token,
        node: &NodeName,
        id: NodeId,
    ) -> anyhow::Result<()> {
        let line = Line::tls(&Trust::Pinned(token.authority))?;
        let mut tried = Vec::new();
        for url in urls {
            match connect(url, &line).await {
                Ok(channel) => {
                    let joined = credentials::join(channel, token, node, id, &self.file).await;
                    let joined =
                        joined.with_context(|| format!("{url} does not let this host join"))?;
                    info!(%node, %id, expires_in = %Span(joined.life()), "joined the fleet");
                    self.hold(joined);
                    return Ok(());
                }
                Err(error) => tried.push(options::sentence(&error)),
            }
        }
        bail!("{}", tried.join("; "))
    }

    pub fn is_there(&self) -> bool {
        self.held().is_some()
    }

    pub fn ends_at(&self) -> Option<WallMs> {
        self.held().map(|held| held.expires_at)
    }

    /// How to speak to the controller at this URL.
    pub fn line(&self, url: &str) -> Result<Line, SessionError> {
        if !url.starts_with("https://") {
            return Ok(Line::plain());
        }
        let held = self.held().ok_or(SessionError::NotJoined)?;
        Line::tls(&Trust::Known(&held)).map_err(|error| SessionError::Unreachable {
            url: url.into(),
            reason: error.to_string(),
        })
    }

    /// Renews the certificate at two thirds of its time, for ever. Nobody's connection is
    /// touched by it: the next one shows the new certificate.
    pub async fn keep(&self, urls: &[String], shown: &Certificate) {
        let mut pause = Pause::default();
        let mut failures: u32 = 0;
        loop {
            let Some(held) = self.held() else {
                return std::future::pending().await;
            };
            shown.show(&held);
            let left = held.renew_at().since(now());
            if !left.is_zero() {
                sleep(left.min(LOOK_EVERY)).await;
                continue;
            }
            match self.renew(urls, &held).await {
                Ok(()) => (pause, failures) = (Pause::default(), 0),
                Err(error) => {
                    failures += 1;
                    if failures.is_power_of_two() {
                        let left = Span(held.expires_at.since(now()));
                        warn!(failures, error = format!("{error:#}"), %left, "cannot renew this host's certificate");
                    }
                    sleep(pause.take(random())).await;
                }
            }
        }
    }

    async fn renew(&self, urls: &[String], held: &Credentials) -> anyhow::Result<()> {
        let mut tried = Vec::new();
        for url in urls.iter().filter(|url| url.starts_with("https://")) {
            match self.asked(url, held).await {
                Ok(renewed) => {
                    renewed.write(&self.file)?;
                    info!(expires_in = %Span(renewed.life()), "renewed this host's certificate");
                    self.hold(renewed);
                    return Ok(());
                }
                Err(error) => tried.push(format!("{url}: {error:#}")),
            }
        }
        bail!("{}", tried.join("; "))
    }

    async fn asked(&self, url: &str, held: &Credentials) -> anyhow::Result<Credentials> {
        let channel: Channel = connect(url, &self.line(url)?).await?;
        let renewed: Result<_, RequestError> = credentials::renew(channel, held).await;
        Ok(renewed?)
    }

    fn held(&self) -> Option<Credentials> {
        self.held
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn hold(&self, credentials: Credentials) {
        let mut held = self.held.write().unwrap_or_else(PoisonError::into_inner);
        *held = Some(credentials);
    }
}

fn now() -> WallMs {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    WallMs(0).after(since.unwrap_or(Duration::ZERO))
}
