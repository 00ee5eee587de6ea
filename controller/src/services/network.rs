//! Networks: create, get, list, grow, delete.

use overlay::{
    decide::{decay, network},
    name::NetworkName,
    network::Network,
    registry::Stored,
};
use proto::{decode, encode, v1};
use tonic::{Request, Response, Status, async_trait};
use tracing::info;

use super::{by, invalid, status};
use crate::{finish::finish, keeper::Keeper};

pub struct Networks {
    pub keeper: Keeper,
}

#[async_trait]
impl v1::network_service_server::NetworkService for Networks {
    async fn create(
        &self,
        request: Request<v1::CreateNetworkRequest>,
    ) -> Result<Response<v1::Network>, Status> {
        let spec = decode::create_network(request.get_ref()).map_err(|error| invalid(&error))?;
        let created = self
            .keeper
            .write(move |view| network::create(view, &spec))
            .await;
        let created = created.map_err(|failure| status(&failure))?;
        let network = &created.0;
        info!(network = %network.name, pools = pools(network), by = by(&request), "a network was made");
        self.answer(created).await
    }

    async fn get(
        &self,
        request: Request<v1::GetNetworkRequest>,
    ) -> Result<Response<v1::Network>, Status> {
        let name = named(&request.get_ref().name)?;
        let missing = Status::not_found(format!("there is no network {name}"));
        let found = self
            .keeper
            .with(move |state| {
                let space = state.registry().space(&name)?;
                Some(encode::network(space.network()?, Some(space)))
            })
            .await;
        let found = found.map_err(|failure| status(&failure))?;
        found.map(Response::new).ok_or(missing)
    }

    async fn list(
        &self,
        _: Request<v1::ListNetworksRequest>,
    ) -> Result<Response<v1::ListNetworksResponse>, Status> {
        let networks = self.keeper.with(|state| {
            let spaces = state.registry().networks();
            let encode = |space| {
                Some(encode::network(
                    overlay::registry::Space::network(space)?,
                    Some(space),
                ))
            };
            spaces.filter_map(encode).collect()
        });
        let networks = networks.await.map_err(|failure| status(&failure))?;
        Ok(Response::new(v1::ListNetworksResponse { networks }))
    }

    async fn grow(
        &self,
        request: Request<v1::GrowNetworkRequest>,
    ) -> Result<Response<v1::Network>, Status> {
        let ask = request.get_ref();
        let name = named(&ask.name)?;
        let wider = decode::subnets("pools", &ask.pools).map_err(|error| invalid(&error))?;
        let grown = self
            .keeper
            .write(move |view| network::grow(view, &name, &wider))
            .await;
        let grown = grown.map_err(|failure| status(&failure))?;
        let network = &grown.0;
        info!(network = %network.name, pools = pools(network), by = by(&request), "a network has grown");
        self.answer(grown).await
    }

    async fn delete(
        &self,
        request: Request<v1::DeleteNetworkRequest>,
    ) -> Result<Response<v1::DeleteNetworkResponse>, Status> {
        let ask = request.get_ref();
        let (name, force) = (named(&ask.name)?, ask.force);
        let deleting = name.clone();
        let begun = self
            .keeper
            .write(move |view| network::delete(view, &deleting, force))
            .await;
        begun.map_err(|failure| status(&failure))?;
        info!(network = %name, force, by = by(&request), "a network is deleted");
        let released_leases = finish(&self.keeper, move |registry| {
            decay::due_of_network(registry, &name)
        })
        .await;
        Ok(Response::new(v1::DeleteNetworkResponse { released_leases }))
    }
}

impl Networks {
    /// The network as it is now, with the use of its pools.
    async fn answer(
        &self,
        (value, revision): (Network, u64),
    ) -> Result<Response<v1::Network>, Status> {
        let network = self.keeper.with(move |state| {
            let space = state.registry().space(&value.name);
            encode::network(
                &Stored {
                    revision,
                    value: value.clone(),
                },
                space,
            )
        });
        network
            .await
            .map(Response::new)
            .map_err(|failure| status(&failure))
    }
}

fn pools(network: &Network) -> String {
    let pools = network.pools().map(|pool| pool.to_string());
    pools.collect::<Vec<_>>().join(",")
}

fn named(name: &str) -> Result<NetworkName, Status> {
    decode::parse("name", name).map_err(|error| invalid(&error))
}
