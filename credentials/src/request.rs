//! Asking for a certificate: a new key, and a signing request that proves that it is ours.

use std::path::Path;

use overlay::{
    id::{NodeId, OperatorId},
    name::NodeName,
    record::V1,
    time::WallMs,
    trust::{Subject, Token, subject::SubjectError},
};
use proto::v1::{self, trust_service_client::TrustServiceClient};
use rcgen::{CertificateParams, KeyPair};
use ring::digest::{SHA256, digest};
use thiserror::Error;
use tonic::{Status, transport::Channel};

use crate::{
    Credentials, CredentialsError,
    file::{keep_key, kept_key},
};

#[derive(Debug, Error)]
pub enum RequestError {
    #[error("cannot make a key and a signing request: {0}")]
    Key(#[from] rcgen::Error),
    #[error("{}", .0.message())]
    Answered(Box<Status>),
    #[error("the controller named {0}, and that is not who asked")]
    Another(String),
    #[error(transparent)]
    Nobody(#[from] SubjectError),
    #[error(transparent)]
    File(#[from] CredentialsError),
}

impl From<Status> for RequestError {
    fn from(status: Status) -> Self {
        Self::Answered(Box::new(status))
    }
}

/// A host becomes a node of the fleet, by a token; its credentials are in this file then.
pub async fn join(
    channel: Channel,
    token: &Token,
    node: &NodeName,
    id: NodeId,
    file: &Path,
) -> Result<Credentials, RequestError> {
    let request = Request::kept(file)?;
    let ask = v1::JoinRequest {
        token: token.reveal(),
        node: node.to_string(),
        node_id: id.to_string(),
        signing_request: request.der.clone().into(),
    };
    let answer = TrustServiceClient::new(channel).join(ask).await?;
    let subject = Subject::Node(node.clone(), id);
    let held = request.granted(answer.into_inner(), |named| *named == subject)?;
    held.write(file)?;
    Ok(held)
}

/// Somebody becomes an operator, by a token; the credentials are in this file then.
pub async fn login(
    channel: Channel,
    token: &Token,
    file: &Path,
) -> Result<Credentials, RequestError> {
    let request = Request::kept(file)?;
    let id = request.operator();
    let ask = v1::LoginRequest {
        token: token.reveal(),
        id: id.to_string(),
        signing_request: request.der.clone().into(),
    };
    let answer = TrustServiceClient::new(channel).login(ask).await?;
    let held = request.granted(
        answer.into_inner(),
        |named| matches!(named, Subject::Operator(_, of) if *of == id),
    )?;
    held.write(file)?;
    Ok(held)
}

/// Others, over a line on which these were shown.
pub async fn renew(channel: Channel, held: &Credentials) -> Result<Credentials, RequestError> {
    let request = Request::of(KeyPair::generate()?)?;
    let ask = v1::RenewCertificateRequest {
        signing_request: request.der.clone().into(),
    };
    let answer = TrustServiceClient::new(channel).renew(ask).await?;
    request.granted(answer.into_inner(), |subject| *subject == held.subject)
}

struct Request {
    key: KeyPair,
    /// PKCS#10.
    der: Vec<u8>,
}

impl Request {
    /// For the key that is kept beside this file, made if there is none.
    fn kept(file: &Path) -> Result<Self, RequestError> {
        let kept = kept_key(file)?;
        if let Some(key) = kept.and_then(|key| KeyPair::from_pem(&key).ok()) {
            return Self::of(key);
        }
        let key = KeyPair::generate()?;
        keep_key(file, &key.serialize_pem())?;
        Self::of(key)
    }

    fn of(key: KeyPair) -> Result<Self, RequestError> {
        // Whose it is, is the controller's to say.
        let request = CertificateParams::default().serialize_request(&key)?;
        let der = request.der().to_vec();
        Ok(Self { key, der })
    }

    /// An id that is this key's own: asked for again, it is the same.
    fn operator(&self) -> OperatorId {
        let digest = digest(&SHA256, self.key.public_key_raw());
        let mut id = [0; 16];
        id.copy_from_slice(&digest.as_ref()[..16]);
        OperatorId(uuid::Builder::from_random_bytes(id).into_uuid())
    }

    fn granted(
        self,
        certificate: v1::Certificate,
        is_mine: impl Fn(&Subject) -> bool,
    ) -> Result<Credentials, RequestError> {
        let subject: Subject = certificate.subject.parse()?;
        if !is_mine(&subject) {
            return Err(RequestError::Another(certificate.subject));
        }
        Ok(Credentials {
            v: V1,
            subject,
            key: self.key.serialize_pem(),
            certificate: certificate.certificate,
            authority: certificate.authority,
            issued_at: WallMs(certificate.issued_at_ms),
            expires_at: WallMs(certificate.expires_at_ms),
        })
    }
}
