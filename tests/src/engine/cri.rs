//! Pods, asked for as a kubelet asks: the part of CRI's `runtime.v1` that this takes.

use std::{collections::HashMap, path::PathBuf, time::Duration};

use anyhow::{Context, Result};
use prost::Message;
use tokio::runtime;
use tonic::{
    Request,
    client::Grpc,
    codegen::http::uri::PathAndQuery,
    transport::{Channel, Endpoint},
};
use tonic_prost::ProstCodec;

/// Of a call; a runtime waits for plugins meanwhile.
const PATIENCE: Duration = Duration::from_secs(60);

pub struct Cri {
    socket: PathBuf,
}

#[derive(Clone, PartialEq, Message)]
pub struct PodMetadata {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(string, tag = "2")]
    pub uid: String,
    #[prost(string, tag = "3")]
    pub namespace: String,
}

#[derive(Clone, PartialEq, Message)]
pub struct PortMapping {
    /// 0 is TCP.
    #[prost(int32, tag = "1")]
    pub protocol: i32,
    #[prost(int32, tag = "2")]
    pub container_port: i32,
    #[prost(int32, tag = "3")]
    pub host_port: i32,
}

#[derive(Clone, PartialEq, Message)]
pub struct LinuxPod {
    #[prost(string, tag = "1")]
    pub cgroup_parent: String,
}

#[derive(Clone, PartialEq, Message)]
pub struct Pod {
    #[prost(message, optional, tag = "1")]
    pub metadata: Option<PodMetadata>,
    #[prost(string, tag = "2")]
    pub hostname: String,
    #[prost(message, repeated, tag = "5")]
    pub port_mappings: Vec<PortMapping>,
    #[prost(map = "string, string", tag = "7")]
    pub annotations: HashMap<String, String>,
    #[prost(message, optional, tag = "8")]
    pub linux: Option<LinuxPod>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Name {
    #[prost(string, tag = "1")]
    pub name: String,
}

#[derive(Clone, PartialEq, Message)]
pub struct Container {
    #[prost(message, optional, tag = "1")]
    pub metadata: Option<Name>,
    #[prost(message, optional, tag = "2")]
    pub image: Option<Name>,
    #[prost(string, repeated, tag = "3")]
    pub command: Vec<String>,
}

#[derive(Clone, PartialEq, Message)]
struct RunPod {
    #[prost(message, optional, tag = "1")]
    config: Option<Pod>,
}

#[derive(Clone, PartialEq, Message)]
struct Id {
    #[prost(string, tag = "1")]
    id: String,
}

#[derive(Clone, PartialEq, Message)]
struct CreateContainer {
    #[prost(string, tag = "1")]
    pod: String,
    #[prost(message, optional, tag = "2")]
    config: Option<Container>,
    #[prost(message, optional, tag = "3")]
    pod_config: Option<Pod>,
}

#[derive(Clone, PartialEq, Message)]
struct Nothing {}

#[derive(Clone, PartialEq, Message)]
pub struct Condition {
    /// `NetworkReady` is whether the plugin is.
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(bool, tag = "2")]
    pub holds: bool,
    #[prost(string, tag = "4")]
    pub message: String,
}

#[derive(Clone, PartialEq, Message)]
struct Conditions {
    #[prost(message, repeated, tag = "1")]
    conditions: Vec<Condition>,
}

#[derive(Clone, PartialEq, Message)]
struct Status {
    #[prost(message, optional, tag = "1")]
    status: Option<Conditions>,
}

impl Cri {
    pub fn new(socket: PathBuf) -> Self {
        Self { socket }
    }

    /// Its id.
    pub fn run_pod(&self, pod: &Pod) -> Result<String> {
        let config = Some(pod.clone());
        Ok(self.call::<_, Id>("RunPodSandbox", RunPod { config })?.id)
    }

    /// Starts a container in a pod; its id.
    pub fn run(&self, id: &str, pod: &Pod, container: &Container) -> Result<String> {
        let create = CreateContainer {
            pod: id.to_owned(),
            config: Some(container.clone()),
            pod_config: Some(pod.clone()),
        };
        let Id { id } = self.call("CreateContainer", create)?;
        self.call::<_, Nothing>("StartContainer", Id { id: id.clone() })?;
        Ok(id)
    }

    /// Stops it with all its containers, and forgets it.
    pub fn remove_pod(&self, id: &str) -> Result<()> {
        let id = Id { id: id.to_owned() };
        self.call::<_, Nothing>("StopPodSandbox", id.clone())?;
        self.call::<_, Nothing>("RemovePodSandbox", id).map(drop)
    }

    pub fn conditions(&self) -> Result<Vec<Condition>> {
        let status = self.call::<_, Status>("Status", Nothing {})?.status;
        Ok(status.context("a status")?.conditions)
    }

    fn call<Q, A>(&self, method: &str, request: Q) -> Result<A>
    where
        Q: Message + Send + 'static,
        A: Message + Default + Send + 'static,
    {
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let socket = format!("unix:{}", self.socket.display());
        let path: PathAndQuery = format!("/runtime.v1.RuntimeService/{method}").parse()?;
        let answer = runtime.block_on(async {
            let channel: Channel = Endpoint::new(socket)?.connect().await?;
            let mut client = Grpc::new(channel);
            client.ready().await?;
            let codec = ProstCodec::<Q, A>::default();
            let mut request = Request::new(request);
            request.set_timeout(PATIENCE);
            anyhow::Ok(client.unary(request, path, codec).await?)
        });
        Ok(answer.with_context(|| method.to_owned())?.into_inner())
    }
}
