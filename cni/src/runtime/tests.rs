use std::net::IpAddr;

use overlay::endpoint::{Bandwidth, Publish, rate::Rate};
use serde_json::{Value, json};

use super::Runtime;
use crate::{
    call::Arguments,
    failure::{Code, Failure},
    loose::Loose,
};

fn read(conf: &Value) -> Result<Runtime, Failure> {
    let map = conf.as_object().expect("an object");
    Runtime::read(&Loose::new(map), "weft")
}

fn runtime(config: &Value) -> Result<Runtime, Failure> {
    read(&json!({ "runtimeConfig": config }))
}

fn ports(texts: &[&str]) -> Vec<Publish> {
    let parse = |text: &&str| text.parse().expect("a port to publish");
    texts.iter().map(parse).collect()
}

/// As containerd 2.1 writes it.
#[test]
fn go_cased_words_are_heard() {
    let said = runtime(&json!({
        "dns": { "Servers": ["10.96.0.10"], "Searches": ["a.local"], "Options": ["ndots:5"] },
        "portMappings": [{ "HostPort": 8080, "ContainerPort": 80, "Protocol": "tcp", "HostIP": "" }],
        "bandwidth": {
            "IngressRate": 10_000_000, "IngressBurst": 4_294_967_295u64,
            "EgressRate": 0, "EgressBurst": 0,
        },
    }))
    .expect("good words");
    let dns = json!({
        "nameservers": ["10.96.0.10"], "search": ["a.local"], "options": ["ndots:5"],
    });
    assert_eq!(said.dns.map(Value::Object), Some(dns));
    assert_eq!(said.publish, ports(&["8080:80"]));
    let ingress = Rate {
        rate: 10_000_000,
        burst: None,
    };
    let expected = Bandwidth {
        ingress: Some(ingress),
        egress: None,
    };
    assert_eq!(said.bandwidth, expected);
}

/// As the conventions have it.
#[test]
fn lower_cased_words_are_heard() {
    let said = runtime(&json!({
        "portMappings": [
            { "hostPort": 53, "containerPort": 53, "protocol": "UDP", "hostIP": "127.0.0.1" },
            { "hostPort": 53, "containerPort": 53, "hostIP": "0.0.0.0" },
            { "hostPort": 443, "containerPort": 8443, "protocol": "sctp", "hostIP": "2001:db8::1" },
            { "hostPort": 0, "containerPort": 9 },
        ],
        "bandwidth": { "ingressRate": 0, "egressRate": 8_000, "egressBurst": 160_000 },
        "ips": ["10.32.0.9/24", "fd77::9"],
        "mac": "02:00:5E:10:00:01",
        "aliases": ["a", "b"],
    }))
    .expect("good words");
    assert_eq!(
        said.publish,
        ports(&[
            "53:53",
            "127.0.0.1:53:53/udp",
            "[2001:db8::1]:443:8443/sctp"
        ])
    );
    let egress = said.bandwidth.egress.expect("a bound");
    assert_eq!((egress.rate, egress.burst), (8_000, Some(160_000)));
    assert_eq!(said.bandwidth.ingress, None);
    assert_eq!(
        said.addresses,
        ["10.32.0.9", "fd77::9"].map(|text| text.parse::<IpAddr>().expect("one"))
    );
    assert_eq!(
        said.mac.map(|mac| mac.to_string()).as_deref(),
        Some("02:00:5e:10:00:01")
    );
    assert_eq!(said.aliases, ["a", "b"]);
}

#[test]
fn aliases_by_network_are_those_of_this_one() {
    let said = runtime(&json!({ "aliases": { "weft": ["web", "4f2a"], "other": ["no"] } }));
    assert_eq!(said.expect("good words").aliases, ["web", "4f2a"]);
    let said = runtime(&json!({ "aliases": { "other": ["no"] } }));
    assert_eq!(said.expect("good words").aliases, [""; 0]);
}

#[test]
fn ports_in_a_row_are_kept_as_one() {
    let mapping = |host: u16, inside: u16| json!({ "hostPort": host, "containerPort": inside });
    let said = runtime(&json!({
        "portMappings": [mapping(8002, 92), mapping(8000, 90), mapping(8001, 91), mapping(8003, 80)],
    }));
    let said = said.expect("good words");
    assert_eq!(said.publish, ports(&["8000-8002:90-92", "8003:80"]));
}

#[test]
fn what_cannot_be_is_refused_by_its_path() {
    let cases = [
        (json!({ "portMappings": {} }), "runtimeConfig.portMappings"),
        (
            json!({ "portMappings": [{ "hostPort": 70_000 }] }),
            "runtimeConfig.portMappings[0].hostPort",
        ),
        (
            json!({ "portMappings": [{ "hostPort": 70 }] }),
            "runtimeConfig.portMappings[0].containerPort",
        ),
        (
            json!({ "portMappings": [{ "hostPort": 1, "containerPort": 1, "protocol": "icmp" }] }),
            "runtimeConfig.portMappings[0].protocol",
        ),
        (
            json!({ "portMappings": [{ "hostPort": 1, "containerPort": 1, "hostIP": "here" }] }),
            "runtimeConfig.portMappings[0].hostIP",
        ),
        (
            json!({ "bandwidth": { "ingressRate": 7_999 } }),
            "runtimeConfig.bandwidth.ingressRate",
        ),
        (
            json!({ "bandwidth": { "egressRate": -1 } }),
            "runtimeConfig.bandwidth.egressRate",
        ),
        (json!({ "ips": ["10.0.0.1/33"] }), "runtimeConfig.ips"),
        (json!({ "ips": "10.0.0.1" }), "runtimeConfig.ips"),
        (json!({ "mac": "01:00:00:00:00:01" }), "runtimeConfig.mac"),
        (json!({ "aliases": [1] }), "runtimeConfig.aliases"),
        (json!({ "dns": ["8.8.8.8"] }), "runtimeConfig.dns"),
        (json!([]), "runtimeConfig"),
    ];
    for (config, path) in cases {
        let failure = runtime(&config).expect_err(path);
        assert_eq!(failure.code, Code::Config, "{config}");
        assert!(failure.details.starts_with(path), "{failure:?}");
    }
}

/// As podman 4 asks for `--ip` and `--mac-address`.
#[test]
fn the_environment_asks_for_addresses_too() {
    let arguments = Arguments::read("IgnoreUnknown=1;IP=10.32.0.7;MAC=02:00:00:00:00:07");
    let arguments = arguments.expect("pairs");
    let none = runtime(&json!({})).expect("nothing").beside(&arguments);
    let none = none.expect("good words");
    assert_eq!(
        none.addresses,
        ["10.32.0.7".parse::<IpAddr>().expect("one")]
    );
    assert!(none.mac.is_some());
    let some = runtime(&json!({ "ips": ["10.32.0.8"], "mac": "02:00:00:00:00:08" }));
    let some = some.expect("good words");
    assert_eq!(some.clone().beside(&arguments), Ok(some));
    for garbage in ["IP=here", "IP=10.0.0.1,x", "MAC=x"] {
        let arguments = Arguments::read(garbage).expect("a pair");
        let failure = runtime(&json!({})).expect("nothing").beside(&arguments);
        let failure = failure.expect_err(garbage);
        assert_eq!(failure.code, Code::Environment);
        assert!(failure.details.contains(garbage), "{failure:?}");
    }
}

#[test]
fn the_older_place_is_read_where_the_newer_says_nothing() {
    let older = json!({ "cni": { "ips": ["10.32.0.5"], "mac": "02:00:00:00:00:05" } });
    let said = read(&json!({ "args": older })).expect("good words");
    assert_eq!((said.addresses.len(), said.mac.is_some()), (1, true));
    let said = read(&json!({ "args": older, "runtimeConfig": { "ips": ["10.32.0.6"] } }));
    let said = said.expect("good words");
    assert_eq!(
        said.addresses,
        ["10.32.0.6".parse::<IpAddr>().expect("one")]
    );
}

#[test]
fn a_pod_is_known_by_its_labels_and_a_container_by_its_name() {
    let pod = "IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web-0;K8S_POD_UID=7";
    let who = Runtime::default().who("4f2a", &Arguments::read(pod).expect("pairs"));
    assert_eq!(who.name.as_deref(), Some("web-0"));
    assert_eq!(who.container.as_deref(), Some("4f2a"));
    let labels: Vec<_> = who.labels.into_iter().collect();
    let label = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    assert_eq!(
        labels,
        [
            label("io.kubernetes.pod.name", "web-0"),
            label("io.kubernetes.pod.namespace", "shop"),
            label("io.kubernetes.pod.uid", "7"),
        ]
    );
    let podman = Arguments::read("K8S_POD_NAME=web").expect("pairs");
    let who = Runtime::default().who("4f2a", &podman);
    assert_eq!((who.name.as_deref(), who.labels.len()), (Some("web"), 0));
}
