//! A client that has no `.proto` file finds out by itself what it may ask, and
//! whether it is worth asking.

use std::collections::BTreeSet;

use anyhow::{Context, Result, bail, ensure};
use prost::Message;
use prost_types::FileDescriptorProto;
use tests::{controller::Controller, etcd::Etcd, wait::eventually};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
    server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
};

const SERVICES: [&str; 8] = [
    "grpc.health.v1.Health",
    "weft.v1.AgentService",
    "weft.v1.EndpointService",
    "weft.v1.FleetService",
    "weft.v1.LeaseService",
    "weft.v1.NetworkService",
    "weft.v1.NodeService",
    "weft.v1.StatusService",
];
const LEASE_METHODS: [&str; 9] = [
    "Acquire",
    "Get",
    "List",
    "ListReservations",
    "Release",
    "Renew",
    "Reserve",
    "Unreserve",
    "Watch",
];

#[tokio::test(flavor = "multi_thread")]
async fn a_generic_client_finds_every_service_and_its_methods() -> Result<()> {
    let controller = Controller::embedded(&[])?;
    let listed = ask(&controller, MessageRequest::ListServices(String::new())).await?;
    let MessageResponse::ListServicesResponse(listed) = listed else {
        bail!("not a list of services: {listed:?}");
    };
    let names: BTreeSet<&str> = listed.service.iter().map(|one| one.name.as_str()).collect();
    for service in SERVICES {
        assert!(names.contains(service), "{service} is not in {names:?}");
    }

    let symbol = MessageRequest::FileContainingSymbol("weft.v1.LeaseService".into());
    let files = files(ask(&controller, symbol).await?)?;
    let service = files
        .iter()
        .flat_map(|file| &file.service)
        .find(|service| service.name() == "LeaseService")
        .context("the service in its file")?;
    let mut methods: Vec<&str> = service.method.iter().map(|method| method.name()).collect();
    methods.sort_unstable();
    assert_eq!(methods, LEASE_METHODS);
    let watch = service
        .method
        .iter()
        .find(|method| method.name() == "Watch");
    assert!(watch.is_some_and(|watch| watch.server_streaming()));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_type_that_a_request_needs_can_be_had() -> Result<()> {
    let controller = Controller::embedded(&[])?;
    for service in SERVICES {
        let symbol = MessageRequest::FileContainingSymbol(service.into());
        for file in files(ask(&controller, symbol).await?)? {
            for import in &file.dependency {
                let named = MessageRequest::FileByFilename(import.clone());
                let found = files(ask(&controller, named).await?);
                found.with_context(|| format!("{import}, imported by {}", file.name()))?;
            }
        }
    }
    let unknown = MessageRequest::FileContainingSymbol("weft.v1.NoSuchService".into());
    assert!(ask(&controller, unknown).await.is_err());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn health_follows_the_store() -> Result<()> {
    let mut etcd = Etcd::start()?;
    let controller = Controller::etcd(&etcd, &[])?;
    let mut client = HealthClient::new(controller.channel()?);
    serving(&mut client, ServingStatus::Serving).await?;
    etcd.kill()?;
    serving(&mut client, ServingStatus::NotServing).await?;
    let ready = controller.ops("/readyz")?;
    assert_eq!(ready.status, 503, "{ready:?}");
    // The process itself is well: nobody should kill it for this.
    assert_eq!(controller.ops("/healthz")?.status, 200);
    etcd.restart()?;
    serving(&mut client, ServingStatus::Serving).await
}

async fn serving(
    client: &mut HealthClient<tonic::transport::Channel>,
    wanted: ServingStatus,
) -> Result<()> {
    eventually(&format!("the health service says {wanted:?}"), async || {
        let answer = client.check(HealthCheckRequest::default()).await?;
        let status = answer.into_inner().status();
        ensure!(status == wanted, "it says {status:?}");
        Ok(())
    })
    .await
}

async fn ask(controller: &Controller, request: MessageRequest) -> Result<MessageResponse> {
    let mut client = ServerReflectionClient::new(controller.channel()?);
    let request = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(request),
    };
    let asked = tokio_stream::iter([request]);
    let mut answers = client.server_reflection_info(asked).await?.into_inner();
    let answer = answers.message().await?.context("an answer")?;
    let answer = answer.message_response.context("an answer with content")?;
    if let MessageResponse::ErrorResponse(error) = answer {
        bail!("{error:?}");
    }
    Ok(answer)
}

fn files(answer: MessageResponse) -> Result<Vec<FileDescriptorProto>> {
    let MessageResponse::FileDescriptorResponse(files) = answer else {
        bail!("not a file: {answer:?}");
    };
    let files = files.file_descriptor_proto.iter();
    Ok(files
        .map(|file| FileDescriptorProto::decode(file.as_slice()))
        .collect::<Result<_, _>>()?)
}
