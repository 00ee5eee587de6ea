//! `weft token`: how hosts are let in.

use std::time::Duration;

use clap::Subcommand;
use options::clock;
use overlay::{name::NodeName, trust::TokenId};
use proto::v1::{self, create_token_request::Grant};
use serde::Serialize;

use crate::{
    connect::Connection,
    failure::Failure,
    output::{Output, Row, joined, or_dash, some},
    seconds::parse_seconds,
};

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Make a token by which hosts join; it is shown this once
    #[command(after_help = "\
Examples:
  weft token create
  weft token create --node web-1 --ttl 10m
  weft token create --uses 20 --ttl 8h

On the host: weft-agent join --controller https://CONTROLLER:7440 --token TOKEN")]
    Create {
        /// Only this node may use it [default: one of any name]
        #[arg(long, value_name = "NAME", conflicts_with = "uses")]
        node: Option<NodeName>,
        /// How many hosts may use it
        #[arg(long, default_value = "1", value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
        uses: u32,
        /// How long it is good
        #[arg(long, default_value = "1h", value_name = "TIME", value_parser = parse_seconds)]
        ttl: Duration,
    },
    /// List the tokens, used and over ones too; their secrets are known to nobody any more
    #[command(after_help = "Example:\n  weft token list -o json")]
    List,
    /// Take a token back; who has joined by it stays
    #[command(after_help = "Example:\n  weft token revoke 0f3c5a7790b1d2e4")]
    Revoke { id: TokenId },
}

pub async fn run(verb: Verb, connection: &Connection, output: &Output) -> Result<(), Failure> {
    let mut trust = connection.trust();
    match verb {
        Verb::Create { node, uses, ttl } => {
            let node = node.map(|node| node.to_string()).unwrap_or_default();
            let request = v1::CreateTokenRequest {
                ttl_ms: ms(ttl),
                uses,
                grant: Some(Grant::Node(node)),
            };
            let answer = connection.answer(trust.create_token(request)).await?;
            created(answer, output)
        }
        Verb::List => {
            let request = v1::ListTokensRequest {};
            let answer = connection.answer(trust.list_tokens(request)).await?;
            let rows: Vec<TokenRow> = answer.tokens.into_iter().map(Into::into).collect();
            output.list(&rows, "no tokens; `weft token create` makes one")
        }
        Verb::Revoke { id } => {
            let request = v1::RevokeTokenRequest { id: id.to_string() };
            connection.answer(trust.revoke_token(request)).await?;
            output.done(&format!("token {id} is revoked"))
        }
    }
}

/// The token alone, so that a script can take it as it is.
pub fn created(answer: v1::CreateTokenResponse, output: &Output) -> Result<(), Failure> {
    let row = TokenRow::from(answer.token.unwrap_or_default());
    let made = Made {
        token: answer.secret,
        row,
    };
    output.print(&made, || format!("{}\n", made.token))
}

pub fn ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[derive(Debug, Serialize)]
struct Made {
    token: String,
    #[serde(flatten)]
    row: TokenRow,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TokenRow {
    id: String,
    kind: String,
    name: Option<String>,
    role: Option<String>,
    state: String,
    uses: u32,
    used_by: Vec<String>,
    expires_at: Option<String>,
    #[serde(skip)]
    expires_at_ms: u64,
}

impl From<v1::Token> for TokenRow {
    fn from(token: v1::Token) -> Self {
        Self {
            id: token.id,
            kind: token.kind,
            name: some(token.name),
            role: some(token.role),
            state: token.state,
            uses: token.uses,
            used_by: token.used_by,
            expires_at: clock::utc_or_none(token.expires_at_ms),
            expires_at_ms: token.expires_at_ms,
        }
    }
}

impl Row for TokenRow {
    const COLUMNS: &'static [&'static str] = &[
        "ID", "FOR", "NAME", "ROLE", "STATE", "USED", "BY", "EXPIRES",
    ];
    const SPARE: &'static [&'static str] = &["BY", "ROLE", "USED"];

    fn cells(&self, now_ms: u64) -> Vec<String> {
        let name = match (&self.name, self.kind.as_str()) {
            (None, "node") => "any".into(),
            (name, _) => or_dash(name.as_ref()),
        };
        vec![
            self.id.clone(),
            self.kind.clone(),
            name,
            or_dash(self.role.as_ref()),
            self.state.clone(),
            format!("{}/{}", self.used_by.len(), self.uses),
            joined(&self.used_by),
            clock::from_now(self.expires_at_ms, now_ms),
        ]
    }
}
