//! One endpoint at a time: made when it is needed, left when it fails, and the next
//! one is tried.
//!
//! The client could balance over all endpoints itself, but then every call meets the
//! dead one by chance; here an endpoint has to answer a read first.

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use etcd_client::{Certificate, Client, ConnectOptions, Error, Identity, TlsOptions};
use thiserror::Error;
use tokio::time::{Instant, timeout, timeout_at};
use tonic::transport::Uri;

use super::{EtcdOptions, EtcdTls, error};
use crate::store::StoreError;

/// Every call is answered within this, connecting included.
pub const CALL: Duration = Duration::from_secs(3);

/// How long one endpoint may take to answer a first read.
const PROBE: Duration = Duration::from_secs(1);

/// A server that answers no ping for this long after this long is gone.
const PING: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(2));

#[derive(Debug, Error)]
pub enum ConnectError {
    #[error("etcd needs at least one endpoint")]
    NoEndpoint,
    #[error("etcd endpoint {endpoint:?} is not a URL like http://10.0.0.1:2379")]
    NotAUrl { endpoint: String },
    #[error("etcd endpoint {endpoint:?} is plain http, but certificates are given")]
    NotTls { endpoint: String },
    #[error("etcd endpoint {endpoint:?} is https, but no CA certificate is given")]
    NoCa { endpoint: String },
    #[error("cannot read {} for etcd", path.display())]
    Pem {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

pub struct Connection {
    options: EtcdOptions,
    /// What a fresh endpoint is asked for.
    probe: String,
    current: Mutex<Current>,
    /// Held while connecting, so that those who wait share the outcome.
    connecting: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Current {
    link: Option<Link>,
    /// The endpoint to try next.
    next: usize,
    made: u64,
}

#[derive(Clone)]
struct Link {
    client: Client,
    number: u64,
}

impl Connection {
    pub fn new(mut options: EtcdOptions, probe: &str) -> Result<Self, ConnectError> {
        if options.endpoints.is_empty() {
            return Err(ConnectError::NoEndpoint);
        }
        for endpoint in &mut options.endpoints {
            *endpoint = url(endpoint, options.tls.is_some())?;
        }
        if let Some(files) = &options.tls {
            tls(files)?;
        }
        Ok(Self {
            options,
            probe: probe.to_owned(),
            current: Mutex::default(),
            connecting: tokio::sync::Mutex::default(),
        })
    }

    pub fn endpoints(&self) -> &[String] {
        &self.options.endpoints
    }

    /// One call, never repeated: whether a failed one was applied is not known here.
    pub async fn call<T>(
        &self,
        what: &'static str,
        call: impl AsyncFnOnce(Client) -> Result<T, Error>,
    ) -> Result<T, StoreError> {
        let unavailable = |reason: String| StoreError::Unavailable { what, reason };
        let late = |_| unavailable(format!("no answer within {CALL:?}"));
        let deadline = Instant::now() + CALL;
        let link = timeout_at(deadline, self.link())
            .await
            .map_err(late)?
            .map_err(unavailable)?;
        let number = link.number;
        let failure = match timeout_at(deadline, call(link.client)).await {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(error)) => match error::refusal(&error) {
                Some(reason) => return Err(StoreError::Refused { what, reason }),
                None => unavailable(error::reason(&error)),
            },
            Err(elapsed) => late(elapsed),
        };
        self.leave(number);
        Err(failure)
    }

    async fn link(&self) -> Result<Link, String> {
        if let Some(link) = &self.current().link {
            return Ok(link.clone());
        }
        let _one_at_a_time = self.connecting.lock().await;
        if let Some(link) = &self.current().link {
            return Ok(link.clone());
        }
        self.connect().await
    }

    /// The first endpoint that answers. Cancelled by a deadline it goes on with the
    /// next endpoint the next time.
    async fn connect(&self) -> Result<Link, String> {
        let mut reasons = Vec::new();
        for _ in &self.options.endpoints {
            let endpoint = self.next_endpoint();
            let attempt = timeout(PROBE, self.try_endpoint(endpoint)).await;
            let reason = match attempt {
                Ok(Ok(client)) => return Ok(self.enter(client)),
                Ok(Err(reason)) => reason,
                Err(_) => format!("no answer within {PROBE:?}"),
            };
            reasons.push(format!("{endpoint}: {reason}"));
        }
        Err(reasons.join("; "))
    }

    /// A linearizable read: an endpoint that lost its quorum does not count.
    async fn try_endpoint(&self, endpoint: &str) -> Result<Client, String> {
        let mut options = ConnectOptions::new()
            .with_connect_timeout(PROBE)
            .with_keep_alive(PING.0, PING.1)
            .with_keep_alive_while_idle(true)
            // Else a watch on a member without its leader would stay silent.
            .with_require_leader(true)
            .with_auto_token_refresh(true);
        if let Some((name, password)) = &self.options.user {
            options = options.with_user(name, password);
        }
        if let Some(files) = &self.options.tls {
            options = options.with_tls(tls(files).map_err(|error| error.to_string())?);
        }
        let probed = async {
            let client = Client::connect([endpoint], Some(options)).await?;
            client.kv_client().get(self.probe.as_str(), None).await?;
            Ok(client)
        };
        probed.await.map_err(|error| error::reason(&error))
    }

    fn next_endpoint(&self) -> &str {
        let mut current = self.current();
        let index = current.next % self.options.endpoints.len();
        current.next = index + 1;
        &self.options.endpoints[index]
    }

    fn enter(&self, client: Client) -> Link {
        let mut current = self.current();
        current.made += 1;
        let number = current.made;
        let link = Link { client, number };
        current.link = Some(link.clone());
        link
    }

    /// Unless somebody else already did.
    fn leave(&self, number: u64) {
        let mut current = self.current();
        if current
            .link
            .as_ref()
            .is_some_and(|link| link.number == number)
        {
            current.link = None;
        }
    }

    fn current(&self) -> MutexGuard<'_, Current> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("endpoints", &self.options.endpoints)
            .finish_non_exhaustive()
    }
}

/// With a scheme, and with the one that goes with the certificates.
fn url(endpoint: &str, tls: bool) -> Result<String, ConnectError> {
    let endpoint = endpoint.trim().to_owned();
    let full = match (endpoint.contains("://"), tls) {
        (true, _) => endpoint.clone(),
        (false, true) => format!("https://{endpoint}"),
        (false, false) => format!("http://{endpoint}"),
    };
    let parsed: Option<Uri> = full.parse().ok();
    let uri = parsed.filter(|uri| uri.host().is_some_and(|host| !host.is_empty()));
    match (uri.as_ref().and_then(Uri::scheme_str), tls) {
        (Some("http"), false) | (Some("https"), true) => Ok(full),
        (Some("http"), true) => Err(ConnectError::NotTls { endpoint }),
        (Some("https"), false) => Err(ConnectError::NoCa { endpoint }),
        _ => Err(ConnectError::NotAUrl { endpoint }),
    }
}

fn tls(files: &EtcdTls) -> Result<TlsOptions, ConnectError> {
    let mut options = TlsOptions::new().ca_certificate(Certificate::from_pem(pem(&files.ca)?));
    if let Some(identity) = &files.identity {
        let cert = pem(&identity.cert)?;
        options = options.identity(Identity::from_pem(cert, pem(&identity.key)?));
    }
    Ok(options)
}

fn pem(path: &Path) -> Result<Vec<u8>, ConnectError> {
    fs::read(path).map_err(|source| ConnectError::Pem {
        path: path.to_owned(),
        source,
    })
}
