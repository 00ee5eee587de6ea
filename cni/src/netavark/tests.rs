use serde_json::{Map, Value, json};
use socket::words::Attached;

use super::{Setup, create, read, teardown};
use crate::failure::Failure;

fn map(value: &Value) -> Map<String, Value> {
    value.as_object().expect("an object").clone()
}

/// As Podman 5 writes it for `podman network create -d weft -o network=blue blue`.
fn network() -> Value {
    json!({
        "name": "blue", "id": "4f2a", "driver": "weft", "created": "2026-01-01T00:00:00Z",
        "subnets": null, "ipv6_enabled": false, "internal": false, "dns_enabled": true,
        "options": { "network": "blue" }, "ipam_options": {},
    })
}

fn words() -> Value {
    json!({
        "container_id": "c0ffee", "container_name": "web",
        "port_mappings": [
            { "container_port": 80, "host_ip": "", "host_port": 8080, "protocol": "tcp", "range": 2 },
            { "container_port": 53, "host_ip": "127.0.0.1", "host_port": 53, "protocol": "tcp,udp", "range": 0 },
        ],
        "network": network(),
        "network_options": {
            "aliases": ["c0ffee"], "interface_name": "eth0",
            "static_ips": ["10.64.0.9"], "static_mac": "02:00:00:00:00:09",
        },
    })
}

#[test]
fn podman_gives_no_addresses_by_itself() {
    let made = create(map(&network())).expect("a good network");
    let mut expected = map(&network());
    expected.insert("ipam_options".into(), json!({ "driver": "none" }));
    expected.insert("dns_enabled".into(), json!(false));
    assert_eq!(made, expected);
    assert_eq!(create(made.clone()), Ok(made));
}

#[test]
fn what_would_not_be_done_is_refused_when_the_network_is_made() {
    let cases = [
        ("subnets", json!([{ "subnet": "10.1.0.0/24" }]), "--subnet"),
        (
            "routes",
            json!([{ "destination": "10.1.0.0/24" }]),
            "--route",
        ),
        ("internal", json!(true), "--internal"),
        (
            "ipam_options",
            json!({ "driver": "dhcp" }),
            "--ipam-driver dhcp",
        ),
        ("options", json!({ "network": "Blue" }), "network=Blue"),
        ("options", json!({ "mtu": "9000" }), "-o mtu"),
    ];
    for (key, value, named) in cases {
        let mut network = map(&network());
        network.insert(key.into(), value);
        let failure = create(network).expect_err(named);
        assert!(failure.details.contains(named), "{failure:?}");
    }
}

#[test]
fn the_agent_is_asked_for_all_of_it() {
    let setup = Setup::read(&map(&words()), "/run/netns/a").expect("good words");
    let asked = serde_json::to_value(&setup.attach).expect("JSON");
    let expected = json!({
        "network": "blue", "key": "netavark/c0ffee/eth0", "netns": "/run/netns/a",
        "interface": "eth0", "addresses": ["10.64.0.9"], "mac": "02:00:00:00:00:09",
        "who": { "container": "c0ffee", "name": "web", "aliases": ["c0ffee"] },
        "publish": [
            { "protocol": "tcp", "host_port": 8080, "port": 80, "count": 2 },
            { "protocol": "tcp", "at": "127.0.0.1", "host_port": 53, "port": 53, "count": 1 },
            { "protocol": "udp", "at": "127.0.0.1", "host_port": 53, "port": 53, "count": 1 },
        ],
        "bandwidth": {}, "hand": false, "told": false,
    });
    assert_eq!(asked, expected);
    let (detach, _) = teardown(&map(&words())).expect("good words");
    assert_eq!(detach.key, setup.attach.key);
    assert_eq!(detach.network, setup.attach.network);
}

#[test]
fn a_network_without_options_is_the_default_one() {
    let mut said = words();
    said["network"]["options"] = Value::Null;
    said["network_options"]["static_ips"] = Value::Null;
    said["network_options"]["static_mac"] = Value::Null;
    said["port_mappings"] = Value::Null;
    let setup = Setup::read(&map(&said), "/n").expect("good words");
    assert_eq!(setup.attach.network.as_str(), "default");
    assert_eq!(setup.socket.to_str(), Some("/run/weft/agent.sock"));
    assert!(setup.attach.addresses.is_empty() && setup.attach.publish.is_empty());
}

#[test]
fn what_is_missing_or_cannot_be_is_named() {
    let cases: [(&str, Value, &str); 6] = [
        ("/container_id", Value::Null, "container_id"),
        (
            "/network_options/interface_name",
            Value::Null,
            "network_options.interface_name",
        ),
        (
            "/network_options/static_mac",
            json!("x"),
            "network_options.static_mac",
        ),
        (
            "/network_options/static_ips",
            json!(["x"]),
            "network_options.static_ips",
        ),
        (
            "/port_mappings/0/protocol",
            json!("icmp"),
            "port_mappings[0].protocol",
        ),
        (
            "/port_mappings/0/host_port",
            json!(0),
            "port_mappings[0].host_port",
        ),
    ];
    for (pointer, value, path) in cases {
        let mut said = words();
        *said.pointer_mut(pointer).expect("it is there") = value;
        let failure: Failure = Setup::read(&map(&said), "/n").expect_err(path);
        assert!(failure.details.starts_with(path), "{failure:?}");
    }
    assert!(read(b"[]").is_err());
}

#[test]
fn podman_hears_what_the_container_has() {
    let attached: Attached = serde_json::from_value(json!({
        "endpoint": {
            "network": "blue", "key": "netavark/c0ffee/eth0", "seq": 1,
            "addresses": ["10.64.0.9", "fd77::9"], "mac": "02:00:00:00:00:09",
            "form": "bridge",
            "sandbox": { "path": "/n", "inode": 7, "interface": "eth0" },
            "since": 0,
        },
        "device": "wv0123456789abc", "mtu": 1450,
        "gateways": ["10.64.0.1"],
        "on_link": [{ "address": "10.64.0.9", "length": 24 }, { "address": "fd77::9", "length": 64 }],
        "pools": ["10.64.0.0/16"],
    }))
    .expect("an answer of the agent");
    let mut said = words();
    said["network"]["network_dns_servers"] = json!(["10.64.0.53"]);
    let setup = Setup::read(&map(&said), "/n").expect("good words");
    let expected = json!({
        "dns_search_domains": [],
        "dns_server_ips": ["10.64.0.53"],
        "interfaces": {
            "eth0": {
                "mac_address": "02:00:00:00:00:09",
                "subnets": [{ "ipnet": "10.64.0.9/24", "gateway": "10.64.0.1" }, { "ipnet": "fd77::9/64" }],
            },
        },
    });
    assert_eq!(setup.answer(&attached), expected);
}
