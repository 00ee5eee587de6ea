//! Tokens in the words of the API.

use overlay::{
    record::{self, Grant, User},
    time::WallMs,
    trust::{Role, TokenId},
};
use proto::v1;
use tonic::Status;

use super::parse;

pub fn grant(asked: Option<v1::create_token_request::Grant>) -> Result<Grant, Status> {
    use v1::create_token_request::Grant as Asked;
    match asked {
        None => Ok(Grant::Node { name: None }),
        Some(Asked::Node(name)) if name.is_empty() => Ok(Grant::Node { name: None }),
        Some(Asked::Node(name)) => Ok(Grant::Node {
            name: Some(parse("node", &name)?),
        }),
        Some(Asked::Operator(operator)) => Ok(Grant::Operator {
            name: parse("operator.name", &operator.name)?,
            role: parse::<Role>("operator.role", &operator.role)?,
        }),
    }
}

pub fn encoded(id: TokenId, token: &record::Token, now: WallMs) -> v1::Token {
    let (kind, name, role) = match &token.grant {
        Grant::Node { name } => {
            let name = name.as_ref().map(ToString::to_string);
            ("node", name.unwrap_or_default(), String::new())
        }
        Grant::Operator { name, role } => ("operator", name.to_string(), role.to_string()),
    };
    let used_by = token.used.iter().map(|used| match &used.by {
        User::Node { name, .. } => name.to_string(),
        User::Operator { .. } => name.clone(),
    });
    let state = if token.revoked_at.is_some() {
        "revoked"
    } else if token.used.len() >= token.uses as usize {
        "used"
    } else if token.expires_at <= now {
        "expired"
    } else {
        "good"
    };
    v1::Token {
        id: id.to_string(),
        kind: kind.into(),
        role,
        made_at_ms: token.made_at.0,
        expires_at_ms: token.expires_at.0,
        revoked_at_ms: token.revoked_at.map_or(0, |at| at.0),
        uses: token.uses,
        used_by: used_by.collect(),
        state: state.into(),
        name,
    }
}
