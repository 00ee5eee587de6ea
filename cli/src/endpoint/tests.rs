use super::*;
use crate::output::{Row, table_of};

fn told() -> v1::Endpoint {
    v1::Endpoint {
        network: "default".into(),
        node: "web-1".into(),
        id: "00f3a9c1d2e4b".into(),
        key: "cni/4f2a/eth0".into(),
        addresses: vec!["10.32.1.2".into(), "fd77:32:0:1::2".into()],
        mac: "02:00:5e:10:00:01".into(),
        container: "4f2a9d0c1b2e3f405162".into(),
        labels: [("tier".into(), "front".into())].into(),
        ports: vec![
            v1::PublishedPort {
                protocol: "tcp".into(),
                host_port: 8080,
                port: 80,
                ..v1::PublishedPort::default()
            },
            v1::PublishedPort {
                protocol: "udp".into(),
                host_address: "::1".into(),
                host_port: 5000,
                port: 6000,
                count: 10,
            },
        ],
        state: v1::LeaseState::Lapsed.into(),
        revision: 7,
        ..v1::Endpoint::default()
    }
}

#[test]
fn a_row_says_what_was_told() {
    let row = EndpointRow::from(told());
    let value = serde_json::to_value(&row).unwrap();
    let expected = serde_json::json!({
        "network": "default",
        "node": "web-1",
        "name": null,
        "addresses": ["10.32.1.2", "fd77:32:0:1::2"],
        "mac": "02:00:5e:10:00:01",
        "ports": ["8080:80/tcp", "[::1]:5000-5009:6000-6009/udp"],
        "aliases": [],
        "labels": {"tier": "front"},
        "container": "4f2a9d0c1b2e3f405162",
        "key": "cni/4f2a/eth0",
        "id": "00f3a9c1d2e4b",
        "state": "lapsed",
        "since": null,
        "revision": 7,
    });
    assert_eq!(value, expected);
    // What it says of a port can be typed to publish it.
    for port in &row.ports {
        let publish: overlay::endpoint::Publish = port.parse().unwrap();
        assert_eq!(publish.to_string(), *port);
    }
}

#[test]
fn a_container_without_a_name_is_listed_by_its_key() {
    let text = table_of(&[EndpointRow::from(told())], 0, None);
    let line = text.lines().nth(1).unwrap();
    let cells: Vec<&str> = line.split("   ").map(str::trim).collect();
    let expected = [
        "default",
        "web-1",
        "cni/4f2a/eth0",
        "10.32.1.2,fd77:32:0:1::2",
        "02:00:5e:10:00:01",
        "8080:80/tcp,[::1]:5000-5009:6000-6009/udp",
        "4f2a9d0c1b2e",
        "lapsed",
    ];
    assert_eq!(cells, expected);
    assert_eq!(EndpointRow::COLUMNS.len(), expected.len());
}
