//! Trust: the authority, tokens, who joins with one, operators.

use super::{Decision, Refusal, View, node::admit};
use crate::{
    id::{NodeId, OperatorId},
    key::Key,
    name::{NodeName, OperatorName},
    record::{self, Authority, Grant, Operator, Token, Use, User, V1},
    registry::{Registry, Stored},
    time::{Span, WallMs},
    trust::{Role, Subject, TokenId},
    txn::Transaction,
};

/// What is said of a token by who brings it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Brought {
    pub token: TokenId,
    /// The SHA-256 of the secret that was brought, in hex.
    pub digest: String,
    /// That of the public key that is to be certified.
    pub key: String,
}

/// The fleet has an authority from now on.
pub fn found(view: &View<'_>, authority: &Authority) -> Result<Decision<()>, Refusal> {
    if view.registry.authority().is_some() {
        return Err(Refusal::NothingToDo);
    }
    let mut txn = Transaction::default();
    txn.expect_absent(Key::Authority);
    txn.put(Key::Authority, record::encode(authority));
    view.decided(txn, ())
}

pub fn make_token(view: &View<'_>, id: TokenId, token: &Token) -> Result<Decision<()>, Refusal> {
    if let Grant::Operator { name, .. } = &token.grant
        && view.registry.operators().contains_key(name)
    {
        return Err(Refusal::OperatorExists { name: name.clone() });
    }
    let mut txn = Transaction::default();
    txn.expect_absent(Key::Token(id));
    txn.put(Key::Token(id), record::encode(token));
    view.decided(txn, ())
}

/// Nobody joins with it any more; who did stays.
pub fn revoke_token(view: &View<'_>, id: TokenId) -> Result<Decision<()>, Refusal> {
    let token = view.registry.tokens().get(&id);
    let token = token.ok_or(Refusal::NoToken { id })?;
    let mut txn = Transaction::default();
    revoke(view, &mut txn, id, token);
    view.decided(txn, ())
}

fn revoke(view: &View<'_>, txn: &mut Transaction, id: TokenId, token: &Stored<Token>) {
    let revoked = Token {
        revoked_at: Some(token.value.revoked_at.unwrap_or(view.now)),
        ..token.value.clone()
    };
    txn.expect(Key::Token(id), token.revision);
    txn.put(Key::Token(id), record::encode(&revoked));
}

/// Forgets a token whose time is long over.
pub fn forget_token(view: &View<'_>, id: TokenId) -> Result<Decision<()>, Refusal> {
    let token = view.registry.tokens().get(&id);
    let token = token.ok_or(Refusal::NothingToDo)?;
    let mut txn = Transaction::default();
    txn.expect(Key::Token(id), token.revision);
    txn.delete(Key::Token(id));
    view.decided(txn, ())
}

/// A machine becomes this node, by a token.
pub fn join(
    view: &View<'_>,
    brought: &Brought,
    name: &NodeName,
    id: NodeId,
) -> Result<Decision<()>, Refusal> {
    let token = good(view, brought)?;
    match &token.value.grant {
        Grant::Node { name: None } => {}
        Grant::Node { name: Some(of) } if of == name => {}
        Grant::Node { name: Some(of) } => {
            return Err(Refusal::TokenOfAnother {
                token: brought.token,
                of: of.clone(),
                node: name.clone(),
            });
        }
        Grant::Operator { .. } => {
            return Err(Refusal::TokenOfOperator {
                token: brought.token,
            });
        }
    }
    let by = User::Node {
        name: name.clone(),
        id,
    };
    let again = is_again(&token.value, &by, brought);
    let mut txn = Transaction::default();
    take(view, &mut txn, brought, token, by)?;
    // The id of a machine is no secret: to be certified for it once more takes a token that
    // was made for it.
    let of_any = token.value.grant == Grant::Node { name: None };
    let known = view.registry.nodes().get(name);
    let certified = known.is_some_and(|node| node.value.id == id && node.value.certified);
    if of_any && certified && !again {
        return Err(Refusal::HasCertificate { node: name.clone() });
    }
    admit(view, &mut txn, name, id, true)?;
    view.decided(txn, ())
}

/// Somebody becomes this operator, by a token. `id` is of the key that is certified.
pub fn login(
    view: &View<'_>,
    brought: &Brought,
    id: OperatorId,
) -> Result<Decision<(OperatorName, Role)>, Refusal> {
    let token = good(view, brought)?;
    let Grant::Operator { name, role } = &token.value.grant else {
        return Err(Refusal::TokenOfNode {
            token: brought.token,
        });
    };
    let by = User::Operator { id };
    let again = is_again(&token.value, &by, brought);
    let mut txn = Transaction::default();
    take(view, &mut txn, brought, token, by)?;
    let present = view.registry.operators().get(name);
    match present {
        Some(present) if !(again && present.value.id == id) => {
            return Err(Refusal::OperatorExists { name: name.clone() });
        }
        // Gone since: the token that made it does not make it again.
        None if again => return Err(used(brought.token, &token.value)),
        Some(_) | None => {}
    }
    let key = Key::Operator(name.clone());
    txn.expect(key.clone(), present.map_or(0, |present| present.revision));
    let operator = Operator {
        v: V1,
        id,
        role: *role,
        made_at: view.now,
    };
    txn.put(key, record::encode(&operator));
    view.decided(txn, (name.clone(), *role))
}

/// What an operator's certificates and tokens were good for ends at once.
pub fn remove_operator(view: &View<'_>, name: &OperatorName) -> Result<Decision<()>, Refusal> {
    let operator = view.registry.operators().get(name);
    let operator = operator.ok_or_else(|| Refusal::NoOperator { name: name.clone() })?;
    let mut txn = Transaction::default();
    let key = Key::Operator(name.clone());
    txn.expect(key.clone(), operator.revision);
    txn.delete(key);
    for (id, token) in view.registry.tokens() {
        let of_it = matches!(&token.value.grant, Grant::Operator { name: of, .. } if of == name);
        if of_it && token.value.revoked_at.is_none() {
            revoke(view, &mut txn, *id, token);
        }
    }
    view.decided(txn, ())
}

/// Is whom a certificate names still one of the fleet?
pub fn standing(registry: &Registry, now: WallMs, subject: &Subject) -> Result<(), Refusal> {
    match subject {
        Subject::Node(name, id) => match registry.nodes().get(name) {
            Some(node) if node.value.id == *id => Ok(()),
            Some(node) => Err(Refusal::name_taken(
                registry,
                now,
                name,
                (node.value.id, *id),
            )),
            None => match registry.removed().get(id) {
                Some(removed) => Err(Refusal::removed(*id, &removed.value)),
                None => Err(Refusal::NotJoined { node: name.clone() }),
            },
        },
        Subject::Operator(name, id) => match registry.operators().get(name) {
            Some(operator) if operator.value.id == *id => Ok(()),
            _ => Err(Refusal::NoOperator { name: name.clone() }),
        },
    }
}

/// The role that an operator's certificate is good for now.
pub fn role(registry: &Registry, subject: &Subject) -> Option<Role> {
    let Subject::Operator(name, id) = subject else {
        return None;
    };
    let operator = registry.operators().get(name)?;
    (operator.value.id == *id).then_some(operator.value.role)
}

/// The token, if it can be used at all.
fn good<'a>(view: &View<'a>, brought: &Brought) -> Result<&'a Stored<Token>, Refusal> {
    let id = brought.token;
    let token = view.registry.tokens().get(&id);
    // Who guesses is not told which half was right.
    let token = token
        .filter(|token| token.value.digest == brought.digest)
        .ok_or(Refusal::NoToken { id })?;
    if let Some(at) = token.value.revoked_at {
        return Err(Refusal::TokenRevoked {
            id,
            ago: ago(view, at),
        });
    }
    if token.value.expires_at <= view.now {
        let at = token.value.expires_at;
        return Err(Refusal::TokenExpired {
            id,
            ago: ago(view, at),
        });
    }
    Ok(token)
}

/// Adds to a transaction that a token is used by this one, for this key.
fn take(
    view: &View<'_>,
    txn: &mut Transaction,
    brought: &Brought,
    token: &Stored<Token>,
    by: User,
) -> Result<(), Refusal> {
    let id = brought.token;
    let mut kept = token.value.clone();
    if !is_again(&kept, &by, brought) {
        if kept.used.len() >= kept.uses as usize {
            return Err(used(id, &kept));
        }
        kept.used.push(Use {
            by,
            key: brought.key.clone(),
            at: view.now,
        });
    }
    txn.expect(Key::Token(id), token.revision);
    txn.put(Key::Token(id), record::encode(&kept));
    Ok(())
}

/// Has this very one used it for this very key? The answer may not have been heard.
fn is_again(token: &Token, by: &User, brought: &Brought) -> bool {
    let mut used = token.used.iter();
    used.any(|used| used.by == *by && used.key == brought.key)
}

fn used(id: TokenId, token: &Token) -> Refusal {
    let by = match token.used.last().map(|used| &used.by) {
        Some(User::Node { name, .. }) => format!("node {name}"),
        Some(User::Operator { .. }) | None => "somebody who logged in".into(),
    };
    let uses = token.uses;
    Refusal::TokenUsed { id, uses, by }
}

fn ago(view: &View<'_>, at: WallMs) -> Span {
    Span(view.now.since(at))
}
