//! A node that has a lease and no machine.

use anyhow::Result;
use serde_json::Value;
use tests::lab::{Host, Lab, Part};

pub struct Peer {
    pub v4: String,
    pub v6: String,
    pub metric4: u32,
    pub metric6: u32,
}

impl Peer {
    pub fn new(lab: &Lab) -> Result<Self> {
        let leases = lab.lease_to(1000..1001)?;
        let subnets = &leases[0].subnets;
        let metric =
            |subnet: &str| -> Result<u32> { Ok(overlay::datapath::entry::metric(subnet.parse()?)) };
        Ok(Self {
            v4: subnets[0].clone(),
            v6: subnets[1].clone(),
            metric4: metric(&subnets[0])?,
            metric6: metric(&subnets[1])?,
        })
    }
}

/// Our own routes to the peer are there, or not.
pub fn routes_to(host: &Host, peer: &Peer) -> Result<usize> {
    let picture = tests::lab::Picture::of(host, "weft1")?;
    let routes = [Part::Routes4, Part::Routes6].map(|part| picture.part(part).clone());
    let routes = routes.iter().filter_map(Value::as_array).flatten();
    let to_it =
        |route: &&Value| route["dst"] == peer.v4.as_str() || route["dst"] == peer.v6.as_str();
    Ok(routes
        .filter(to_it)
        .filter(|route| route["protocol"] == "77")
        .count())
}
