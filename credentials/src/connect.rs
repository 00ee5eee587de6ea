//! A line to a controller that is who it says.

use std::{io, sync::Arc};

use hyper_util::rt::TokioIo;
use overlay::trust::subject::CONTROLLER;
use rustls::{
    AlertDescription, CertificateError, ClientConfig, RootCertStore, SupportedProtocolVersion,
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
    version::TLS13,
};
use thiserror::Error;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tonic::transport::{Channel, Endpoint, Error, Uri};
use tower::service_fn;

use crate::{Credentials, pin::Pin};

const VERSIONS: &[&SupportedProtocolVersion] = &[&TLS13];
const HTTP2: &[u8] = b"h2";

/// Whom to believe at the other end.
#[derive(Debug, Clone)]
pub enum Trust<'a> {
    /// The authority with this SHA-256, as a token says it.
    Pinned([u8; 32]),
    /// The authority of one's own certificate, to which that is shown.
    Known(&'a Credentials),
}

#[derive(Debug, Error)]
pub enum TlsError {
    #[error("its key or certificates cannot be read: {0}")]
    Unreadable(String),
    #[error(
        "what answers there has no certificate of this fleet's authority: another fleet's controller, or somebody in between"
    )]
    OtherAuthority,
    #[error(
        "its certificate is not within its time by this host's clock: do the clocks agree? ({0})"
    )]
    Clock(String),
    #[error("it speaks no TLS there: say http:// if it is to be plain text")]
    PlainText,
    #[error(
        "it does not believe this host's certificate: that is of another fleet; join with a token"
    )]
    NotBelieved,
    #[error("{0}")]
    Io(String),
}

/// How to speak to controllers: plain, or by TLS.
#[derive(Debug, Clone)]
pub struct Line(Option<Arc<ClientConfig>>);

impl Line {
    pub fn plain() -> Self {
        Self(None)
    }

    pub fn tls(trust: &Trust<'_>) -> Result<Self, TlsError> {
        let provider = Arc::new(ring::default_provider());
        let mut config = match trust {
            Trust::Pinned(authority) => {
                let pin = Arc::new(Pin::new(*authority, provider.clone()));
                builder(provider)?
                    .dangerous()
                    .with_custom_certificate_verifier(pin)
                    .with_no_client_auth()
            }
            Trust::Known(credentials) => {
                let mut roots = RootCertStore::empty();
                roots
                    .add(certificate(&credentials.authority)?)
                    .map_err(unreadable)?;
                let key = PrivateKeyDer::from_pem_slice(credentials.key.as_bytes());
                builder(provider)?
                    .with_root_certificates(roots)
                    .with_client_auth_cert(
                        vec![certificate(&credentials.certificate)?],
                        key.map_err(unreadable)?,
                    )
                    .map_err(unreadable)?
            }
        };
        config.alpn_protocols = vec![HTTP2.to_vec()];
        Ok(Self(Some(Arc::new(config))))
    }

    /// Connects to a URL whose scheme is `http`, whatever is spoken there.
    pub async fn connect(&self, endpoint: &Endpoint) -> Result<Channel, Error> {
        let Some(config) = self.0.clone() else {
            return endpoint.connect().await;
        };
        let connector = service_fn(move |uri: Uri| {
            let connector = TlsConnector::from(config.clone());
            async move {
                let host = uri.host().unwrap_or_default();
                let host = host.trim_start_matches('[').trim_end_matches(']');
                let tcp = TcpStream::connect((host, uri.port_u16().unwrap_or_default())).await?;
                // Small messages that somebody waits for; without it they are only slower.
                let _ = tcp.set_nodelay(true);
                let name = ServerName::try_from(CONTROLLER).map_err(io::Error::other)?;
                let tls = connector.connect(name, tcp).await.map_err(explained)?;
                Ok::<_, io::Error>(TokioIo::new(tls))
            }
        });
        endpoint.connect_with_connector(connector).await
    }
}

fn builder(
    provider: Arc<CryptoProvider>,
) -> Result<rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier>, TlsError> {
    ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(VERSIONS)
        .map_err(unreadable)
}

fn certificate(pem: &str) -> Result<CertificateDer<'static>, TlsError> {
    CertificateDer::from_pem_slice(pem.as_bytes()).map_err(unreadable)
}

#[expect(clippy::needless_pass_by_value, reason = "as map_err gives it")]
fn unreadable(error: impl ToString) -> TlsError {
    TlsError::Unreadable(error.to_string())
}

/// What a person can do about it, where that is known.
fn explained(error: io::Error) -> io::Error {
    let of_tls = error
        .get_ref()
        .and_then(|of| of.downcast_ref::<rustls::Error>());
    let Some(of_tls) = of_tls else {
        return error;
    };
    io::Error::other(explain(of_tls))
}

pub(crate) fn explain(error: &rustls::Error) -> TlsError {
    use rustls::Error::{AlertReceived, InvalidCertificate, InvalidMessage};
    match error {
        InvalidCertificate(
            CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. },
        ) => TlsError::Clock(error.to_string()),
        InvalidCertificate(_) => TlsError::OtherAuthority,
        InvalidMessage(_) => TlsError::PlainText,
        AlertReceived(
            AlertDescription::UnknownCA
            | AlertDescription::BadCertificate
            | AlertDescription::DecryptError
            | AlertDescription::CertificateUnknown,
        ) => TlsError::NotBelieved,
        other => TlsError::Io(other.to_string()),
    }
}
