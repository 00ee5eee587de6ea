//! What passes where others drop what is forwarded, and who does not get in.

use overlay::datapath::{
    firewall::{Firewall, published::localnet},
    forward::Filter,
};

use super::{Forward, Table, alone, every, open, run};
use crate::kernel::{
    nft::tests::{
        around::{PEER, UPLINK, container, neighbour, packets, router},
        namespace::{Host, until},
        ports::{ports, publishing},
        published::{answers, bridged, serve},
    },
    sysctl,
};

const PUBLISH: [&str; 2] = ["8080:80", "8080:80/udp"];
const FIVE: [&str; 2] = ["10.31.1.5", "fd77:1:1::5"];
const SIX: [&str; 2] = ["10.31.1.6", "fd77:1:1::6"];
const REMOTE: [&str; 2] = ["10.31.2.7", "fd77:1:2::7"];
const HOST: [&str; 2] = ["192.0.2.1", "2001:db8:50::1"];
const OUTSIDE: [&str; 2] = ["192.0.2.2", "2001:db8:50::2"];

fn firewall() -> Firewall {
    let mut firewall = publishing(ports(&PUBLISH, &FIVE));
    firewall.frame.masquerade = firewall.frame.publishing.clone();
    firewall
}

/// A container of another host, behind a device of the overlay.
fn remote() -> Host {
    let remote = neighbour(
        "weft1",
        ["10.99.0.1/24", "fd99:9::1/64"],
        ["10.99.0.2/24", "fd99:9::2/64"],
    );
    remote.run(
        "ip addr add 10.31.2.7/32 dev lo; ip addr add fd77:1:2::7/128 dev lo nodad
         ip route replace default via 10.99.0.1 dev eth0 src 10.31.2.7
         ip -6 route replace default via fd99:9::1 dev eth0 src fd77:1:2::7",
    );
    run("ip route add 10.31.2.0/24 via 10.99.0.2
         ip -6 route add fd77:1:2::/64 via fd99:9::2");
    remote
}

/// How many packets the policy has dropped.
fn dropped(filter: Filter) -> u64 {
    let listed = run(&format!("{filter} -w 5 -L FORWARD -nvx"));
    let mut words = listed.lines().next().unwrap().split_whitespace();
    words.find(|word| *word == "DROP");
    words.next().unwrap().parse().unwrap()
}

/// One datagram to a container: the policy drops it.
fn is_dropped(from: &Host, container: &Host, to: &str, filter: Filter) {
    let before = dropped(filter);
    from.run(&format!("echo hello > /dev/udp/{to}/9"));
    let state = || run(&format!("{filter} -S; {filter} -L -nvx; ip route"));
    let what = format!("dropped: to {to}");
    until(&what, || dropped(filter) > before, state);
    let heard = packets(&container.run("nft -j list chain inet probe in"));
    assert_eq!(heard, 0, "{to}\n{}", state());
}

fn probe(container: &Host) {
    container.run(
        "nft add table inet probe
         nft 'add chain inet probe in { type filter hook input priority 0; }'
         nft add rule inet probe in udp dport 9 counter",
    );
}

/// All that has to pass, and all that has not.
fn passes(outside: &Host, five: &Host, six: &Host, remote: &Host, filters: [Filter; 2]) {
    serve("five", five, 80);
    serve("remote", remote, 80);
    serve("outside", outside, 80);
    probe(five);
    probe(remote);
    outside.run("ip addr add 10.31.9.9/32 dev lo; ip addr add fd77:1:9::9/128 dev lo nodad");
    for (filter, to) in filters.into_iter().zip(REMOTE) {
        is_dropped(five, remote, to, filter);
    }
    let (mut forward, mut nft) = (Forward::default(), Table::open().unwrap());
    open(&mut forward, &mut nft);
    for (at, filter) in filters.into_iter().enumerate() {
        let said = |name: &str, whom: [&str; 2]| format!("{name} {}", whom[at]);
        answers(Some(six), FIVE[at], 80, &said("five", SIX));
        answers(Some(six), REMOTE[at], 80, &said("remote", SIX));
        answers(Some(remote), FIVE[at], 80, &said("five", REMOTE));
        // To the internet, masqueraded.
        answers(Some(five), OUTSIDE[at], 80, &said("outside", HOST));
        for from in [Some(outside), Some(five), Some(six), Some(remote), None] {
            answers(from, HOST[at], 8080, "five ");
        }
        // Whoever merely routes to this host does not get in, whatever address he says
        // he has.
        is_dropped(outside, five, FIVE[at], filter);
        outside.run(
            [
                "ip route replace default via 192.0.2.1 dev eth0 src 10.31.9.9",
                "ip -6 route replace default via 2001:db8:50::1 dev eth0 src fd77:1:9::9",
            ][at],
        );
        is_dropped(outside, five, FIVE[at], filter);
        is_dropped(outside, remote, REMOTE[at], filter);
        outside.run(
            [
                "ip route replace default via 192.0.2.1 dev eth0",
                "ip -6 route replace default via 2001:db8:50::1 dev eth0",
            ][at],
        );
    }
    answers(None, "127.0.0.1", 8080, "five ");
}

fn drop_all(backend: usize) -> [Filter; 2] {
    let filters = every();
    let filters = [filters[backend * 2], filters[backend * 2 + 1]];
    for filter in filters {
        run(&format!("{filter} -w 5 -P FORWARD DROP"));
    }
    run("sysctl -qw net.bridge.bridge-nf-call-iptables=1 net.bridge.bridge-nf-call-ip6tables=1");
    filters
}

fn routed(backend: usize) {
    router();
    let outside = neighbour("up0", UPLINK, PEER);
    let (five, six) = (container("wv0", 5), container("wv1", 6));
    let remote = remote();
    let filters = drop_all(backend);
    Table::open().unwrap().install(&firewall()).unwrap();
    sysctl::write(&localnet("wv0", true)).unwrap();
    passes(&outside, &five, &six, &remote, filters);
}

fn on_a_bridge(backend: usize) {
    router();
    let outside = neighbour("up0", UPLINK, PEER);
    run("ip link add weftbr1 type bridge; ip link set weftbr1 up
         ip addr add 10.31.1.1/24 dev weftbr1
         ip addr add fd77:1:1::1/64 dev weftbr1 nodad");
    let (five, six) = (bridged("wv0", 5), bridged("wv1", 6));
    let remote = remote();
    let filters = drop_all(backend);
    Table::open().unwrap().install(&firewall()).unwrap();
    sysctl::write(&localnet("weftbr1", true)).unwrap();
    passes(&outside, &five, &six, &remote, filters);
}

#[test]
fn routed_under_iptables_legacy() {
    alone("packets::routed_under_iptables_legacy", || routed(0));
}

#[test]
fn routed_under_iptables_nft() {
    alone("packets::routed_under_iptables_nft", || routed(1));
}

#[test]
fn on_a_bridge_under_iptables_legacy() {
    alone("packets::on_a_bridge_under_iptables_legacy", || {
        on_a_bridge(0);
    });
}

#[test]
fn on_a_bridge_under_iptables_nft() {
    alone("packets::on_a_bridge_under_iptables_nft", || on_a_bridge(1));
}
