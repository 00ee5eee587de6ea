//! Whatever Podman says by netavark: a network that Podman gives no addresses of, an
//! attachment that its own teardown ends, or a sentence.

#![no_main]

use cni::netavark::{Setup, create, read, teardown};
use json::{Input, Words};
use libfuzzer_sys::{
    arbitrary::{self, Arbitrary},
    fuzz_target,
};
use serde_json::json;

mod json;

const WORDS: Words = Words {
    keys: &[
        "name",
        "driver",
        "subnets",
        "routes",
        "internal",
        "options",
        "network",
        "socket",
        "ipam_options",
        "network_dns_servers",
        "container_id",
        "container_name",
        "port_mappings",
        "container_port",
        "host_ip",
        "host_port",
        "protocol",
        "range",
        "network_options",
        "aliases",
        "interface_name",
        "static_ips",
        "static_mac",
    ],
    texts: &[
        "blue",
        "none",
        "eth0",
        "tcp,udp",
        "0.0.0.0",
        "10.32.0.2",
        "02:00:00:00:00:02",
        "a",
        "",
    ],
};

#[derive(Debug, Arbitrary)]
struct Asked<'a> {
    create: bool,
    stdin: Input<'a>,
}

fuzz_target!(|asked: Asked<'_>| {
    let right = if asked.create {
        json!({ "name": "blue", "id": "4f", "driver": "weft", "options": { "network": "blue" } })
    } else {
        json!({
            "container_id": "4f", "container_name": "web", "network": {},
            "network_options": { "interface_name": "eth0" },
        })
    };
    let Ok(words) = read(&asked.stdin.bytes(right, &WORDS)) else {
        return;
    };
    if let Ok(made) = create(words.clone()) {
        assert_eq!(made["ipam_options"]["driver"], "none");
        assert_eq!(create(made.clone()), Ok(made));
    }
    let setup = Setup::read(&words, "/run/netns/a");
    if let Ok(setup) = &setup {
        assert!(setup.attach.publish.iter().all(|publish| publish.check().is_ok()));
        let (detach, socket) = teardown(&words).expect("what was set up can be torn down");
        assert_eq!((&detach.key, &socket), (&setup.attach.key, &setup.socket));
        assert_eq!(detach.network, setup.attach.network);
    }
});
