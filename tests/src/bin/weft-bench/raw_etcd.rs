//! Plain puts to etcd, one key each, past everything of Weft's: what the same etcd on
//! the same disk gives in the same minute.

use anyhow::{Context, Result};
use prost::Message;
use tonic::{
    Request,
    client::Grpc,
    codegen::http::uri::PathAndQuery,
    transport::{Channel, Endpoint},
};
use tonic_prost::ProstCodec;

use crate::rate::{Rate, measure};

/// As long as a lease record, about.
const VALUE: usize = 240;

/// The two fields of etcdserverpb.PutRequest that are used here.
#[derive(Clone, PartialEq, Message)]
struct Put {
    #[prost(bytes = "vec", tag = "1")]
    key: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    value: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
struct Done {}

pub async fn puts(endpoint: &str, clients: usize, total: usize, run: usize) -> Result<Rate> {
    let channel = Endpoint::from_shared(endpoint.to_owned())?
        .connect()
        .await?;
    measure(clients, total, move |_, number| {
        let channel = channel.clone();
        async move { put(channel, format!("/raw/{run}/{clients}/{number}")).await }
    })
    .await
}

async fn put(channel: Channel, key: String) -> Result<()> {
    let mut grpc = Grpc::new(channel);
    grpc.ready().await.context("etcd went away")?;
    let put = Put {
        key: key.into_bytes(),
        value: vec![b'x'; VALUE],
    };
    let path = PathAndQuery::from_static("/etcdserverpb.KV/Put");
    grpc.unary::<Put, Done, _>(Request::new(put), path, ProstCodec::default())
        .await?;
    Ok(())
}
