use overlay::network::Vni;

use super::*;

fn ground(network: &str, subnets: &[&str], pools: &[&str]) -> Ground {
    let parse = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
    Ground {
        network: network.parse().unwrap(),
        vni: Vni::try_from(1).unwrap(),
        form: overlay::endpoint::Form::Routed,
        subnets: parse(subnets),
        pools: parse(pools),
        mtu: 1450,
        masquerade: true,
        ready: true,
    }
}

fn grounds() -> Vec<Ground> {
    vec![
        ground("blue", &["10.40.3.0/24"], &["10.40.0.0/16"]),
        ground(
            "default",
            &["10.32.1.0/24", "fd77:32:0:1::/64"],
            &["10.32.0.0/12", "fd77:32::/48"],
        ),
    ]
}

fn ask(json: &str) -> RequestPool {
    serde_json::from_str(json).unwrap()
}

#[test]
fn what_is_asked_for_and_what_docker_is_told() {
    for (json, id, told, gateway) in [
        // As dockerd 20.10 asks, with nothing said.
        (
            r#"{"AddressSpace":"weft","Pool":"","SubPool":"","Options":{},"V6":false}"#,
            "default/v4",
            "0.0.0.0/0",
            "10.32.1.1/24",
        ),
        (
            r#"{"AddressSpace":"weft","Pool":"","SubPool":"","Options":null,"V6":true}"#,
            "default/v6",
            "fd77:32::/48",
            "fd77:32:0:1::1/64",
        ),
        (
            r#"{"Pool":"","Options":{"weft.network":"blue"}}"#,
            "blue/v4",
            "0.0.0.0/0",
            "10.40.3.1/24",
        ),
        // After its restart it asks for what it was told.
        (
            r#"{"Pool":"0.0.0.0/0","Options":{"weft.network":"blue"}}"#,
            "blue/v4",
            "0.0.0.0/0",
            "10.40.3.1/24",
        ),
        (
            r#"{"Pool":"10.40.0.0/16"}"#,
            "blue/v4",
            "10.40.0.0/16",
            "10.40.3.1/24",
        ),
        (
            r#"{"Pool":"10.40.3.0/24"}"#,
            "blue/v4",
            "10.40.3.0/24",
            "10.40.3.1/24",
        ),
        (
            r#"{"Pool":"10.40.0.0/16","SubPool":"10.40.3.128/25"}"#,
            "blue/v4/10.40.3.128/25",
            "10.40.0.0/16",
            "10.40.3.1/24",
        ),
    ] {
        let chosen = choose(&ask(json), &grounds()).unwrap();
        assert_eq!(chosen.pool.to_string(), id, "{json}");
        assert_eq!(chosen.told, told, "{json}");
        assert_eq!(chosen.gateway, gateway, "{json}");
        assert_eq!(id.parse::<Pool>().unwrap(), chosen.pool, "{json}");
        // Asked again, Docker finds the pool that it knows.
        assert_eq!(choose(&ask(json), &grounds()), Ok(chosen), "{json}");
    }
}

#[test]
fn what_cannot_be_is_one_sentence() {
    for (json, sentence) in [
        (
            r#"{"Pool":"","Options":{"weft.network":"red"}}"#,
            "this host is not in network red; it is in blue, default",
        ),
        (
            r#"{"Pool":"","Options":{"weft.netwrok":"blue"}}"#,
            "weft.netwrok is no option of Weft's; it has weft.network alone",
        ),
        (
            r#"{"Pool":"172.30.0.0/16"}"#,
            "172.30.0.0/16 is in no network of this host; give a --subnet of one, or none",
        ),
        (
            r#"{"Pool":"10.32.0.0/12","Options":{"weft.network":"blue"}}"#,
            "10.32.0.0/12 is not in network blue, whose addresses are 10.40.0.0/16",
        ),
        (
            r#"{"Pool":"10.40.7.0/24"}"#,
            "10.40.7.0/24 has no address of this host, whose subnet in network blue is 10.40.3.0/24",
        ),
        (
            r#"{"Pool":"","V6":true,"Options":{"weft.network":"blue"}}"#,
            "network blue has no v6 subnet on this host",
        ),
    ] {
        let error = choose(&ask(json), &grounds()).unwrap_err();
        assert_eq!(error.to_string(), sentence, "{json}");
    }
    let none = choose(&ask(r#"{"Pool":""}"#), &[]).unwrap_err();
    let sentence = "this host is not in network default; it is in none";
    assert_eq!(none.to_string(), sentence);
}

#[test]
fn only_ids_of_ours_are_pools() {
    for text in [
        "",
        "blue",
        "blue/v5",
        "/v4",
        "Blue/v4",
        "blue/v4/10.0.0.1/24",
        "blue/v6/10.0.0.0/24",
    ] {
        assert!(text.parse::<Pool>().is_err(), "{text}");
    }
}

#[test]
fn addresses_of_a_range_are_this_hosts_and_each_comes_once() {
    let subnet = |text: &str| text.parse::<Subnet>().unwrap();
    let own = subnet("10.40.3.0/24");
    for (range, first, count) in [
        ("10.40.3.128/25", "10.40.3.128/25", 128),
        ("10.40.0.0/16", "10.40.3.0/24", 256),
        ("10.40.3.9/32", "10.40.3.9/32", 1),
    ] {
        for somewhere in [0, 7, u64::MAX] {
            let all: Vec<IpAddr> = candidates(subnet(range), own, somewhere).collect();
            let set: std::collections::BTreeSet<IpAddr> = all.iter().copied().collect();
            assert_eq!((all.len(), set.len()), (count, count), "{range}");
            assert!(all.iter().all(|ip| subnet(first).holds(*ip)), "{range}");
        }
    }
    let v6 = candidates(subnet("fd00::/64"), subnet("fd00::/64"), 3);
    assert_eq!(v6.count(), 1 << 16);
}
