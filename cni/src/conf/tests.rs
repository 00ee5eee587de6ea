use serde_json::{Value, json};

use super::{CONF_LABEL, Conf, Stdin, Wish};
use crate::{
    call::{Arguments, Attachment},
    failure::{Code, Failure},
    loose::LONGEST,
    version::Version,
};

fn stdin(conf: &Value) -> Stdin {
    Stdin::read(conf.to_string().as_bytes()).expect("JSON")
}

fn conf(conf: &Value) -> Result<Conf, Failure> {
    Conf::read(&stdin(conf))
}

fn wish(said: &Value) -> Result<Wish, Failure> {
    let stdin = stdin(said);
    Wish::read(&stdin, &Conf::read(&stdin)?)
}

#[test]
fn the_least_that_can_be_said() {
    let least = conf(&json!({ "cniVersion": "1.0.0", "name": "weft", "type": "weft" }));
    let least = least.expect("enough");
    assert_eq!(least.version, Version::V1_0_0);
    assert_eq!(least.network.as_str(), "default");
    assert_eq!(least.socket.to_str(), Some("/run/weft/agent.sock"));
}

#[test]
fn unknown_keys_are_passed_over() {
    let said = json!({
        "cniVersion": "1.1.0", "name": "weft", "type": "weft", "network": "blue",
        "capabilities": { "portMappings": true }, "myorg": [1], "socket": "/tmp/a.sock",
    });
    let conf = conf(&said).expect("good words");
    assert_eq!(conf.network.as_str(), "blue");
    assert_eq!(conf.socket.to_str(), Some("/tmp/a.sock"));
}

#[test]
fn only_versions_that_are_spoken() {
    for version in ["0.1.0", "0.3.0", "1.2.0", "2.0.0", "", "x"] {
        let failure = conf(&json!({ "cniVersion": version, "name": "weft" }));
        let failure = failure.expect_err(version);
        assert_eq!(failure.code, Code::Version);
        assert!(
            failure.details.ends_with("0.3.1, 0.4.0, 1.0.0, 1.1.0"),
            "{failure:?}"
        );
    }
    assert!(conf(&json!({ "name": "weft" })).is_err());
}

#[test]
fn what_is_no_configuration_is_said_to_be_none() {
    for garbage in [&b""[..], b"{", b"[]", b"null", b"\xff\xfe", b"{} {}"] {
        let failure = Stdin::read(garbage).expect_err("garbage");
        assert_eq!(failure.code, Code::Decode, "{garbage:?}");
    }
    let deep = "[".repeat(100_000);
    assert!(Stdin::read(format!("{{\"a\":{deep}").as_bytes()).is_err());
    let failure = Stdin::read(&vec![b' '; LONGEST + 1]).expect_err("long");
    assert!(failure.details.contains("1048576"), "{failure:?}");
}

#[test]
fn a_value_that_cannot_be_is_named() {
    let cases = [
        (json!({ "cniVersion": "1.0.0" }), Code::Config, "name"),
        (
            json!({ "cniVersion": "1.0.0", "name": "weft", "network": "Blue" }),
            Code::Config,
            "network: network name \"Blue\"",
        ),
        (
            json!({ "cniVersion": "1.0.0", "name": "weft", "ipam": { "type": "host-local" } }),
            Code::Unsupported,
            "ipam is not used: {\"type\":\"host-local\"}",
        ),
        (
            json!({ "cniVersion": "1.0.0", "name": "weft", "told": 1 }),
            Code::Config,
            "told",
        ),
        (
            json!({ "cniVersion": "1.0.0", "name": "weft", "prevResult": [] }),
            Code::Config,
            "prevResult",
        ),
    ];
    for (said, code, path) in cases {
        let failure = wish(&said).expect_err(path);
        assert_eq!(failure.code, code, "{failure:?}");
        assert!(failure.details.starts_with(path), "{failure:?}");
    }
    let empty = json!({ "cniVersion": "1.0.0", "name": "weft", "ipam": {} });
    assert!(wish(&empty).is_ok());
}

#[test]
fn dns_of_the_runtime_is_before_that_of_the_configuration() {
    let dns = json!({ "nameservers": ["10.0.0.1"], "domain": "a", "search": [], "options": null });
    let mut said = json!({ "cniVersion": "1.0.0", "name": "weft", "dns": dns });
    let of_conf = wish(&said).expect("good words").dns;
    assert_eq!(
        Value::Object(of_conf),
        json!({ "nameservers": ["10.0.0.1"], "domain": "a" })
    );
    said["runtimeConfig"] = json!({ "dns": { "servers": ["10.0.0.2"] } });
    let of_runtime = wish(&said).expect("good words").dns;
    assert_eq!(
        Value::Object(of_runtime),
        json!({ "nameservers": ["10.0.0.2"] })
    );
}

#[test]
fn the_agent_is_asked_for_all_of_it() {
    let said = stdin(&json!({
        "cniVersion": "1.0.0", "name": "front", "network": "blue", "told": true,
        "runtimeConfig": { "ips": ["10.64.0.9"], "aliases": { "front": ["web"] } },
    }));
    let conf = Conf::read(&said).expect("good words");
    let wish = Wish::read(&said, &conf).expect("good words");
    let attachment = Attachment::new("4f2a", "eth1", "/run/netns/a").expect("good words");
    let arguments = Arguments::read("K8S_POD_NAME=web-0").expect("pairs");
    let attach = wish.attach(&conf, &attachment, &arguments);
    let attach = serde_json::to_value(attach.expect("good words")).expect("JSON");
    let expected = json!({
        "network": "blue", "key": "cni/4f2a/eth1", "netns": "/run/netns/a",
        "interface": "eth1", "addresses": ["10.64.0.9"],
        "who": {
            "container": "4f2a", "name": "web-0", "aliases": ["web"],
            "labels": { CONF_LABEL: "front" },
        },
        "bandwidth": {}, "hand": false, "told": true,
    });
    assert_eq!(attach, expected);
}

#[test]
fn names_that_fit_nowhere_are_refused_here() {
    let said = stdin(&json!({
        "cniVersion": "1.0.0", "name": "weft",
        "runtimeConfig": { "aliases": ["x".repeat(254)] },
    }));
    let conf = Conf::read(&said).expect("good words");
    let wish = Wish::read(&said, &conf).expect("good words");
    let attachment = Attachment::new("a", "eth0", "/n").expect("good words");
    let failure = wish.attach(&conf, &attachment, &Arguments::default());
    assert_eq!(failure.expect_err("long").code, Code::Config);
}

#[test]
fn what_gc_may_keep_has_to_be_said() {
    let valid = json!([{ "containerID": "a", "ifname": "eth0" }]);
    let said = json!({ "cniVersion": "1.1.0", "name": "weft", "cni.dev/valid-attachments": valid });
    let valid = stdin(&said).valid().expect("good words");
    assert_eq!(
        valid,
        [Attachment::new("a", "eth0", "").expect("good words")]
    );
    let nothing = json!({ "cni.dev/valid-attachments": [] });
    assert_eq!(stdin(&nothing).valid(), Ok(vec![]));
    for bad in [
        json!({}),
        json!({ "cni.dev/valid-attachments": null }),
        json!({ "cni.dev/valid-attachments": [{}] }),
        json!({ "cni.dev/valid-attachments": ["a"] }),
        json!({ "cni.dev/valid-attachments": [{ "containerID": "a" }] }),
    ] {
        let failure = stdin(&bad).valid().expect_err("not said");
        assert_eq!(failure.code, Code::Config, "{bad}");
        assert!(failure.details.contains("cni.dev/valid"), "{failure:?}");
    }
}
