//! Trust: joining with a token, renewing, and what admins make and take back.

mod words;

use std::{net::IpAddr, sync::Arc, time::Duration};

use overlay::{
    decide::trust::{Brought, join, login, make_token, remove_operator, revoke_token, standing},
    id::{NodeId, OperatorId},
    name::{NodeName, OperatorName},
    record::{self, Grant, V1},
    time::WallMs,
    trust::{
        Caller, Subject, Token, TokenId,
        token::{Secret, hex},
    },
};
use proto::{decode, v1};
use ring::digest::{SHA256, digest};
use tokio::sync::watch;
use tonic::{Request, Response, Status, async_trait};
use tracing::{info, warn};

use super::{by, invalid, peer, status};
use words::{encoded, grant};

use crate::{
    keeper::Keeper,
    listener::Peer,
    trust::{
        Authority,
        authority::{Asked, SignError},
        places::neighbourhood,
        rate::Rate,
        seal::{SealError, random},
    },
};

/// An operator's certificate is renewed by use, and ends when it is not used.
const OPERATOR_LIFE: Duration = Duration::from_secs(30 * 86_400);
/// A host that was off for longer than this joins anew.
const RENEW_WITHIN: Duration = Duration::from_secs(30 * 86_400);
const TOKEN_LIFE: Duration = Duration::from_secs(3600);
/// The longest life of a token, and the most that may use it.
const LONGEST_TOKEN: Duration = Duration::from_secs(30 * 86_400);
const MOST_USES: u32 = 1000;

pub struct Desk {
    pub keeper: Keeper,
    pub authority: watch::Receiver<Option<Arc<Authority>>>,
    /// How long a node's certificate is good.
    pub life: Duration,
    pub rate: Rate,
}

/// A new token of this authority, and its record.
pub fn made(
    authority: &Authority,
    grant: Grant,
    uses: u32,
    ttl: Duration,
    now: WallMs,
) -> Result<(Token, record::Token), SealError> {
    let token = Token {
        id: TokenId(u64::from_be_bytes(random()?)),
        secret: Secret(random()?),
        authority: authority.fingerprint(),
    };
    let record = record::Token {
        v: V1,
        digest: digested(&token.secret),
        grant,
        made_at: now,
        expires_at: now.after(ttl),
        revoked_at: None,
        uses,
        used: Vec::new(),
    };
    Ok((token, record))
}

fn digested(secret: &Secret) -> String {
    hex(digest(&SHA256, &secret.0).as_ref())
}

#[async_trait]
impl v1::trust_service_server::TrustService for Desk {
    async fn join(
        &self,
        request: Request<v1::JoinRequest>,
    ) -> Result<Response<v1::Certificate>, Status> {
        let authority = self.stranger(&request)?;
        let request = request.into_inner();
        let name: NodeName = parse("node", &request.node)?;
        let id: NodeId = parse("node_id", &request.node_id)?;
        let asked = asked(&request.signing_request)?;
        let brought = brought(&authority, &request.token, &asked)?;
        let (node, token) = (name.clone(), brought.token);
        let joined = self
            .keeper
            .write(move |view| join(view, &brought, &node, id))
            .await;
        joined.map_err(|failure| status(&failure))?;
        info!(node = %name, %id, %token, "a node joined");
        self.sign(&authority, asked, &Subject::Node(name, id))
    }

    async fn login(
        &self,
        request: Request<v1::LoginRequest>,
    ) -> Result<Response<v1::Certificate>, Status> {
        let authority = self.stranger(&request)?;
        let request = request.into_inner();
        let id: OperatorId = parse("id", &request.id)?;
        let asked = asked(&request.signing_request)?;
        let brought = brought(&authority, &request.token, &asked)?;
        let token = brought.token;
        let logged_in = self
            .keeper
            .write(move |view| login(view, &brought, id))
            .await;
        let ((name, role), _) = logged_in.map_err(|failure| status(&failure))?;
        info!(operator = %name, %role, %token, "an operator logged in");
        self.sign(&authority, asked, &Subject::Operator(name, id))
    }

    async fn renew(
        &self,
        request: Request<v1::RenewCertificateRequest>,
    ) -> Result<Response<v1::Certificate>, Status> {
        let authority = self.authority()?;
        let subject = self.renewable(&peer(&request))?;
        let (named, now) = (subject.clone(), self.keeper.clock.now());
        let stands = self
            .keeper
            .with(move |state| match state.why_not_ready() {
                Some(reason) => Err(Status::unavailable(reason)),
                None => standing(state.registry(), now, &named)
                    .map_err(|refusal| status(&refusal.into())),
            })
            .await;
        stands.map_err(|failure| status(&failure))??;
        let asked = asked(&request.get_ref().signing_request)?;
        self.sign(&authority, asked, &subject)
    }

    async fn create_token(
        &self,
        request: Request<v1::CreateTokenRequest>,
    ) -> Result<Response<v1::CreateTokenResponse>, Status> {
        let authority = self.authority()?;
        let by = by(&request);
        let request = request.into_inner();
        let ttl = match request.ttl_ms {
            0 => TOKEN_LIFE,
            ms => Duration::from_millis(ms),
        };
        if ttl > LONGEST_TOKEN {
            return Err(Status::invalid_argument(
                "ttl_ms: a token is good for 30 days at the most",
            ));
        }
        let uses = request.uses.max(1);
        if uses > MOST_USES {
            return Err(Status::invalid_argument(format!(
                "uses: one token is for {MOST_USES} hosts at the most; make several"
            )));
        }
        let grant = grant(request.grant)?;
        let (named, operator) = match &grant {
            Grant::Node { name } => (name.is_some(), false),
            Grant::Operator { .. } => (true, true),
        };
        if named && uses > 1 {
            let whose = if operator { "an operator" } else { "one node" };
            return Err(Status::invalid_argument(format!(
                "uses: a token for {whose} is used once"
            )));
        }
        let now = self.keeper.clock.now();
        let (token, record) = made(&authority, grant, uses, ttl, now)
            .map_err(|error| Status::unavailable(error.to_string()))?;
        let (id, kept) = (token.id, record.clone());
        let written = self
            .keeper
            .write(move |view| make_token(view, id, &kept))
            .await;
        written.map_err(|failure| status(&failure))?;
        info!(token = %id, r#for = whom(&record.grant), uses, by, "a token was made");
        Ok(Response::new(v1::CreateTokenResponse {
            token: Some(encoded(id, &record, now)),
            secret: token.reveal(),
        }))
    }

    async fn list_tokens(
        &self,
        _: Request<v1::ListTokensRequest>,
    ) -> Result<Response<v1::ListTokensResponse>, Status> {
        let now = self.keeper.clock.now();
        let listed = self.keeper.with(move |state| {
            let tokens = state.registry().tokens().iter();
            let tokens = tokens.map(|(id, token)| encoded(*id, &token.value, now));
            v1::ListTokensResponse {
                tokens: tokens.collect(),
            }
        });
        listed
            .await
            .map(Response::new)
            .map_err(|failure| status(&failure))
    }

    async fn revoke_token(
        &self,
        request: Request<v1::RevokeTokenRequest>,
    ) -> Result<Response<v1::RevokeTokenResponse>, Status> {
        let id: TokenId = parse("id", &request.get_ref().id)?;
        let revoked = self.keeper.write(move |view| revoke_token(view, id)).await;
        revoked.map_err(|failure| status(&failure))?;
        info!(token = %id, by = by(&request), "a token was revoked");
        Ok(Response::new(v1::RevokeTokenResponse {}))
    }

    async fn list_operators(
        &self,
        _: Request<v1::ListOperatorsRequest>,
    ) -> Result<Response<v1::ListOperatorsResponse>, Status> {
        let listed = self.keeper.with(|state| {
            let operators = state.registry().operators().iter();
            let operators = operators.map(|(name, operator)| v1::Operator {
                name: name.to_string(),
                role: operator.value.role.to_string(),
                id: operator.value.id.to_string(),
                made_at_ms: operator.value.made_at.0,
            });
            v1::ListOperatorsResponse {
                operators: operators.collect(),
            }
        });
        listed
            .await
            .map(Response::new)
            .map_err(|failure| status(&failure))
    }

    async fn remove_operator(
        &self,
        request: Request<v1::RemoveOperatorRequest>,
    ) -> Result<Response<v1::RemoveOperatorResponse>, Status> {
        let name: OperatorName = parse("name", &request.get_ref().name)?;
        let removing = name.clone();
        let removed = self
            .keeper
            .write(move |view| remove_operator(view, &removing))
            .await;
        removed.map_err(|failure| status(&failure))?;
        info!(operator = %name, by = by(&request), "an operator was removed");
        Ok(Response::new(v1::RemoveOperatorResponse {}))
    }
}

impl Desk {
    fn authority(&self) -> Result<Arc<Authority>, Status> {
        let authority = self.authority.borrow().clone();
        authority.ok_or_else(|| {
            Status::failed_precondition(
                "this fleet has no certificate authority: `weft-controller init` makes one",
            )
        })
    }

    /// The authority, for somebody without a certificate who may ask now.
    fn stranger<T>(&self, request: &Request<T>) -> Result<Arc<Authority>, Status> {
        let authority = self.authority()?;
        let address = peer(request).address.map(|address| address.ip());
        let address = address.map_or(IpAddr::from([0; 4]), neighbourhood);
        if !self.rate.take(address) {
            warn!(%address, "too many attempts to join or log in");
            let mut status = Status::resource_exhausted(
                "too many attempts to join or log in from there; try again in a while",
            );
            let hint = tonic::metadata::MetadataValue::from_static("10000");
            status.metadata_mut().insert(super::RETRY_AFTER, hint);
            return Err(status);
        }
        Ok(authority)
    }

    /// Whom the certificate of a connection names, if another may be had for it.
    fn renewable(&self, peer: &Peer) -> Result<Subject, Status> {
        let now = self.keeper.clock.now();
        match peer.identity.caller(now) {
            Caller::Known(subject) => Ok(subject),
            // A host that was off for a while comes back by itself.
            Caller::Untimely(subject @ Subject::Node(..), why) => {
                let late = peer.identity.expired_for(now);
                if late.is_some_and(|late| late <= RENEW_WITHIN) {
                    return Ok(subject);
                }
                Err(Status::unauthenticated(why))
            }
            Caller::Untimely(_, why) => Err(Status::unauthenticated(why)),
            Caller::Plain | Caller::Unencrypted | Caller::Stranger => {
                Err(Status::unauthenticated("there is no certificate to renew"))
            }
        }
    }

    fn sign(
        &self,
        authority: &Authority,
        asked: Asked,
        subject: &Subject,
    ) -> Result<Response<v1::Certificate>, Status> {
        let life = match subject {
            Subject::Node(..) => self.life,
            Subject::Operator(..) => OPERATOR_LIFE,
        };
        let signed = authority.sign(asked, subject, self.keeper.clock.now(), life);
        let signed = signed.map_err(|error| refused(&error))?;
        Ok(Response::new(v1::Certificate {
            subject: subject.to_string(),
            certificate: signed.certificate,
            authority: authority.certificate.clone(),
            issued_at_ms: signed.issued_at.0,
            expires_at_ms: signed.expires_at.0,
        }))
    }
}

/// Whom a token lets in.
fn whom(grant: &Grant) -> String {
    match grant {
        Grant::Node { name: Some(name) } => format!("node {name}"),
        Grant::Node { name: None } => "any node".into(),
        Grant::Operator { name, role } => format!("operator {name} ({role})"),
    }
}

/// What somebody without a certificate brings.
fn brought(authority: &Authority, token: &str, asked: &Asked) -> Result<Brought, Status> {
    let token: Token = parse("token", token)?;
    if token.authority != authority.fingerprint() {
        return Err(Status::unauthenticated(
            "the token is of another fleet: its authority is not this one",
        ));
    }
    Ok(Brought {
        token: token.id,
        digest: digested(&token.secret),
        key: asked.key(),
    })
}

fn asked(request: &[u8]) -> Result<Asked, Status> {
    Asked::read(request).map_err(|error| refused(&error))
}

fn refused(error: &SignError) -> Status {
    match error {
        SignError::BadRequest(_) => Status::invalid_argument(error.to_string()),
        SignError::Failed(_) => Status::unavailable(error.to_string()),
    }
}

fn parse<T: std::str::FromStr<Err: std::fmt::Display>>(
    field: &'static str,
    text: &str,
) -> Result<T, Status> {
    decode::parse(field, text).map_err(|error| invalid(&error))
}
