use serde_json::{Value, json};
use socket::words::Attached;

use super::Outcome;
use crate::{loose::Loose, version::Version};

const NETNS: &str = "/run/netns/a";

fn attached() -> Attached {
    let attached = json!({
        "endpoint": {
            "network": "default", "key": "cni/a/eth0", "seq": 1,
            "addresses": ["10.32.0.2", "fd77:32::2"], "mac": "02:00:00:00:00:02",
            "form": "routed",
            "sandbox": { "path": NETNS, "inode": 7, "interface": "eth0" },
            "since": 0,
        },
        "device": "wv0123456789abc", "mtu": 1450,
        "gateways": ["169.254.1.1", "fe80::1"],
        "on_link": [
            { "address": "10.32.0.2", "length": 32 }, { "address": "fd77:32::2", "length": 128 },
        ],
        "pools": ["10.32.0.0/16", "fd77:32::/48"],
    });
    serde_json::from_value(attached).expect("an answer of the agent")
}

fn outcome() -> Outcome {
    let dns = json!({ "nameservers": ["10.32.0.1"] });
    Outcome::of(&attached(), NETNS, dns.as_object().expect("an object"))
}

fn read(said: &Value) -> Outcome {
    let map = said.as_object().expect("an object");
    Outcome::read(&Loose::new(map)).expect("a result")
}

fn newest() -> Value {
    json!({
        "cniVersion": "1.1.0",
        "interfaces": [
            { "name": "wv0123456789abc", "mac": "02:77:ee:ee:ee:ee", "mtu": 1450 },
            { "name": "eth0", "mac": "02:00:00:00:00:02", "mtu": 1450, "sandbox": NETNS },
        ],
        "ips": [
            { "address": "10.32.0.2/32", "gateway": "169.254.1.1", "interface": 1 },
            { "address": "fd77:32::2/128", "gateway": "fe80::1", "interface": 1 },
        ],
        "routes": [
            { "dst": "0.0.0.0/0", "gw": "169.254.1.1" },
            { "dst": "10.32.0.0/16", "gw": "169.254.1.1" },
            { "dst": "::/0", "gw": "fe80::1" },
            { "dst": "fd77:32::/48", "gw": "fe80::1" },
        ],
        "dns": { "nameservers": ["10.32.0.1"] },
    })
}

#[test]
fn each_version_hears_what_it_knows() {
    assert_eq!(outcome().json(Version::V1_1_0), newest());
    let mut expected = newest();
    expected["cniVersion"] = json!("1.0.0");
    for interface in 0..2 {
        let interface = expected["interfaces"][interface].as_object_mut();
        interface.expect("an interface").remove("mtu");
    }
    assert_eq!(outcome().json(Version::V1_0_0), expected);
    expected["ips"][0]["version"] = json!("4");
    expected["ips"][1]["version"] = json!("6");
    for version in [Version::V0_4_0, Version::V0_3_1] {
        expected["cniVersion"] = json!(version.as_str());
        assert_eq!(outcome().json(version), expected);
    }
}

#[test]
fn what_was_there_before_stays_and_is_first() {
    let before = json!({
        "cniVersion": "0.4.0",
        "interfaces": [{ "name": "lo", "sandbox": NETNS, "theirs": true }],
        "ips": [{ "version": "4", "address": "127.0.0.1/8", "interface": 0 }],
        "routes": null,
        "dns": { "nameservers": ["192.0.2.53"] },
    });
    let both = outcome().after(read(&before)).json(Version::V0_4_0);
    assert_eq!(both["interfaces"][0], before["interfaces"][0]);
    assert_eq!(both["interfaces"][2]["name"], "eth0");
    assert_eq!(both["ips"][0], before["ips"][0]);
    assert_eq!(both["ips"][1]["interface"], 2);
    assert_eq!(both["dns"]["nameservers"], json!(["10.32.0.1"]));
    let silent = Outcome::of(&attached(), NETNS, &Default::default());
    let both = silent.after(read(&before)).json(Version::V0_4_0);
    assert_eq!(both["dns"], before["dns"]);
}

#[test]
fn nothing_said_of_dns_is_nothing() {
    let silent = Outcome::of(&attached(), NETNS, &Default::default());
    assert_eq!(silent.json(Version::V1_1_0).get("dns"), None);
}

#[test]
fn what_is_printed_is_read_again() {
    for version in Version::ALL {
        let said = outcome().json(version);
        assert_eq!(read(&said).json(version), said);
    }
}

#[test]
fn what_differs_is_said() {
    let endpoint = attached().endpoint;
    let mac = endpoint.mac.to_string();
    let loud = mac.to_uppercase();
    let said = read(&newest());
    let differs = |interface, netns, mac, addresses| said.differs(interface, netns, mac, addresses);
    let none: [&str; 0] = [];
    assert_eq!(differs("eth0", NETNS, &mac, &endpoint.addresses), none);
    assert_eq!(differs("eth0", NETNS, &loud, &endpoint.addresses), none);
    assert_eq!(differs("eth1", NETNS, &mac, &endpoint.addresses).len(), 1);
    assert_eq!(
        differs("eth0", "/run/netns/b", &mac, &endpoint.addresses).len(),
        1
    );
    let other = differs("eth0", NETNS, "02:00:00:00:00:03", &endpoint.addresses);
    assert!(other[0].contains("02:00:00:00:00:03"), "{other:?}");
    let moved = ["10.32.0.3".parse().expect("an address")];
    let moved = differs("eth0", NETNS, &mac, &moved);
    assert!(moved[0].contains("10.32.0.3"), "{moved:?}");
}
