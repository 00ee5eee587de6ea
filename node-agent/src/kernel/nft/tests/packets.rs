//! What the table does to packets. `host` is the namespace of the test.

use std::net::UdpSocket;

use super::{
    Table, addresses,
    around::{
        OTHER, PEER, SECOND, UPLINK, connect, container, counted, installed, neighbour, packets,
        router,
    },
    firewall, frame,
    namespace::{Host, alone, run, until},
    untouched,
};

/// Listens at the port as the kernel's VXLAN does: at every address of both families.
struct Listener {
    socket: UdpSocket,
    sent: u32,
}

impl Listener {
    fn new() -> Self {
        let socket = UdpSocket::bind("[::]:4789").unwrap();
        socket.set_nonblocking(true).unwrap();
        Self { socket, sent: 0 }
    }

    fn arrives(&mut self, from: &Host, to: &str) {
        let text = self.send(from, to);
        let mut heard = None;
        until(
            &format!("heard at {to}"),
            || {
                heard = self.hear();
                heard.is_some()
            },
            || run("nft list ruleset"),
        );
        assert_eq!(heard, Some(text), "{to}");
    }

    /// It is counted by this chain as dropped.
    fn is_dropped(&mut self, from: &Host, to: &str, chain: &str) {
        let before = counted(chain);
        self.send(from, to);
        until(
            &format!("counted: a packet to {to} in {chain}"),
            || counted(chain) > before,
            || run("nft list ruleset"),
        );
        assert_eq!(self.hear(), None, "{to}");
    }

    fn send(&mut self, from: &Host, to: &str) -> String {
        self.sent += 1;
        let text = format!("datagram {}", self.sent);
        from.run(&format!("echo {text} > /dev/udp/{to}/4789"));
        text
    }

    fn hear(&self) -> Option<String> {
        let mut buffer = [0; 100];
        let length = self.socket.recv(&mut buffer).ok()?;
        Some(String::from_utf8_lossy(&buffer[..length]).trim().to_owned())
    }
}

#[test]
fn the_port_of_the_uplink_is_open_to_known_sources() {
    alone(
        "packets::the_port_of_the_uplink_is_open_to_known_sources",
        || {
            router();
            let peer = neighbour("up0", UPLINK, PEER);
            let mut listener = Listener::new();
            let mut table = installed(&firewall(frame(), &[]));
            let v6_first = [
                ("2001:db8:50::1", "2001:db8:50::2"),
                ("192.0.2.1", "192.0.2.2"),
            ];
            for (to, from) in v6_first {
                let from = from.parse().unwrap();
                listener.is_dropped(&peer, to, "known");
                table.change_sources(&[from], &[]).unwrap();
                listener.arrives(&peer, to);
                table.change_sources(&[], &[from]).unwrap();
                listener.is_dropped(&peer, to, "known");
            }
            // An address of the host that is not the uplink's.
            run("ip addr add 203.0.113.1/32 dev lo");
            table
                .change_sources(&["192.0.2.2".parse().unwrap()], &[])
                .unwrap();
            listener.arrives(&peer, "203.0.113.1");
            // Another port is nobody's business here.
            let other = UdpSocket::bind("[::]:4790").unwrap();
            other
                .set_read_timeout(Some(std::time::Duration::from_secs(5)))
                .unwrap();
            peer.run("echo hello > /dev/udp/2001:db8:50::1/4790");
            assert_eq!(other.recv(&mut [0; 10]).unwrap(), 6);
        },
    );
}

#[test]
fn what_a_peer_sends_is_counted_once() {
    alone("packets::what_a_peer_sends_is_counted_once", || {
        router();
        let peer = neighbour("up0", UPLINK, PEER);
        let mut listener = Listener::new();
        let sources = ["192.0.2.2", "192.0.2.9", "2001:db8:50::2"];
        let firewall = firewall(frame(), &sources);
        let mut table = installed(&firewall);
        for _ in 0..3 {
            listener.arrives(&peer, "192.0.2.1");
        }
        listener.arrives(&peer, "2001:db8:50::1");
        let counted = table.counted().unwrap();
        let packets = sources.map(|source| counted[&source.parse().unwrap()].packets);
        assert_eq!(packets, [3, 0, 1]);
        // The headers of IPv4 and UDP, and "datagram 1" with its end of line.
        let first = counted[&sources[0].parse().unwrap()];
        assert_eq!(first.bytes, 3 * (20 + 8 + 11));
        let listed = run("nft list set inet weft peers4");
        assert!(
            listed.contains("192.0.2.2 counter packets 3 bytes 117"),
            "{listed}"
        );
        // What is counted is no change to the table.
        assert_eq!(table.look().unwrap(), untouched(&firewall));
    });
}

/// Whether Linux hooks the new device by its name or not: there is no hole.
#[test]
fn a_recreated_or_renamed_uplink_is_guarded_until_the_next_install() {
    alone(
        "packets::a_recreated_or_renamed_uplink_is_guarded_until_the_next_install",
        || {
            router();
            let mut peer = neighbour("up0", UPLINK, PEER);
            let mut listener = Listener::new();
            let mut table = Table::open().unwrap();
            let from = "192.0.2.2".parse().unwrap();
            for change in ["recreate", "rename"] {
                table.install(&firewall(frame(), &[])).unwrap();
                if change == "recreate" {
                    run("ip link del up0");
                    peer = Host::start();
                    connect(&peer, "up0", UPLINK, PEER);
                } else {
                    run("ip link set up0 name up7");
                }
                let dropped = || counted("vx") + counted("known");
                let before = dropped();
                listener.send(&peer, "192.0.2.1");
                until(change, || dropped() > before, || run("nft list ruleset"));
                assert_eq!(listener.hear(), None);
                table.change_sources(&[from], &[]).unwrap();
                listener.arrives(&peer, "192.0.2.1");
                table.change_sources(&[], &[from]).unwrap();
            }
        },
    );
}

#[test]
fn on_another_device_a_source_must_also_come_the_way_that_leads_to_it() {
    alone(
        "packets::on_another_device_a_source_must_also_come_the_way_that_leads_to_it",
        || {
            router();
            let _peer = neighbour("up0", UPLINK, PEER);
            let other = neighbour("sec0", SECOND, OTHER);
            run("ip addr add 203.0.113.1/32 dev lo");
            let mut listener = Listener::new();
            let mut table = installed(&firewall(frame(), &["192.0.2.2", "2001:db8:50::2"]));
            for to in ["198.51.100.1", "2001:db8:51::1", "192.0.2.1"] {
                listener.is_dropped(&other, to, "vx");
            }
            let both: Vec<_> = addresses(&["198.51.100.2", "2001:db8:51::2"])
                .into_iter()
                .collect();
            table.change_sources(&both, &[]).unwrap();
            for to in ["198.51.100.1", "2001:db8:51::1", "192.0.2.1", "203.0.113.1"] {
                listener.arrives(&other, to);
            }
            // With the address of the peer that is behind the uplink.
            other.run(
                "ip addr add 192.0.2.2/32 dev lo
                 ip addr add 2001:db8:50::2/128 dev lo nodad
                 ip route replace default via 198.51.100.1 src 192.0.2.2
                 ip -6 route replace default via 2001:db8:51::1 src 2001:db8:50::2",
            );
            for to in ["192.0.2.1", "2001:db8:50::1"] {
                listener.is_dropped(&other, to, "vx");
            }
        },
    );
}

#[test]
fn a_container_reaches_no_vtep_and_other_containers_do() {
    alone(
        "packets::a_container_reaches_no_vtep_and_other_containers_do",
        || {
            router();
            let _peer = neighbour("up0", UPLINK, PEER);
            let container = container("wv0", 5);
            let second = self::container("wv1", 6);
            run(
                "ip addr add 10.31.1.0/32 dev lo; ip addr add fd77:1:1::/128 dev lo nodad
             ip addr add 10.31.9.1/24 brd + dev wv1; ip addr add fd77:1:9::1/64 dev wv1 nodad",
            );
            let mut listener = Listener::new();
            let mut frame = frame();
            // A peer inside of a pool, which is a mistake, is no way to it either.
            frame.pools.insert("203.0.113.0/24".parse().unwrap());
            frame.masquerade.insert("10.31.1.0/24".parse().unwrap());
            // Its own address among the sources opens nothing for a container.
            let sources = ["192.0.2.2", "2001:db8:50::2", "10.31.1.5", "203.0.113.7"];
            let _table = installed(&firewall(frame, &sources));
            for outside in [
                "192.0.2.1",
                "2001:db8:50::1",
                "192.0.2.2",
                "2001:db8:50::2",
                "192.0.2.99",
            ] {
                listener.is_dropped(&container, outside, "inside");
            }
            // Own addresses, a peer, a broadcast address, the routers' anycast address.
            for inside in [
                "10.31.1.0",
                "fd77:1:1::",
                "203.0.113.7",
                "10.31.9.255",
                "fd77:1:9::",
            ] {
                listener.is_dropped(&container, inside, "nested");
            }
            second.run(
                "nft add table inet probe
             nft 'add chain inet probe in { type filter hook input priority 0; }'
             nft add rule inet probe in udp dport 4789 counter",
            );
            for to in ["10.31.1.6", "fd77:1:1::6"] {
                let heard = || packets(&second.run("nft -j list chain inet probe in"));
                let before = heard();
                listener.send(&container, to);
                until("forwarded", || heard() > before, || run("nft list ruleset"));
            }
        },
    );
}

/// Such as Docker's: the host may lend them its address, too.
#[test]
fn what_is_behind_other_devices_reaches_no_known_vtep() {
    alone(
        "packets::what_is_behind_other_devices_reaches_no_known_vtep",
        || {
            router();
            let peer = neighbour("up0", UPLINK, PEER);
            peer.run("ip addr add 192.0.2.3/24 dev eth0");
            let other = neighbour("sec0", SECOND, OTHER);
            let mut listener = Listener::new();
            let _table = installed(&firewall(frame(), &["192.0.2.2", "2001:db8:50::2"]));
            for to in ["192.0.2.2", "2001:db8:50::2", "198.51.100.1"] {
                listener.is_dropped(&other, to, "vx");
            }
            // A VXLAN of somebody else's passes.
            peer.run(
                "nft add table inet probe
             nft 'add chain inet probe in { type filter hook input priority 0; }'
             nft add rule inet probe in ip daddr 192.0.2.3 udp dport 4789 counter",
            );
            listener.send(&other, "192.0.2.3");
            let heard = || packets(&peer.run("nft -j list chain inet probe in"));
            until("forwarded", || heard() > 0, || run("nft list ruleset"));
        },
    );
}

#[test]
fn masquerade_is_for_what_leaves_the_overlay() {
    alone("packets::masquerade_is_for_what_leaves_the_overlay", || {
        router();
        let peer = neighbour("up0", UPLINK, PEER);
        let container = container("wv0", 5);
        let second = self::container("wv1", 6);
        // Inside of the overlay, but beyond a device that is none of ours.
        run("ip route add 10.31.2.0/24 via 192.0.2.2");
        peer.run("ip addr add 10.31.2.7/32 dev lo");
        let mut frame = frame();
        frame.masquerade = ["10.31.1.0/24", "fd77:1:1::/64"]
            .map(|subnet| subnet.parse().unwrap())
            .into();
        let _table = installed(&firewall(frame, &["192.0.2.2"]));
        for (at, to, from) in [
            (&peer, "192.0.2.2", "ip saddr 192.0.2.1"),
            (&peer, "2001:db8:50::2", "ip6 saddr 2001:db8:50::1"),
            (&peer, "10.31.2.7", "ip saddr 10.31.1.5"),
            (&second, "10.31.1.6", "ip saddr 10.31.1.5"),
            (&second, "fd77:1:1::6", "ip6 saddr fd77:1:1::5"),
        ] {
            at.run(&format!(
                "nft add table inet probe; nft delete table inet probe
                 nft add table inet probe
                 nft 'add chain inet probe in {{ type filter hook input priority 0; }}'
                 nft add rule inet probe in udp dport 9999 {from} counter"
            ));
            container.run(&format!("echo hello > /dev/udp/{to}/9999"));
            let heard = || packets(&at.run("nft -j list chain inet probe in"));
            let what = format!("heard at {to} with {from}");
            until(&what, || heard() == 1, || run("nft list ruleset"));
        }
    });
}

/// Masquerading has all connections tracked, but the overlay's own packets are none.
#[test]
fn packets_between_vteps_are_not_tracked() {
    alone("packets::packets_between_vteps_are_not_tracked", || {
        router();
        let peer = neighbour("up0", UPLINK, PEER);
        let mut listener = Listener::new();
        let mut frame = frame();
        frame.masquerade.insert("10.31.1.0/24".parse().unwrap());
        let _table = installed(&firewall(frame, &["192.0.2.2", "2001:db8:50::2"]));
        run("nft add table inet probe
             nft 'add chain inet probe in { type filter hook input priority 0; }'
             nft 'add chain inet probe out { type filter hook output priority 0; }'
             nft add rule inet probe in udp dport 4789 ct state untracked counter
             nft add rule inet probe out udp dport 4789 ct state untracked counter");
        for (way, expected) in [("in", 2), ("out", 2)] {
            for (to, from) in [
                ("192.0.2.1", "192.0.2.2"),
                ("2001:db8:50::1", "2001:db8:50::2"),
            ] {
                if way == "in" {
                    listener.arrives(&peer, to);
                } else {
                    run(&format!("echo hello > /dev/udp/{from}/4789"));
                }
            }
            let seen = packets(&run(&format!("nft -j list chain inet probe {way}")));
            assert_eq!(seen, expected, "{}", run("nft list ruleset"));
        }
    });
}
