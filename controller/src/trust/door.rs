//! What this controller shows of itself in a handshake, and what it asks for.

use std::{net::IpAddr, sync::Arc, time::Duration};

use rustls::{
    DigitallySignedStruct, DistinguishedName, Error, RootCertStore, ServerConfig, SignatureScheme,
    client::danger::HandshakeSignatureValid,
    crypto::ring::default_provider,
    pki_types::{CertificateDer, UnixTime},
    server::{
        WebPkiClientVerifier,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
    version::TLS13,
};
use tokio::{net::TcpStream, sync::watch, time::sleep};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tracing::error;

use super::{
    authority::{Authority, AuthorityError},
    identity::{Certified, Identity},
};
use crate::{clock::Clock, keeper::Keeper};

/// A controller's own certificate, and how often it makes another.
const LIFE: Duration = Duration::from_secs(30 * 86_400);
const RENEW_EVERY: Duration = Duration::from_secs(10 * 86_400);
/// The first byte of a handshake.
const HANDSHAKE: u8 = 0x16;

/// The door that connections come through.
#[derive(Clone)]
pub enum Door {
    /// Plain text alone.
    Plain,
    /// TLS, as soon as it is known how; and plain text as well, if that was said.
    Tls {
        config: watch::Receiver<Option<Arc<ServerConfig>>>,
        plain: bool,
    },
}

/// A connection that came through.
pub enum Passed {
    Plain(TcpStream, Identity),
    Tls(Box<TlsStream<TcpStream>>, Identity),
}

impl Door {
    /// Lets one through, however long it takes: the caller bounds it.
    pub async fn pass(&mut self, stream: TcpStream) -> std::io::Result<Passed> {
        let Self::Tls { config, plain } = self else {
            return Ok(Passed::Plain(stream, Identity::Plain));
        };
        let mut first = [0];
        stream.peek(&mut first).await?;
        if first != [HANDSHAKE] {
            // Whoever came without TLS is told so, in words of gRPC.
            let identity = if *plain {
                Identity::Plain
            } else {
                Identity::Unencrypted
            };
            return Ok(Passed::Plain(stream, identity));
        }
        let known = config.wait_for(Option::is_some).await;
        let config = known.ok().and_then(|config| config.clone());
        let config = config.ok_or(std::io::ErrorKind::ConnectionAborted)?;
        let stream = TlsAcceptor::from(config).accept(stream).await?;
        let (_, session) = stream.get_ref();
        let identity = match session.peer_certificates().and_then(<[_]>::first) {
            None => Identity::Stranger,
            Some(certificate) => {
                Certified::read(certificate).map_or(Identity::Stranger, Identity::Certified)
            }
        };
        Ok(Passed::Tls(Box::new(stream), identity))
    }
}

/// Keeps the door in use, with a new certificate of its own from time to time.
pub async fn keep(
    authority: &Authority,
    addresses: &[IpAddr],
    keeper: &Keeper,
    door: &watch::Sender<Option<Arc<ServerConfig>>>,
) {
    loop {
        match config(authority, addresses, &keeper.clock) {
            Ok(config) => {
                door.send_replace(Some(Arc::new(config)));
                keeper.tell(|state| state.shut(None)).await;
            }
            Err(error) => error!(%error, "cannot make this controller's certificate"),
        }
        sleep(RENEW_EVERY).await;
    }
}

fn config(
    authority: &Authority,
    addresses: &[IpAddr],
    clock: &Clock,
) -> Result<ServerConfig, AuthorityError> {
    let unusable = |error: &dyn ToString| AuthorityError::Unusable(error.to_string());
    let provider = Arc::new(default_provider());
    let mut roots = RootCertStore::empty();
    roots
        .add(authority.der.clone())
        .map_err(|error| unusable(&error))?;
    let chains = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone())
        .allow_unauthenticated()
        .build()
        .map_err(|error| unusable(&error))?;
    let (chain, key) = authority.controller(addresses, clock.now(), LIFE)?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])
        .map_err(|error| unusable(&error))?
        .with_client_cert_verifier(Arc::new(AnyTime(chains)))
        .with_single_cert(chain, key)
        .map_err(|error| unusable(&error))?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(config)
}

/// Verifies that the authority signed it, whenever it is good: what an untimely certificate
/// is good for is decided by the call, which can be answered with a sentence.
#[derive(Debug)]
struct AnyTime(Arc<dyn ClientCertVerifier>);

impl ClientCertVerifier for AnyTime {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.0.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let now = Certified::read(end_entity).map_or(now, |certified| {
            let now_ms = now.as_secs().saturating_mul(1000);
            // The last second does not count.
            let last = certified.to.0.saturating_sub(1000).max(certified.from.0);
            let within = now_ms.clamp(certified.from.0, last);
            UnixTime::since_unix_epoch(Duration::from_millis(within))
        });
        self.0.verify_client_cert(end_entity, intermediates, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}

#[cfg(test)]
mod tests;
