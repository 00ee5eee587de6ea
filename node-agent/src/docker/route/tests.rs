use serde_json::{Value, json};

use super::*;

/// What the agent says of a container with these addresses on its interface.
fn attached(form: Form, on_link: &[&str], gateways: &[&str], pools: &[&str]) -> Attached {
    let links: Vec<Value> = on_link
        .iter()
        .map(|text| {
            let (address, length) = text.split_once('/').unwrap();
            json!({ "address": address, "length": length.parse::<u8>().unwrap() })
        })
        .collect();
    let addresses: Vec<&Value> = links.iter().map(|link| &link["address"]).collect();
    let attached = json!({
        "endpoint": {
            "network": "blue",
            "key": "docker/22aa4b",
            "seq": 1,
            "addresses": addresses,
            "mac": "02:42:64:f6:92:27",
            "sandbox": { "path": "/run/docker/netns/6b", "inode": 1, "interface": "eth0" },
            "since": 0,
            "form": form.as_str(),
        },
        "device": "wv22aa4b",
        "mtu": 1450,
        "gateways": gateways,
        "on_link": links,
        "pools": pools,
        "handed": "wx22aa4b",
    });
    serde_json::from_value(attached).unwrap()
}

fn told(attached: &Attached, internal: bool) -> Value {
    serde_json::to_value(joined(attached, "wx22aa4b".into(), internal)).unwrap()
}

/// dockerd 20.10 was seen to take it, and packets to follow.
#[test]
fn a_routed_container_knows_its_gateway_alone() {
    let both = attached(
        Form::Routed,
        &["10.31.1.3/32", "fd77:1:1::4/128"],
        &["10.31.1.1", "fd77:1:1::1"],
        &["10.31.0.0/16", "fd77:1::/48"],
    );
    let expected = json!({
        "InterfaceName": { "SrcName": "wx22aa4b", "DstPrefix": "eth" },
        "Gateway": "10.31.1.1",
        "GatewayIPv6": "fd77:1:1::1",
        "StaticRoutes": [
            { "Destination": "10.31.1.1/32", "RouteType": 1 },
            { "Destination": "fd77:1:1::1/128", "RouteType": 1 },
            { "Destination": "10.31.0.0/16", "RouteType": 0, "NextHop": "10.31.1.1" },
            { "Destination": "fd77:1::/48", "RouteType": 0, "NextHop": "fd77:1:1::1" },
        ],
        "DisableGatewayService": false,
    });
    assert_eq!(told(&both, false), expected);
}

/// Docker fails where an IPv6 route meets a container without IPv6.
#[test]
fn a_container_is_told_of_the_families_that_it_has() {
    let v4 = attached(
        Form::Routed,
        &["10.31.1.3/32"],
        &["10.31.1.1", "fd77:1:1::1"],
        &["10.31.0.0/16", "fd77:1::/48"],
    );
    let told = told(&v4, false);
    assert_eq!(told.get("GatewayIPv6"), None, "{told}");
    assert!(!told["StaticRoutes"].to_string().contains("fd77"), "{told}");
}

#[test]
fn an_internal_network_leads_nowhere_else() {
    let v4 = attached(
        Form::Routed,
        &["10.31.1.3/32"],
        &["10.31.1.1"],
        &["10.31.0.0/16"],
    );
    let told = told(&v4, true);
    assert_eq!(told.get("Gateway"), None, "{told}");
    assert_eq!(told["DisableGatewayService"], true);
    let routes = json!([
        { "Destination": "10.31.1.1/32", "RouteType": 1 },
        { "Destination": "10.31.0.0/16", "RouteType": 0, "NextHop": "10.31.1.1" },
    ]);
    assert_eq!(told["StaticRoutes"], routes);
}

#[test]
fn behind_a_bridge_the_subnet_is_on_the_link() {
    let routes = |on_link: &str, pool: &str| {
        let v4 = attached(Form::Bridge, &[on_link], &["10.31.1.1"], &[pool]);
        told(&v4, false)["StaticRoutes"].clone()
    };
    let beyond = json!([
        { "Destination": "10.31.0.0/16", "RouteType": 0, "NextHop": "10.31.1.1" },
    ]);
    assert_eq!(routes("10.31.1.3/24", "10.31.0.0/16"), beyond);
    // The kernel has that route already, and takes no second one.
    assert_eq!(routes("10.31.1.3/24", "10.31.1.0/24"), json!([]));
}
