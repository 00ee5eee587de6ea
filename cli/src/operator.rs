//! `weft operator`: who may ask, and who may change.

use std::time::Duration;

use clap::Subcommand;
use options::clock;
use overlay::{name::OperatorName, trust::Role};
use proto::v1::{self, create_token_request::Grant};
use serde::Serialize;

use crate::{
    connect::Connection,
    failure::Failure,
    output::{Output, Row, or_dash},
    seconds::parse_seconds,
    token::{created, ms},
};

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Make a token by which a person logs in as an operator; it is shown this once
    #[command(after_help = "\
Example:
  weft operator create eve --role reader

There: weft login --controller https://CONTROLLER:7440 --token TOKEN")]
    Create {
        name: OperatorName,
        /// reader: sees everything but tokens; admin: changes everything
        #[arg(long, default_value = "reader")]
        role: Role,
        /// How long the token is good
        #[arg(long, default_value = "1h", value_name = "TIME", value_parser = parse_seconds)]
        ttl: Duration,
    },
    /// List the operators who have logged in
    #[command(after_help = "Example:\n  weft operator list -o json")]
    List,
    /// Shut an operator out, at once and everywhere
    #[command(after_help = "Example:\n  weft operator remove eve")]
    Remove { name: OperatorName },
}

pub async fn run(verb: Verb, connection: &Connection, output: &Output) -> Result<(), Failure> {
    let mut trust = connection.trust();
    match verb {
        Verb::Create { name, role, ttl } => {
            let operator = v1::OperatorGrant {
                name: name.to_string(),
                role: role.to_string(),
            };
            let request = v1::CreateTokenRequest {
                ttl_ms: ms(ttl),
                uses: 1,
                grant: Some(Grant::Operator(operator)),
            };
            let answer = connection.answer(trust.create_token(request)).await?;
            created(answer, output)
        }
        Verb::List => {
            let request = v1::ListOperatorsRequest {};
            let answer = connection.answer(trust.list_operators(request)).await?;
            let rows: Vec<OperatorRow> = answer.operators.into_iter().map(Into::into).collect();
            output.list(
                &rows,
                "no operators; `weft operator create` makes a token for one",
            )
        }
        Verb::Remove { name } => {
            let request = v1::RemoveOperatorRequest {
                name: name.to_string(),
            };
            connection.answer(trust.remove_operator(request)).await?;
            output.done(&format!("operator {name} is removed"))
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct OperatorRow {
    name: String,
    role: String,
    id: String,
    since: Option<String>,
}

impl From<v1::Operator> for OperatorRow {
    fn from(operator: v1::Operator) -> Self {
        Self {
            name: operator.name,
            role: operator.role,
            id: operator.id,
            since: clock::utc_or_none(operator.made_at_ms),
        }
    }
}

impl Row for OperatorRow {
    const COLUMNS: &'static [&'static str] = &["NAME", "ROLE", "ID", "SINCE"];
    const SPARE: &'static [&'static str] = &["ID"];

    fn cells(&self, _: u64) -> Vec<String> {
        vec![
            self.name.clone(),
            self.role.clone(),
            self.id.clone(),
            or_dash(self.since.as_ref()),
        ]
    }
}
