//! Whatever Docker asks of its plugin, or tells of a container: pools, ports and names
//! that are in order, or one sentence.

#![no_main]

use json::{Input, Words};
use libfuzzer_sys::{
    arbitrary::{self, Arbitrary},
    fuzz_target,
};
use node_agent::docker::{
    names::Container,
    pool::{self, Pool},
    port,
    words::{Call, CreateEndpoint, CreateNetwork, RequestAddress, RequestPool},
};
use overlay::{
    endpoint::Publish,
    subnet::{Family, Subnet},
};
use serde_json::json;
use socket::words::Ground;

mod json;

const WORDS: Words = Words {
    keys: &[
        "PoolID",
        "Pool",
        "SubPool",
        "V6",
        "Address",
        "AddressIPv6",
        "MacAddress",
        "AddressSpace",
        "Gateway",
        "NetworkID",
        "EndpointID",
        "SandboxKey",
        "Interface",
        "Options",
        "IPv4Data",
        "IPv6Data",
        "weft.network",
        "weft.other",
        "RequestAddressType",
        "com.docker.network.endpoint.macaddress",
        "com.docker.network.generic",
        "com.docker.network.internal",
        "com.docker.network.portmap",
        "Proto",
        "Port",
        "HostIP",
        "HostPort",
        "HostPortEnd",
        "Id",
        "Name",
        "Config",
        "Labels",
        "NetworkSettings",
        "Networks",
        "Aliases",
        "DNSNames",
    ],
    texts: &[
        "",
        "0.0.0.0/0",
        "10.32.0.0/12",
        "10.32.1.0/24",
        "10.32.1.128/25",
        "fd77:32::/48",
        "10.32.1.1",
        "default",
        "default/v4",
        "default/v4/10.32.1.128/25",
        "default/v6",
        "com.docker.network.gateway",
        "02:42:64:f6:92:27",
        "127.0.0.1",
        "::",
        "/web-1",
    ],
};

const CALLS: [&str; 12] = [
    "IpamDriver.RequestPool",
    "NetworkDriver.CreateEndpoint",
    "IpamDriver.RequestAddress",
    "NetworkDriver.CreateNetwork",
    "NetworkDriver.Join",
    "NetworkDriver.Leave",
    "NetworkDriver.DeleteNetwork",
    "NetworkDriver.EndpointOperInfo",
    "IpamDriver.ReleasePool",
    "IpamDriver.ReleaseAddress",
    "Plugin.Activate",
    "NetworkDriver.Dance",
];

#[derive(Debug, Arbitrary)]
struct Asked<'a> {
    call: u8,
    body: Input<'a>,
}

fn grounds() -> Vec<Ground> {
    let ground = json!([{
        "network": "default",
        "vni": 1,
        "form": "routed",
        "subnets": ["10.32.1.0/24", "fd77:32:0:1::/64"],
        "pools": ["10.32.0.0/12", "fd77:32::/48"],
        "mtu": 1450,
        "masquerade": true,
        "ready": true,
    }]);
    serde_json::from_value(ground).expect("that is a ground")
}

fn is_said(error: &impl std::fmt::Display) {
    assert!(!error.to_string().is_empty());
}

fn request_pool(ask: &RequestPool) {
    let grounds = grounds();
    let chosen = match pool::choose(ask, &grounds) {
        Ok(chosen) => chosen,
        Err(error) => return is_said(&error),
    };
    let again: Pool = chosen.pool.to_string().parse().expect("it is our own id");
    assert_eq!(again, chosen.pool);
    assert_eq!(pool::choose(ask, &grounds), Ok(chosen.clone()));
    let told: Subnet = chosen.told.parse().expect("Docker reads it");
    let own = pool::own(&grounds[0], chosen.pool.family).expect("it has one");
    assert!(told.overlaps(own));
    assert!(own.holds(pool::gateway(own)));
    if let Some(range) = chosen.pool.range {
        let mut few = pool::candidates(range, own, 7).take(9);
        assert!(few.all(|address| own.holds(address) && range.holds(address)));
    }
}

fn request_address(ask: &RequestAddress) {
    ask.is_gateway();
    ask.mac();
    match ask.pool_id.parse::<Pool>() {
        Ok(pool) => assert!(Family::BOTH.contains(&pool.family)),
        Err(error) => is_said(&error),
    }
}

fn create_network(ask: &CreateNetwork) {
    ask.internal();
    ask.data().count();
    if let Err(error) = pool::named(ask.said()) {
        is_said(&error);
    }
}

fn create_endpoint(ask: &CreateEndpoint) {
    if let Err(error) = ask.interface.mac() {
        is_said(&error);
    }
    let ports = match ask.ports() {
        Ok(ports) => ports,
        Err(error) => return is_said(&error),
    };
    let taken: Vec<Publish> = vec!["1-60000:1-60000/tcp".parse().expect("it is good")];
    for taken in [&[][..], &taken] {
        match port::publish(&ports, taken) {
            Ok(publish) => {
                assert!(publish.iter().all(|publish| publish.check().is_ok()));
                let told = publish.iter().flat_map(port::map).collect::<Vec<_>>();
                let again = port::publish(&told, &[]).expect("we said it");
                assert!(again.iter().all(|one| publish.contains(one)));
            }
            Err(error) => is_said(&error),
        }
    }
}

fuzz_target!(|asked: Asked<'_>| {
    let right = json!({ "NetworkID": "a", "EndpointID": "b", "PoolID": "default/v4", "Id": "c" });
    let body = asked.body.bytes(right, &WORDS);
    let call = CALLS[usize::from(asked.call) % CALLS.len()];
    match Call::read(call, &body) {
        Ok(Some(Call::RequestPool(ask))) => request_pool(&ask),
        Ok(Some(Call::RequestAddress(ask))) => request_address(&ask),
        Ok(Some(Call::CreateNetwork(ask))) => create_network(&ask),
        Ok(Some(Call::CreateEndpoint(ask))) => create_endpoint(&ask),
        Ok(_) => {}
        Err(error) => is_said(&error),
    }
    if let Ok(container) = serde_json::from_slice::<Container>(&body) {
        for who in container.who().values() {
            assert_eq!(who.check(), Ok(()));
        }
    }
});
