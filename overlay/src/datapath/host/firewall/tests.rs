use super::*;
use crate::{
    datapath::{host::Host, step::Step, uplink::Uplink},
    endpoint::Publish,
    network::{Network, NetworkSpec, Vni},
    record::Mac,
    subnet::Subnet,
};

fn network(name: &str, vni: u32, port: u16, pools: &[&str]) -> Network {
    let pools = pools.iter().map(|pool| pool.parse().unwrap());
    let spec = NetworkSpec {
        vni: Vni::try_from(vni).ok(),
        port: Some(port),
        encap: Encap::Vxlan,
        masquerade: false,
        ..NetworkSpec::new(name.parse().unwrap(), pools.collect())
    };
    spec.network([].iter()).unwrap()
}

fn join(host: &mut Host, network: Network, own: &[&str]) {
    let own: Vec<Subnet> = own.iter().map(|own| own.parse().unwrap()).collect();
    let name = network.name.clone();
    host.join(name.clone());
    assert!(host.lease(network, own));
    let uplink = Uplink {
        index: 2,
        name: "eth0".into(),
        mtu: 1500,
        address: "192.0.2.1".parse().unwrap(),
        on_link: vec![],
        offload: true,
    };
    assert!(host.set_uplink(&name, uplink));
}

fn host() -> Host {
    let mut host = Host::new(Mac([2, 0x77, 0, 0, 0, 1]));
    let blue = network("blue", 1, 4789, &["10.31.0.0/16", "fd77::/48"]);
    join(&mut host, blue, &["10.31.1.0/24", "fd77:0:0:1::/64"]);
    host
}

fn ports(publish: &[&str]) -> BTreeSet<Published> {
    let addresses = ["10.31.1.5".parse().unwrap()];
    let parse = |text: &&str| text.parse::<Publish>().unwrap();
    let of = |publish| Published::of(&publish, &addresses);
    publish.iter().map(parse).flat_map(of).collect()
}

#[test]
fn the_table_leads_nowhere_until_a_port_is_published() {
    let mut host = host();
    let subnets: BTreeSet<Subnet> = ["10.31.1.0/24", "fd77:0:0:1::/64"]
        .map(|own| own.parse().unwrap())
        .into();
    assert!(host.firewall().unwrap().frame.publishing.is_empty());
    assert_eq!(host.publish(ports(&["8080:80"])), Ok(Follow::Look));
    let firewall = host.firewall().unwrap();
    assert_eq!(firewall.frame.publishing, subnets);
    assert_eq!(firewall.published, ports(&["8080:80"]));
    assert_eq!(host.publish(BTreeSet::new()), Ok(Follow::Look));
    assert!(host.firewall().unwrap().frame.publishing.is_empty());
    assert_eq!(host.publish(BTreeSet::new()), Ok(Follow::Steps(vec![])));
}

#[test]
fn one_port_more_or_less_is_one_step() {
    let mut host = host();
    host.publish(ports(&["1:1", "2:2"])).unwrap();
    let [one, three] = ["1:1", "3:3"].map(|port| *ports(&[port]).first().unwrap());
    assert_eq!(
        host.publish(ports(&["2:2", "3:3"])),
        Ok(Follow::Steps(vec![
            Step::Unpublish(one),
            Step::Publish(three)
        ]))
    );
}

#[test]
fn until_somebody_has_told_what_is_published_stays() {
    let mut host = host();
    let seen = ports(&["8080:80"]);
    let frames = host.frames();
    assert_eq!(frames.len(), 2);
    let firewall = host.firewall_beside(&seen).unwrap();
    assert_eq!(firewall.published, seen);
    assert_eq!(firewall.frame, frames[0]);
    assert_eq!(host.firewall().unwrap().frame, frames[1]);
    // Then it goes.
    host.publish(BTreeSet::new()).unwrap();
    let firewall = host.firewall_beside(&seen).unwrap();
    assert!(firewall.published.is_empty());
    assert_eq!(host.frames(), [firewall.frame]);
}

#[test]
fn the_port_of_a_network_is_never_published() {
    let mut host = host();
    let refused = host.publish(ports(&["4000-5000:4000-5000/udp"]));
    assert_eq!(
        refused.unwrap_err().to_string(),
        "udp port 4789 cannot be published: network blue is carried by it"
    );
    assert_eq!(host.ports(), &Ports::Unknown);
    host.publish(ports(&["4789:1", "4790:1/udp"])).unwrap();
    assert_eq!(host.firewall().unwrap().published.len(), 2);
    // A network that comes later takes it.
    join(
        &mut host,
        network("red", 2, 4790, &["10.32.0.0/16"]),
        &["10.32.0.0/24"],
    );
    let firewall = host.firewall().unwrap();
    assert_eq!(firewall.published, ports(&["4789:1"]));
}

#[test]
fn packets_pass_by_the_uplink_only_where_routes_are_direct() {
    let mut host = host();
    let mut red = network("red", 2, 4790, &["10.32.0.0/16"]);
    red.encap = Encap::Auto;
    join(&mut host, red, &["10.32.0.0/24"]);
    let pass = host.pass(Family::V4);
    assert_eq!(pass.pools.len(), 2);
    let direct = ("eth0".to_owned(), "10.32.0.0/16".parse().unwrap());
    assert_eq!(pass.direct, [direct].into());
    assert_eq!(host.pass(Family::V6).pools.len(), 1);
    assert!(Host::new(host.mac()).pass(Family::V4).rules().is_empty());
}
