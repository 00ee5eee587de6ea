//! `weft node`: the hosts that take part.

use clap::Subcommand;
use overlay::name::NodeName;
use proto::v1;

use crate::{
    ask::{Asker, Question},
    connect::{Connection, Reach},
    failure::Failure,
    output::{self, Output, section, table_of},
};

use row::{NodeDetail, TroubledRow};
pub use row::{NodeRow, lag, probed};

mod row;

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// List the nodes
    #[command(after_help = "\
Example:
  weft node list -o json

States: connected, disconnected, api (leases without an agent), idle (no lease).
LAG is the age of the oldest change that the node's kernel does not hold yet.")]
    List,
    /// Show one node and its networks
    #[command(after_help = "Example:\n  weft node show web-1")]
    Show { name: NodeName },
    /// Remove a node for good: its leases are released and its id stays out
    #[command(after_help = "\
Example:
  weft node remove web-1

To let the same machine in again, have its agent make a new id.")]
    Remove { name: NodeName },
    /// Ask a node's agent, as tools of its host would, and print what it answers
    #[command(after_help = "\
Examples:
  weft node ask web-1 /status
  weft node ask web-1 /metrics
  weft node ask web-1 /ipam/check --method POST

It goes through the controller that has the agent's session. The exit code is 1 where
the agent refuses, and 3 where it cannot answer just now.")]
    Ask {
        name: NodeName,
        /// A door of the agent that is open from afar
        path: String,
        #[arg(long, value_name = "METHOD", default_value = "GET")]
        method: Method,
    },
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
#[value(rename_all = "UPPER")]
pub enum Method {
    Get,
    Post,
    Put,
    Delete,
}

pub async fn run(verb: Verb, reach: &Reach, output: &Output) -> Result<(), Failure> {
    let connection = Connection::open(reach).await?;
    let mut nodes = connection.nodes();
    match verb {
        Verb::List => {
            let request = v1::ListNodesRequest {};
            let answer = connection.answer(nodes.list(request)).await?;
            let rows: Vec<NodeRow> = answer.nodes.into_iter().map(Into::into).collect();
            output.list(&rows, "no nodes; start `weft-agent` on a host")
        }
        Verb::Show { name } => {
            let name = name.to_string();
            let request = v1::GetNodeRequest { name };
            let node = connection.answer(nodes.get(request)).await?;
            let detail = NodeDetail::from(node);
            output.print(&detail, || described(&detail, output))
        }
        Verb::Remove { name } => {
            let request = v1::RemoveNodeRequest {
                name: name.to_string(),
            };
            let answer = connection.answer(nodes.remove(request)).await?;
            let released = output::counted(answer.released_leases, "lease");
            output.done(&format!("node {name} is removed, {released} released"))
        }
        Verb::Ask { name, path, method } => ask(&name, &path, method, reach).await,
    }
}

async fn ask(name: &NodeName, path: &str, method: Method, reach: &Reach) -> Result<(), Failure> {
    let method = match method {
        Method::Get => "GET",
        Method::Post => "POST",
        Method::Put => "PUT",
        Method::Delete => "DELETE",
    };
    let question = Question {
        method,
        ..Question::get(path, reach.timeout)
    };
    let answer = Asker::open(reach).await?.ask(name, &question).await?;
    if !answer.is_good() {
        return Err(answer.refusal(name));
    }
    output::bytes(&answer.body)
}

fn described(detail: &NodeDetail, output: &Output) -> String {
    let (now_ms, width) = (output.now_ms, output.width);
    let mut text = output::described(&detail.node);
    if !detail.attachments.is_empty() {
        text.push('\n');
        text.push_str(&table_of(&detail.attachments, now_ms, width));
    }
    let troubled = detail.attachments.iter().flat_map(|of| of.troubled.clone());
    let troubled: Vec<TroubledRow> = troubled.collect();
    text + &section("peers that its kernel refuses", &troubled, now_ms, width)
}
