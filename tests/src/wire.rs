//! An agent's session as the bytes of its messages, whatever they mean: to be recorded,
//! said again by a later build, or said as no build says them yet.

use std::{convert::Infallible, sync::Arc, task};

use anyhow::Result;
use prost::bytes::{Buf, BufMut, Bytes};
use tokio::{net::TcpListener, sync::mpsc};
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::{
    Request, Response, Status, Streaming,
    body::Body,
    client,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
    codegen::{BoxFuture, Service, http},
    server::{self, NamedService, StreamingService},
    transport::{Channel, Server},
};

const SERVICE: &str = "weft.v1.AgentService";
const SESSION: &str = "/weft.v1.AgentService/Session";

pub type Answers = ReceiverStream<Result<Bytes, Status>>;
/// Takes what an agent says, and answers.
pub type Answer = Arc<dyn Fn(Streaming<Bytes>) -> BoxFuture<Answers, Status> + Send + Sync>;

/// Opens a session that says these.
pub async fn open(
    channel: Channel,
    words: mpsc::Receiver<Bytes>,
) -> Result<Streaming<Bytes>, Status> {
    let mut client = client::Grpc::new(channel);
    let ready = client.ready().await;
    ready.map_err(|error| Status::unavailable(error.to_string()))?;
    let request = Request::new(ReceiverStream::new(words));
    let path = http::uri::PathAndQuery::from_static(SESSION);
    let answer = client.streaming(request, path, Raw).await?;
    Ok(answer.into_inner())
}

/// Stands where a controller does, until it is dropped.
pub async fn serve(listener: TcpListener, answer: Answer) -> Result<()> {
    let connections = TcpListenerStream::new(listener);
    let server = Server::builder().add_service(Door(answer));
    Ok(server.serve_with_incoming(connections).await?)
}

/// A codec that leaves all as it is.
#[derive(Debug, Clone, Copy, Default)]
struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put_slice(&item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(buffer.copy_to_bytes(buffer.remaining())))
    }
}

#[derive(Clone)]
struct Door(Answer);

impl NamedService for Door {
    const NAME: &'static str = SERVICE;
}

impl Service<http::Request<Body>> for Door {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Infallible>;

    fn poll_ready(&mut self, _: &mut task::Context<'_>) -> task::Poll<Result<(), Infallible>> {
        task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let door = self.clone();
        Box::pin(async move { Ok(server::Grpc::new(Raw).streaming(door, request).await) })
    }
}

impl StreamingService<Bytes> for Door {
    type Response = Bytes;
    type ResponseStream = Answers;
    type Future = BoxFuture<Response<Answers>, Status>;

    fn call(&mut self, request: Request<Streaming<Bytes>>) -> Self::Future {
        let answers = (self.0)(request.into_inner());
        Box::pin(async move { Ok(Response::new(answers.await?)) })
    }
}
