//! Every call of the API, by everybody who may come.

use std::{collections::BTreeMap, fs, path::Path, time::Duration};

use anyhow::{Context, Result, ensure};
use credentials::{Credentials, Line, Trust};
use overlay::trust::Token;
use proto::v1::{
    self, agent_message, agent_service_client::AgentServiceClient, controller_message,
};
use tests::{lab::Lab, trusted::token};
use tokio::time::timeout;
use tonic::{
    Code, Request, Status,
    client::Grpc,
    codegen::http::uri::PathAndQuery,
    transport::{Channel, Endpoint},
};
use uuid::Uuid;

use super::fleet;

/// Who may make which call: of a node, a reader, an admin, a stranger to the fleet.
const TABLE: &str = "
AgentService/Session             node
EndpointService/List                   reader admin
EndpointService/Watch                  reader admin
FleetService/Ask                       reader admin
FleetService/Events                    reader admin
FleetService/Inspect                   reader admin
LeaseService/Acquire                          admin
LeaseService/Renew                            admin
LeaseService/Release                          admin
LeaseService/Get                       reader admin
LeaseService/List                      reader admin
LeaseService/Watch                     reader admin
LeaseService/Reserve                          admin
LeaseService/Unreserve                        admin
LeaseService/ListReservations          reader admin
NetworkService/Create                         admin
NetworkService/Get                     reader admin
NetworkService/List                    reader admin
NetworkService/Grow                           admin
NetworkService/Delete                         admin
NodeService/List                       reader admin
NodeService/Get                        reader admin
NodeService/Remove                            admin
StatusService/Get                      reader admin
TrustService/Join                node reader admin stranger
TrustService/Login               node reader admin stranger
TrustService/Renew               node reader admin
TrustService/CreateToken                      admin
TrustService/ListTokens                       admin
TrustService/RevokeToken                      admin
TrustService/ListOperators             reader admin
TrustService/RemoveOperator                   admin
";

/// Longer than a refusal takes; a watch says nothing for ever.
const ANSWER: Duration = Duration::from_secs(2);

#[test]
fn each_is_for_whom_it_is() -> Result<()> {
    let lab = fleet(1, &[])?;
    drop(lab.agent(1, &[])?);
    let trusted = lab.trusted.as_ref().context("an authority")?;
    let reader = trusted.credentials("eve");
    let made = lab.controllers[0].weft(&["operator", "create", "eve"])?;
    let words = ["login", "--token", &token(&made.stdout)?, "--credentials"];
    let said = lab.controllers[0].weft(&[&words[..], &[&reader.display().to_string()]].concat())?;
    ensure!(said.code == 0, "{said:?}");
    let node = lab.host(1).directory().join("state/credentials.json");
    let authority: Token = lab.token(&[])?.parse()?;

    let table: BTreeMap<String, Vec<&str>> = TABLE
        .lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            Some((words.next()?.to_owned(), words.collect()))
        })
        .collect();
    let calls = calls()?;
    let (known, there): (Vec<_>, Vec<_>) = (table.keys().collect(), calls.iter().collect());
    ensure!(known == there, "{known:?} {there:?}");
    inside(&lab, async |endpoint| {
        let lines = [
            ("node", of(&node)?),
            ("reader", of(&reader)?),
            ("admin", of(&trusted.admin())?),
            ("stranger", Line::tls(&Trust::Pinned(authority.authority))?),
            ("plain", Line::plain()),
        ];
        for (who, line) in lines {
            let channel = line.connect(&endpoint).await?;
            for (call, allowed) in &table {
                let status = made_call(&channel, call).await;
                let denied = [Code::PermissionDenied, Code::Unauthenticated];
                let was_allowed = !denied.contains(&status.code());
                ensure!(
                    was_allowed == allowed.contains(&who),
                    "{call} by {who}: {status:?}"
                );
                ensure!(!status.message().is_empty() || was_allowed, "{status:?}");
            }
            let status = made_call(&channel, "LeaseService/Steal").await;
            ensure!(
                [Code::Unimplemented, Code::Unauthenticated].contains(&status.code()),
                "{status:?}"
            );
        }
        Ok(())
    })
}

#[test]
fn a_node_speaks_for_itself_alone() -> Result<()> {
    let lab = fleet(2, &[])?;
    let mut agents = lab.agents(&[])?;
    let second = agents.pop().context("the second")?;
    // What the first has, in the hands of somebody who lies.
    let state = lab.host(1).directory().join("state");
    let held = of(&state.join("credentials.json"))?;
    let identity: serde_json::Value =
        serde_json::from_slice(&fs::read(state.join("identity.json"))?)?;
    let id = identity["id"].as_str().context("an id")?.to_owned();
    drop(agents);
    let hello = |node: &str, id: &str, underlay: &str| v1::Hello {
        node: node.into(),
        node_id: id.into(),
        session: Uuid::new_v4().to_string(),
        networks: vec![v1::Join {
            network: "default".into(),
            underlay: underlay.into(),
            mac: "02:00:00:00:00:01".into(),
            revision: 0,
        }],
        ..v1::Hello::default()
    };
    let others = lab.host(2).v4().to_string();
    inside(&lab, async |endpoint| {
        let channel = held.connect(&endpoint).await?;
        for (node, id) in [("h2", id.clone()), ("h1", Uuid::new_v4().to_string())] {
            let said = session(&channel, hello(node, &id, "")).await;
            let status = said.err().context("it was let in")?;
            ensure!(status.code() == Code::PermissionDenied, "{status:?}");
            ensure!(
                status.message().contains("the certificate is of"),
                "{status:?}"
            );
        }
        // Another's underlay address is not given to it either.
        let said = session(&channel, hello("h1", &id, &others)).await?;
        let refused = said.iter().find_map(|message| match message {
            controller_message::Message::Refused(refused) => Some(refused.reason.clone()),
            _ => None,
        });
        let refused = refused.with_context(|| format!("{said:?}"))?;
        ensure!(refused.contains("belongs to node h2"), "{refused}");
        Ok(())
    })?;
    ensure!(second.status()?["ready"] == true);
    Ok(())
}

/// What is said in a session until it is joined, or refused.
async fn session(
    channel: &Channel,
    hello: v1::Hello,
) -> Result<Vec<controller_message::Message>, Status> {
    let hello = v1::AgentMessage {
        message: Some(agent_message::Message::Hello(hello)),
    };
    let words = tokio_stream::StreamExt::chain(
        tokio_stream::once(hello),
        tokio_stream::pending::<v1::AgentMessage>(),
    );
    let mut client = AgentServiceClient::new(channel.clone());
    let mut stream = client.session(words).await?.into_inner();
    let mut said = Vec::new();
    while let Ok(message) = timeout(ANSWER, stream.message()).await {
        let Some(message) = message?.and_then(|message| message.message) else {
            break;
        };
        use controller_message::Message::{Joined, Refused};
        let last = matches!(message, Joined(_) | Refused(_));
        said.push(message);
        if last {
            break;
        }
    }
    Ok(said)
}

fn inside(lab: &Lab, act: impl AsyncFnOnce(Endpoint) -> Result<()> + Send) -> Result<()> {
    let url = lab.controllers[0].url()?.replace("https", "http");
    let endpoint = Endpoint::from_shared(url)?;
    lab.controllers[0].place().inside(|| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(act(endpoint))
    })
}

fn of(file: &Path) -> Result<Line> {
    let held = Credentials::read(file)?.context("credentials")?;
    Ok(Line::tls(&Trust::Known(&held))?)
}

/// One call with an empty message, as anybody can make it.
async fn made_call(channel: &Channel, call: &str) -> Status {
    let asked = async {
        let mut grpc = Grpc::new(channel.clone());
        grpc.ready()
            .await
            .map_err(|error| Status::unknown(error.to_string()))?;
        let path: PathAndQuery = format!("/weft.v1.{call}")
            .parse()
            .map_err(|_| Status::unknown("a path"))?;
        let codec: tonic_prost::ProstCodec<(), ()> = tonic_prost::ProstCodec::default();
        grpc.unary(Request::new(()), path, codec).await
    };
    match timeout(ANSWER, asked).await {
        Ok(Ok(_)) | Err(_) => Status::ok(""),
        Ok(Err(status)) => status,
    }
}

/// All there are, as the API's files say.
fn calls() -> Result<Vec<String>> {
    let files = Path::new(env!("CARGO_MANIFEST_DIR")).join("../proto/weft/v1");
    let mut calls = Vec::new();
    for file in fs::read_dir(files)? {
        let mut service = String::new();
        for line in fs::read_to_string(file?.path())?.lines() {
            let words: Vec<&str> = line
                .split([' ', '('])
                .filter(|word| !word.is_empty())
                .collect();
            match words.as_slice() {
                ["service", name, ..] => service = (*name).to_owned(),
                ["rpc", name, ..] => calls.push(format!("{service}/{name}")),
                _ => {}
            }
        }
    }
    calls.sort_unstable();
    Ok(calls)
}
