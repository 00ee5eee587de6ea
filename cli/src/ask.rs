//! Asks the agents of other hosts, each through the controller that has its session.

use std::{sync::Arc, time::Duration};

use overlay::name::{NetworkName, NodeName};
use proto::v1;
use serde::{Serialize, de::DeserializeOwned};
use socket::words::{Reason, Refusal};
use tokio::{task::JoinSet, time::timeout};
use tonic::{Code, Status};

use crate::{
    connect::{Connection, Reach},
    failure::Failure,
};

/// Agents that are asked at once.
const AT_ONCE: usize = 32;
/// The controller judges the time; a connection that hangs is not waited for.
const GRACE: Duration = Duration::from_secs(2);

/// All controllers that answer, and why the others do not.
#[derive(Debug, Clone)]
pub struct Asker {
    connected: Arc<[Connection]>,
    unreachable: Arc<[Failure]>,
}

/// What is asked.
#[derive(Debug, Clone)]
pub struct Question {
    pub method: &'static str,
    pub path: String,
    pub body: Vec<u8>,
    pub within: Duration,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub status: u32,
    pub body: Vec<u8>,
}

impl Asker {
    pub async fn open(reach: &Reach) -> Result<Self, Failure> {
        let mut connected = Vec::new();
        let mut failed = Vec::new();
        for (_, opened) in Connection::each(reach).await {
            match opened {
                Ok(connection) => connected.push(connection),
                Err(failure) => failed.push(failure),
            }
        }
        if connected.is_empty() {
            return Err(Failure::of_all(failed));
        }
        Ok(Self {
            connected: connected.into(),
            unreachable: failed.into(),
        })
    }

    pub fn all(&self) -> &[Connection] {
        &self.connected
    }

    pub fn unreachable(&self) -> &[Failure] {
        &self.unreachable
    }

    /// Any of them, for what every controller knows.
    pub fn any(&self) -> &Connection {
        &self.connected[0]
    }

    /// The nodes that have an agent, connected or not; those of one network, or all.
    pub async fn agents(&self, network: Option<&NetworkName>) -> Result<Vec<NodeName>, Failure> {
        let connection = self.any();
        let request = v1::ListNodesRequest {};
        let answer = connection.answer(connection.nodes().list(request)).await?;
        let is_in = |node: &v1::Node| {
            let mut networks = node.networks.iter();
            network.is_none_or(|name| networks.any(|one| one.network == name.as_str()))
        };
        let nodes = answer.nodes.iter();
        let nodes = nodes.filter(|node| node.state != "api" && is_in(node));
        let mut names: Vec<NodeName> = nodes.filter_map(|node| node.name.parse().ok()).collect();
        names.sort();
        Ok(names)
    }

    /// Asks a node's agent. Another controller than its own says so at once; of one that has
    /// died since, another may have the agent by now.
    pub async fn ask(&self, node: &NodeName, question: &Question) -> Result<Answer, Failure> {
        let mut first = None;
        for connection in self.connected.iter() {
            let asked = timeout(question.within + GRACE, once(connection, node, question)).await;
            let url = &connection.url;
            match asked {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(status)) if may_be_elsewhere(&status) => {
                    first = first.or(Some(failure(url, &status)));
                }
                Ok(Err(status)) => return Err(failure(url, &status)),
                Err(_) => {
                    return Err(Failure::Late {
                        url: url.clone(),
                        timeout: question.within,
                    });
                }
            }
        }
        Err(first.expect("there is a controller, and each has said something"))
    }

    /// Asks in words, and reads the answer as words; what is refused is a failure.
    pub async fn words<T: DeserializeOwned>(
        &self,
        node: &NodeName,
        question: &Question,
    ) -> Result<T, Failure> {
        let answer = self.ask(node, question).await?;
        answer.words(node)
    }

    /// Asks many, some at once, and hands on each answer as it comes.
    pub async fn ask_all(
        &self,
        questions: impl IntoIterator<Item = (NodeName, Question)>,
        mut each: impl FnMut(NodeName, Result<Answer, Failure>),
    ) {
        let mut waiting = questions.into_iter();
        let mut under_way = JoinSet::new();
        loop {
            while under_way.len() < AT_ONCE
                && let Some((node, question)) = waiting.next()
            {
                let asker = self.clone();
                under_way.spawn(async move {
                    let answer = asker.ask(&node, &question).await;
                    (node, answer)
                });
            }
            match under_way.join_next().await {
                Some(Ok((node, answer))) => each(node, answer),
                Some(Err(broken)) => std::panic::resume_unwind(broken.into_panic()),
                None => return,
            }
        }
    }
}

impl Question {
    pub fn get(path: &str, within: Duration) -> Self {
        Self {
            method: "GET",
            path: path.into(),
            body: Vec::new(),
            within,
        }
    }

    pub fn post(path: &str, words: &impl Serialize, within: Duration) -> Self {
        let body = serde_json::to_vec(words);
        Self {
            method: "POST",
            body: body.expect("words hold nothing that JSON could not"),
            ..Self::get(path, within)
        }
    }
}

impl Answer {
    pub fn is_good(&self) -> bool {
        (200..300).contains(&self.status)
    }

    pub fn words<T: DeserializeOwned>(&self, node: &NodeName) -> Result<T, Failure> {
        if !self.is_good() {
            return Err(self.refusal(node));
        }
        serde_json::from_slice(&self.body).map_err(|_| {
            let text = format!("the agent of node {node} is of another version than this weft");
            Failure::Refused(text)
        })
    }

    /// Why a node did not do what it was asked.
    pub fn refusal(&self, node: &NodeName) -> Failure {
        let said = match serde_json::from_slice::<Refusal>(&self.body) {
            Ok(refusal) => refusal,
            Err(_) => {
                let text = String::from_utf8_lossy(&self.body).trim().to_owned();
                let reason = match self.status {
                    400 => Reason::Bad,
                    503 | 504 => Reason::NotReady,
                    _ => Reason::Kernel,
                };
                let text = match (text.as_str(), self.status) {
                    ("", 404 | 405) => "its agent does not know this question".into(),
                    ("", 504) => "its agent has not answered in time".into(),
                    ("", status) => format!("its agent answered {status}"),
                    _ => text,
                };
                Refusal::new(reason, text)
            }
        };
        let text = format!("node {node}: {}", said.message);
        match said.reason {
            Reason::Bad => Failure::BadRequest(text),
            Reason::NotReady => Failure::NodeNotReady(text),
            _ => Failure::Refused(text),
        }
    }
}

async fn once(
    connection: &Connection,
    node: &NodeName,
    question: &Question,
) -> Result<Answer, Status> {
    let request = v1::AskRequest {
        node: node.to_string(),
        method: question.method.into(),
        path: question.path.clone(),
        body: question.body.clone().into(),
        within_ms: u64::try_from(question.within.as_millis()).unwrap_or(u64::MAX),
    };
    let answer = connection.fleet().ask(request).await?.into_inner();
    Ok(Answer {
        status: answer.status,
        body: answer.body.into(),
    })
}

fn may_be_elsewhere(status: &Status) -> bool {
    [Code::FailedPrecondition, Code::Unavailable].contains(&status.code())
}

/// An agent that cannot be asked is something else than a controller that cannot ask.
fn failure(url: &str, status: &Status) -> Failure {
    match status.code() {
        Code::Unimplemented if !status.message().is_empty() => {
            Failure::Refused(status.message().into())
        }
        Code::Unavailable | Code::DeadlineExceeded if !status.message().is_empty() => {
            Failure::NodeNotReady(status.message().into())
        }
        _ => Failure::answered(url, status),
    }
}
