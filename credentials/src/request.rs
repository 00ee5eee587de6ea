//! Asking for a certificate: a new key, and a signing request that proves that it is ours.

use overlay::{
    id::{NodeId, OperatorId},
    name::NodeName,
    record::V1,
    time::WallMs,
    trust::{Subject, Token, subject::SubjectError},
};
use proto::v1::{self, trust_service_client::TrustServiceClient};
use rcgen::{CertificateParams, KeyPair};
use thiserror::Error;
use tonic::{Status, transport::Channel};
use uuid::Uuid;

use crate::Credentials;

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
}

impl From<Status> for RequestError {
    fn from(status: Status) -> Self {
        Self::Answered(Box::new(status))
    }
}

/// A host becomes a node of the fleet, by a token.
pub async fn join(
    channel: Channel,
    token: &Token,
    node: &NodeName,
    id: NodeId,
) -> Result<Credentials, RequestError> {
    let request = Request::new()?;
    let ask = v1::JoinRequest {
        token: token.reveal(),
        node: node.to_string(),
        node_id: id.to_string(),
        signing_request: request.der.clone().into(),
    };
    let answer = TrustServiceClient::new(channel).join(ask).await?;
    request.granted(answer.into_inner(), |subject| {
        *subject == Subject::Node(node.clone(), id)
    })
}

/// Somebody becomes an operator, by a token.
pub async fn login(channel: Channel, token: &Token) -> Result<Credentials, RequestError> {
    let request = Request::new()?;
    let id = OperatorId(Uuid::new_v4());
    let ask = v1::LoginRequest {
        token: token.reveal(),
        id: id.to_string(),
        signing_request: request.der.clone().into(),
    };
    let answer = TrustServiceClient::new(channel).login(ask).await?;
    request.granted(
        answer.into_inner(),
        |subject| matches!(subject, Subject::Operator(_, of) if *of == id),
    )
}

/// Others, over a line on which these were shown.
pub async fn renew(channel: Channel, held: &Credentials) -> Result<Credentials, RequestError> {
    let request = Request::new()?;
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
    fn new() -> Result<Self, RequestError> {
        let key = KeyPair::generate()?;
        // Whose it is, is the controller's to say.
        let request = CertificateParams::default().serialize_request(&key)?;
        let der = request.der().to_vec();
        Ok(Self { key, der })
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
