//! What published ports do to packets. `host` is the namespace of the test.

use std::{
    fs::File,
    io::{self, ErrorKind, Read, Write},
    net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    os::fd::AsFd,
    sync::mpsc,
    thread,
    time::Duration,
};

use overlay::datapath::firewall::published::localnet;
use rustix::{
    net::{AddressFamily, SocketType},
    thread::{LinkNameSpaceType, move_into_link_name_space},
};

use super::{
    around::{
        OTHER, PEER, SECOND, UPLINK, container, counted, installed, neighbour, packets, router,
    },
    namespace::{Host, alone, run, until},
    ports::{ports, publishing},
};
use crate::kernel::sysctl;

const PATIENCE: Duration = Duration::from_secs(3);

/// In another host's namespace, or in the test's own.
pub fn at<T: Send + 'static>(host: Option<&Host>, body: impl FnOnce() -> T + Send + 'static) -> T {
    let namespace = host.map(|host| File::open(format!("/proc/{}/ns/net", host.pid())).unwrap());
    let inside = move || {
        if let Some(namespace) = namespace {
            let network = Some(LinkNameSpaceType::Network);
            move_into_link_name_space(namespace.as_fd(), network).unwrap();
        }
        body()
    };
    thread::spawn(inside).join().unwrap()
}

/// Answers at this port, by TCP and UDP and in both families, with its name and whom it
/// answers.
pub fn serve(name: &'static str, host: &Host, port: u16) {
    let (tcp, udp) = at(Some(host), move || {
        let all = format!("[::]:{port}");
        (
            TcpListener::bind(&all).unwrap(),
            UdpSocket::bind(&all).unwrap(),
        )
    });
    thread::spawn(move || {
        for client in tcp.incoming() {
            let mut client = client.unwrap();
            let whom = client.peer_addr().unwrap().ip().to_canonical();
            let _ = write!(client, "{name} {whom}");
        }
    });
    thread::spawn(move || {
        loop {
            let (_, client) = udp.recv_from(&mut [0; 100]).unwrap();
            let whom = client.ip().to_canonical();
            let _ = udp.send_to(format!("{name} {whom}").as_bytes(), client);
        }
    });
}

pub fn tcp(from: Option<&Host>, to: SocketAddr) -> io::Result<String> {
    at(from, move || {
        let mut stream = TcpStream::connect_timeout(&to, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        Ok(text)
    })
}

pub fn udp(from: Option<&Host>, to: SocketAddr) -> io::Result<String> {
    at(from, move || {
        let all = if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        let socket = UdpSocket::bind(all)?;
        socket.connect(to)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.send(b"hello")?;
        let mut buffer = [0; 100];
        let length = socket.recv(&mut buffer)?;
        Ok(String::from_utf8_lossy(&buffer[..length]).into())
    })
}

pub fn place(address: &str, port: u16) -> SocketAddr {
    SocketAddr::new(address.parse().unwrap(), port)
}

pub fn answers(from: Option<&Host>, address: &str, port: u16, expected: &str) {
    for (protocol, ask) in [("tcp", tcp as fn(_, _) -> _), ("udp", udp)] {
        let answer: io::Result<String> = ask(from, place(address, port));
        let state = || {
            let from = from.map(|from| from.run("ip addr; ip route"));
            run("nft list ruleset; ip route; ip -6 route") + &from.unwrap_or_default()
        };
        match answer {
            Ok(text) if text.starts_with(expected) => {}
            other => panic!(
                "{protocol} to {address} port {port}: {other:?}\n{}",
                state()
            ),
        }
    }
}

pub fn refuses(from: Option<&Host>, address: &str, port: u16) {
    let answer = tcp(from, place(address, port));
    let refused = matches!(&answer, Err(error) if error.kind() == ErrorKind::ConnectionRefused);
    assert!(refused, "{address} port {port}: {answer:?}");
}

fn local_on(device: &str) {
    sysctl::write(&localnet(device, true)).unwrap();
}

#[test]
fn a_published_port_answers_from_everywhere() {
    alone(
        "published::a_published_port_answers_from_everywhere",
        || {
            router();
            let outside = neighbour("up0", UPLINK, PEER);
            let (five, six) = (container("wv0", 5), container("wv1", 6));
            serve("five", &five, 80);
            serve("six", &six, 80);
            let wishes = ["8080:80", "8080:80/udp"];
            let mut table = installed(&publishing(ports(&wishes, &["10.31.1.5", "fd77:1:1::5"])));
            local_on("wv0");
            // Whoever comes from outside keeps his address.
            answers(Some(&outside), "192.0.2.1", 8080, "five 192.0.2.2");
            answers(
                Some(&outside),
                "2001:db8:50::1",
                8080,
                "five 2001:db8:50::2",
            );
            for address in ["192.0.2.1", "127.0.0.1", "127.8.8.8", "2001:db8:50::1"] {
                answers(None, address, 8080, "five ");
            }
            for address in ["192.0.2.1", "2001:db8:50::1"] {
                answers(Some(&six), address, 8080, "five ");
                // Its own.
                answers(Some(&five), address, 8080, "five ");
            }
            // IPv6 cannot be led on from there.
            refuses(None, "::1", 8080);
            refuses(Some(&outside), "192.0.2.1", 8081);
            // Nothing is led on of what only passes.
            answers(Some(&outside), "10.31.1.6", 80, "six 192.0.2.2");
            refuses(Some(&outside), "10.31.1.6", 8080);

            let both = ports(&wishes, &["10.31.1.5", "fd77:1:1::5"]);
            table.change_ports(&[].into(), &both).unwrap();
            refuses(Some(&outside), "192.0.2.1", 8080);
            refuses(Some(&outside), "2001:db8:50::1", 8080);
            refuses(None, "127.0.0.1", 8080);
        },
    );
}

#[test]
fn an_address_of_the_host_comes_before_all_of_them() {
    alone(
        "published::an_address_of_the_host_comes_before_all_of_them",
        || {
            router();
            let outside = neighbour("up0", UPLINK, PEER);
            let second = neighbour("sec0", SECOND, OTHER);
            let (five, six) = (container("wv0", 5), container("wv1", 6));
            serve("five", &five, 80);
            serve("six", &six, 80);
            let mut published = ports(&["8080:80", "8080:80/udp"], &["10.31.1.5", "fd77:1:1::5"]);
            let of_six = [
                "192.0.2.1:8080:80",
                "192.0.2.1:8080:80/udp",
                "[2001:db8:50::1]:8080:80",
                "[2001:db8:50::1]:8080:80/udp",
                "127.0.0.1:9090:80",
                "127.0.0.1:9090:80/udp",
            ];
            published.extend(ports(&of_six, &["10.31.1.6", "fd77:1:1::6"]));
            let _table = installed(&publishing(published));
            local_on("wv0");
            local_on("wv1");
            for from in [Some(&outside), None] {
                answers(from, "192.0.2.1", 8080, "six ");
                answers(from, "2001:db8:50::1", 8080, "six ");
            }
            answers(Some(&second), "198.51.100.1", 8080, "five ");
            answers(Some(&second), "2001:db8:51::1", 8080, "five ");
            answers(None, "127.0.0.1", 8080, "five ");
            answers(None, "127.0.0.1", 9090, "six ");
            refuses(Some(&outside), "192.0.2.1", 9090);
            refuses(None, "127.0.0.2", 9090);
        },
    );
}

/// A container on a bridge, whose neighbours are not behind this host.
pub fn bridged(device: &str, number: u32) -> Host {
    let host = Host::start();
    run(&format!(
        "ip link add {device} type veth peer name eth0 netns {}
         ip link set {device} master weftbr1 up; bridge link set dev {device} hairpin on",
        host.pid()
    ));
    host.run(&format!(
        "ip addr add 10.31.1.{number}/24 dev eth0
         ip addr add fd77:1:1::{number}/64 dev eth0 nodad
         ip link set eth0 up
         ip route add default via 10.31.1.1
         ip -6 route add default via fd77:1:1::1"
    ));
    host
}

#[test]
fn ports_lead_to_containers_on_a_bridge_as_well() {
    alone(
        "published::ports_lead_to_containers_on_a_bridge_as_well",
        || {
            router();
            let outside = neighbour("up0", UPLINK, PEER);
            run("ip link add weftbr1 type bridge; ip link set weftbr1 up
             ip addr add 10.31.1.1/24 dev weftbr1
             ip addr add fd77:1:1::1/64 dev weftbr1 nodad");
            let (five, six) = (bridged("wv0", 5), bridged("wv1", 6));
            serve("five", &five, 80);
            let wishes = ["8080:80", "8080:80/udp"];
            let _table = installed(&publishing(ports(&wishes, &["10.31.1.5", "fd77:1:1::5"])));
            local_on("weftbr1");
            for address in ["192.0.2.1", "2001:db8:50::1"] {
                for from in [Some(&outside), None, Some(&five), Some(&six)] {
                    answers(from, address, 8080, "five ");
                }
            }
            answers(None, "127.0.0.1", 8080, "five ");
            answers(Some(&six), "10.31.1.1", 8080, "five ");
        },
    );
}

/// The setting that leads 127.0.0.1 on would also open it to containers.
#[test]
fn containers_reach_nobody_at_127_0_0_1() {
    alone("published::containers_reach_nobody_at_127_0_0_1", || {
        router();
        let container = container("wv0", 5);
        let _outside = neighbour("up0", UPLINK, PEER);
        local_on("wv0");
        run("sysctl -qw net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.wv0.rp_filter=0");
        // A container may do with its own namespace what it likes.
        container.run(
            "ip addr del 127.0.0.1/8 dev lo
             sysctl -qw net.ipv4.conf.eth0.route_localnet=1 net.ipv4.conf.all.route_localnet=1
             ip route add 127.0.0.1 via 169.254.1.1 dev eth0 onlink",
        );
        let listener = UdpSocket::bind("127.0.0.1:7777").unwrap();
        listener.set_nonblocking(true).unwrap();
        let hear = || listener.recv(&mut [0; 10]).is_ok();
        let send = || container.run("echo hello > /dev/udp/127.0.0.1/7777");
        send();
        until("heard without the table", hear, || {
            run("ip -s link; ip route")
        });
        let _table = installed(&publishing(ports(&["8080:80"], &["10.31.1.5"])));
        send();
        until(
            "dropped",
            || counted("loopback") > 0,
            || run("nft list ruleset"),
        );
        assert!(!hear());
    });
}

/// An association's first packet, as any SCTP sends it.
fn sctp_init(port: u16) -> Vec<u8> {
    let mut packet = Vec::new();
    packet.extend(40_000u16.to_be_bytes());
    packet.extend(port.to_be_bytes());
    packet.extend([0; 8]);
    packet.extend([1, 0, 0, 20, 0, 0, 0, 7, 0, 1, 0, 0, 0, 1, 0, 1, 0, 0, 0, 9]);
    let mut crc = !0u32;
    for byte in &packet {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0x82f6_3b78 & (!(crc & 1)).wrapping_add(1));
        }
    }
    packet[8..12].copy_from_slice(&(!crc).to_le_bytes());
    packet
}

#[test]
fn sctp_is_led_on_too() {
    alone("published::sctp_is_led_on_too", || {
        router();
        let outside = neighbour("up0", UPLINK, PEER);
        let five = container("wv0", 5);
        let wishes = ["9000-9009:19000-19009/sctp"];
        let _table = installed(&publishing(ports(&wishes, &["10.31.1.5", "fd77:1:1::5"])));
        five.run(
            "nft add table inet probe
             nft 'add chain inet probe in { type filter hook input priority 0; }'
             nft add rule inet probe in sctp dport 19003 counter",
        );
        for (number, to) in (1..).zip(["192.0.2.1", "2001:db8:50::1"]) {
            let (send, sent) = mpsc::channel();
            at(Some(&outside), move || {
                let to: IpAddr = to.parse().unwrap();
                let family = if to.is_ipv4() {
                    AddressFamily::INET
                } else {
                    AddressFamily::INET6
                };
                let sctp = rustix::net::Protocol::from_raw(132.try_into().unwrap());
                let socket = rustix::net::socket(family, SocketType::RAW, Some(sctp)).unwrap();
                let to = SocketAddr::new(to, 0);
                let flags = rustix::net::SendFlags::empty();
                rustix::net::sendto(&socket, &sctp_init(9003), flags, &to).unwrap();
                send.send(()).unwrap();
            });
            sent.recv().unwrap();
            let heard = || packets(&five.run("nft -j list chain inet probe in"));
            until("heard", || heard() == number, || run("nft list ruleset"));
        }
    });
}
