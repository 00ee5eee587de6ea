use proptest::prelude::*;

use super::*;

fn name(text: &str) -> NetworkName {
    text.parse().unwrap()
}

fn spec(network: &str, pools: &[&str]) -> NetworkSpec {
    let pools = pools.iter().map(|pool| pool.parse().unwrap()).collect();
    NetworkSpec::new(name(network), pools)
}

fn made(spec: &NetworkSpec, others: &[Network]) -> Network {
    spec.network(others.iter()).unwrap()
}

fn refused(spec: &NetworkSpec, others: &[Network]) -> String {
    spec.network(others.iter()).unwrap_err().to_string()
}

#[test]
fn defaults() {
    let network = made(&spec("default", &["10.32.0.0/12"]), &[]);
    assert_eq!(u32::from(network.vni), 1);
    assert_eq!((network.port, network.len4, network.len6), (4789, 24, 0));
    assert_eq!((network.lapse_s, network.underlay), (86400, Family::V4));
    assert_eq!(network.state, NetworkState::Active);
    assert_eq!(network.families().collect::<Vec<_>>(), [Family::V4]);
}

#[test]
fn one_family_or_both() {
    let v6 = made(&spec("six", &["fd00::/48"]), &[]);
    assert_eq!((v6.len4, v6.len6), (0, 64));
    assert_eq!(v6.families().collect::<Vec<_>>(), [Family::V6]);
    let dual = made(&spec("dual", &["fd00::/48", "10.32.0.0/12"]), &[]);
    assert_eq!((dual.len4, dual.len6), (24, 64));
    assert_eq!(dual.families().collect::<Vec<_>>(), Family::BOTH);
    assert!(dual.leases("10.32.1.0/24".parse().unwrap()));
    assert!(dual.leases("fd00:0:0:1::/64".parse().unwrap()));
    for other in ["10.48.0.0/24", "10.32.1.0/25", "10.32.0.0/12", "fd01::/64"] {
        assert!(!dual.leases(other.parse().unwrap()), "{other}");
    }
    assert!(!v6.leases("10.32.1.0/24".parse().unwrap()));
}

#[test]
fn a_pool_of_exactly_one_subnet_will_do() {
    assert!(spec("a", &["10.0.0.0/24"]).network([].iter()).is_ok());
    let mut smallest = spec("a", &["10.0.0.0/30", "fd00::/124"]);
    (smallest.len4, smallest.len6) = (Some(30), Some(124));
    assert!(smallest.network([].iter()).is_ok());
}

#[test]
fn bad_pools() {
    let with = |pools: &[&str], len4, len6| {
        let mut spec = spec("a", pools);
        (spec.len4, spec.len6) = (len4, len6);
        refused(&spec, &[])
    };
    for (pools, len4, len6, message) in [
        (
            &[][..],
            None,
            None,
            "pools: a network needs at least one pool, such as 10.32.0.0/12",
        ),
        (
            &["10.0.0.0/16", "10.1.0.0/16"][..],
            None,
            None,
            "pools: more than one v4 pool",
        ),
        (
            &["fd00::/48", "fd01::/48"],
            None,
            None,
            "pools: more than one v6 pool",
        ),
        (
            &["10.0.0.0/28"],
            None,
            None,
            "subnet_len4: pool 10.0.0.0/28 is smaller than one subnet of length /24",
        ),
        (
            &["fd00::/96"],
            None,
            None,
            "subnet_len6: pool fd00::/96 is smaller than one subnet of length /64",
        ),
        (
            &["10.0.0.0/16"],
            Some(31),
            None,
            "subnet_len4: a /31 has no room for containers; the longest is /30",
        ),
        (
            &["10.0.0.0/16"],
            Some(255),
            None,
            "subnet_len4: a /255 has no room for containers; the longest is /30",
        ),
        (
            &["fd00::/48"],
            None,
            Some(125),
            "subnet_len6: a /125 has no room for containers; the longest is /124",
        ),
        (
            &["10.0.0.0/16", "fd00::/48"],
            None,
            Some(47),
            "subnet_len6: pool fd00::/48 is smaller than one subnet of length /47",
        ),
    ] {
        assert_eq!(with(pools, len4, len6), message);
    }
}

#[test]
fn addresses_that_no_container_can_have() {
    for pool in [
        "0.0.0.0/0",
        "0.0.0.0/8",
        "127.0.0.0/8",
        "126.0.0.0/7",
        "169.254.0.0/16",
        "169.254.128.0/17",
        "224.0.0.0/4",
        "240.0.0.0/4",
        "255.255.255.0/24",
        "::/0",
        "::/64",
        "::/8",
        "::ffff:0:0/96",
        "fe80::/10",
        "fe80::/64",
        "ff00::/8",
        "ff02::/64",
    ] {
        let mut spec = spec("a", &[pool]);
        (spec.len4, spec.len6) = (Some(28), Some(112));
        assert_eq!(
            refused(&spec, &[]),
            format!(
                "pools: {} holds addresses that no container can have",
                pool.parse::<Subnet>().unwrap()
            )
        );
    }
    for pool in [
        "1.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "192.168.0.0/16",
        "fd00::/8",
        "2001:db8::/32",
    ] {
        assert!(spec("a", &[pool]).network([].iter()).is_ok(), "{pool}");
    }
}

#[test]
fn pools_of_two_networks_do_not_touch() {
    let first = made(&spec("first", &["10.32.0.0/12", "fd00::/48"]), &[]);
    let others = [first];
    for (pools, message) in [
        (
            &["10.32.0.0/12"][..],
            "pools: 10.32.0.0/12 overlaps 10.32.0.0/12 of network first",
        ),
        (
            &["10.40.0.0/16"],
            "pools: 10.40.0.0/16 overlaps 10.32.0.0/12 of network first",
        ),
        (
            &["10.0.0.0/8"],
            "pools: 10.0.0.0/8 overlaps 10.32.0.0/12 of network first",
        ),
        (
            &["10.48.0.0/12", "fd00:0:0:8000::/49"],
            "pools: fd00:0:0:8000::/49 overlaps fd00::/48 of network first",
        ),
    ] {
        assert_eq!(refused(&spec("second", pools), &others), message);
    }
    made(&spec("second", &["10.48.0.0/12", "fd00:0:1::/48"]), &others);
}

#[test]
fn a_vni_is_taken_on_its_port_only() {
    let first = made(&spec("first", &["10.0.0.0/16"]), &[]);
    let mut second = spec("second", &["10.1.0.0/16"]);
    second.vni = Some(first.vni);
    assert_eq!(
        refused(&second, std::slice::from_ref(&first)),
        "vni: 1 on port 4789 belongs to network first"
    );
    second.port = Some(4790);
    assert_eq!(made(&second, std::slice::from_ref(&first)).vni, first.vni);
    second.port = Some(0);
    assert_eq!(refused(&second, &[]), "port: 0 is not a UDP port");
}

#[test]
fn the_lowest_vni_that_is_free() {
    let mut others = Vec::new();
    for (at, vni) in [(0, 1), (1, 2), (2, 4)] {
        let mut spec = spec(&format!("n{at}"), &[&format!("10.{at}.0.0/16")]);
        spec.vni = Some(Vni::try_from(vni).unwrap());
        others.push(made(&spec, &others));
    }
    let mut next = spec("next", &["10.9.0.0/16"]);
    assert_eq!(u32::from(made(&next, &others).vni), 3);
    // On another port as well: a host cannot join two networks of one VNI.
    next.port = Some(4790);
    assert_eq!(u32::from(made(&next, &others).vni), 3);
}

#[test]
fn numbers_and_words_that_are_not_of_a_network() {
    for vni in [0, 1 << 24, u32::MAX] {
        assert_eq!(
            Vni::try_from(vni).unwrap_err().to_string(),
            format!("vni: {vni} is not between 1 and 16777215")
        );
    }
    let last = Vni::try_from((1 << 24) - 1).unwrap();
    assert_eq!(last.next(), None);
    assert_eq!(last.to_string(), "16777215");
    assert_eq!(
        "VXLAN".parse::<Encap>().unwrap_err().to_string(),
        "encap: \"VXLAN\" is neither vxlan nor auto"
    );
    for encap in [Encap::Vxlan, Encap::Auto] {
        assert_eq!(encap.as_str().parse(), Ok(encap));
    }
}

#[test]
fn growing_keeps_everything_but_the_pool() {
    let network = made(&spec("a", &["10.32.0.0/16", "fd00::/48"]), &[]);
    let grown = network.grown(&["10.32.0.0/12".parse().unwrap()]).unwrap();
    let expected = Network {
        pool4: Some("10.32.0.0/12".parse().unwrap()),
        ..network
    };
    assert_eq!(grown, expected);
}

#[test]
fn what_is_not_growth() {
    let dual = made(&spec("a", &["10.32.0.0/16", "fd00::/48"]), &[]);
    let v4 = made(&spec("b", &["10.32.0.0/16"]), &[]);
    let grown = |network: &Network, pools: &[&str]| {
        let pools: Vec<Subnet> = pools.iter().map(|pool| pool.parse().unwrap()).collect();
        network.grown(&pools).unwrap_err().to_string()
    };
    for (network, pools, message) in [
        (
            &dual,
            &["10.33.0.0/16"][..],
            "pools: 10.33.0.0/16 does not contain today's pool 10.32.0.0/16",
        ),
        (
            &dual,
            &["10.32.0.0/17"],
            "pools: 10.32.0.0/17 does not contain today's pool 10.32.0.0/16",
        ),
        (
            &dual,
            &["10.32.0.0/12", "fd01::/48"],
            "pools: fd01::/48 does not contain today's pool fd00::/48",
        ),
        (
            &v4,
            &["fd00::/48"],
            "pools: network b has no v6 pool to grow",
        ),
        (
            &dual,
            &["0.0.0.0/0"],
            "pools: 0.0.0.0/0 holds addresses that no container can have",
        ),
        (
            &dual,
            &["10.0.0.0/8", "10.32.0.0/12"],
            "pools: more than one v4 pool",
        ),
    ] {
        assert_eq!(grown(network, pools), message);
    }
}

proptest! {
    /// Against the addresses themselves, in a space small enough to list.
    #[test]
    fn overlap_is_about_addresses(
        a in (0..256u32, 20..=24u8),
        b in (0..256u32, 20..=24u8),
    ) {
        let blocks = |(at, len): (u32, u8)| {
            let count = 1 << (24 - len);
            let first = at / count * count;
            (first..first + count, format!("10.99.{first}.0/{len}"))
        };
        let (blocks_a, a) = blocks(a);
        let (blocks_b, b) = blocks(b);
        let first = made(&spec("first", &[&a]), &[]);
        let touch = blocks_a.into_iter().any(|block| blocks_b.contains(&block));
        let second = spec("second", &[&b]).network([first].iter());
        prop_assert_eq!(second.is_err(), touch);
    }

    /// Any spec gives a network that reads back the same, or one sentence.
    #[test]
    fn a_network_or_one_sentence(
        v4 in prop::option::of((any::<u32>(), 0..=32u8)),
        v6 in prop::option::of((any::<u128>(), 0..=128u8)),
        len4 in prop::option::of(any::<u8>()),
        len6 in prop::option::of(any::<u8>()),
        port in prop::option::of(any::<u16>()),
    ) {
        let v4 = v4.map(|(number, len)| {
            let number = number.unbounded_shr(32 - u32::from(len));
            Subnet::numbered(Family::V4, len, number.into()).unwrap()
        });
        let v6 = v6.map(|(number, len)| {
            let number = number.unbounded_shr(128 - u32::from(len));
            Subnet::numbered(Family::V6, len, number).unwrap()
        });
        let spec = NetworkSpec {
            len4, len6, port,
            ..NetworkSpec::new(name("a"), v4.into_iter().chain(v6).collect())
        };
        match spec.network([].iter()) {
            Ok(network) => {
                let read: Network = record::read(&record::encode(&network)).unwrap();
                prop_assert_eq!(&read, &network);
                for pool in network.pools() {
                    let numbers = pool.numbers(network.len(pool.family())).unwrap();
                    prop_assert!(numbers.start() <= numbers.end());
                }
            }
            Err(error) => {
                let fields = ["pools", "port", "vni", "subnet_len4", "subnet_len6"];
                prop_assert!(fields.contains(&error.field));
                let text = error.to_string();
                let one_sentence = !text.contains('\n') && !text.ends_with('.') && text.len() < 120;
                prop_assert!(one_sentence, "{}", text);
            }
        }
    }
}
