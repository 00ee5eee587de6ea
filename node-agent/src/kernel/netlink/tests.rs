use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use netlink_packet_route::{RouteNetlinkMessage, link::LinkMessage, route::RouteMessage};
use netlink_sys::protocols::NETLINK_ROUTE;
use overlay::{datapath::observed::SeenRoute, subnet::Family};
use rustix::io::Errno;

use super::{
    NetlinkError, Refusal, Socket,
    answer::{Answer, Messages},
};
use crate::kernel::{
    decode::route,
    look, message,
    tests::namespace::{run, with_underlay},
};

/// Requests of which none can be done.
fn hopeless(count: u32) -> impl Iterator<Item = message::RouteRequest> {
    (0..count).map(|number| message::delete(1_000_000 + number))
}

#[test]
fn every_failure_is_told_with_its_number() {
    with_underlay(|| {
        let mut socket = Socket::open(NETLINK_ROUTE).unwrap();
        // Many batches, and all of each fails.
        let answers = socket.perform(hopeless(20_000));
        assert!(answers.lost.is_none(), "{answers:?}");
        let numbers: Vec<usize> = answers.refused.iter().map(|(number, _)| *number).collect();
        assert_eq!(numbers, (0..20_000).collect::<Vec<_>>());
        assert!(
            answers
                .refused
                .iter()
                .all(|(_, why)| why.errno == Errno::NODEV)
        );

        let none: [message::RouteRequest; 0] = [];
        let answers = socket.perform(none);
        assert!(answers.refused.is_empty() && answers.lost.is_none());
    });
}

#[test]
fn lost_answers_are_told_and_the_socket_lives_on() {
    with_underlay(|| {
        let mut socket = Socket::with_buffer(NETLINK_ROUTE, 16 * 1024).unwrap();
        let answers = socket.perform(hopeless(5_000));
        let lost = answers.lost.unwrap();
        assert!(matches!(lost, NetlinkError::Lost(_)), "{lost:?}");
        assert!(answers.refused.len() < 5_000);
        // Those that are told are told right.
        assert!(answers.refused.is_sorted_by_key(|(number, _)| *number));

        let mut indices = Vec::new();
        let request = RouteNetlinkMessage::GetLink(LinkMessage::default());
        let read = |body: &[u8]| body.get(4..8).map(<[u8]>::to_vec);
        socket.dump(request, &mut indices, read).unwrap();
        assert_eq!(indices.len(), 3);
        let answers = socket.perform(hopeless(3));
        assert_eq!(answers.refused.len(), 3);
        assert!(answers.lost.is_none());
    });
}

#[test]
fn the_kernel_gives_its_reasons() {
    with_underlay(|| {
        let mut socket = Socket::open(NETLINK_ROUTE).unwrap();
        // A request for a list of which strict kernels want to know the table.
        let mut request = RouteMessage::default();
        request.header.tos = 3;
        let mut none: Vec<()> = Vec::new();
        let listed = socket.dump(RouteNetlinkMessage::GetRoute(request), &mut none, |_| None);
        let Err(NetlinkError::Refused(refusal)) = listed else {
            panic!("{listed:?}");
        };
        assert_eq!(refusal.errno, Errno::INVAL);
        assert!(
            refusal.to_string().contains("Invalid values in header"),
            "{refusal}"
        );

        let asked = socket.ask(message::delete(99), &mut |_| {});
        assert!(asked.unwrap_err().to_string().contains("No such device"));
    });
}

#[test]
fn a_list_that_changes_while_it_is_read_is_whole() {
    with_underlay(|| {
        let mut lines = String::new();
        for number in 0..20_000u32 {
            let [_, _, high, low] = number.to_be_bytes();
            lines += &format!("route add 10.{high}.{low}.0/24 dev eth0 metric {number}\n");
        }
        batch(&lines);
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    run("ip route add 198.51.100.0/24 dev eth0");
                    run("ip route del 198.51.100.0/24 dev eth0");
                }
            });
            let mut socket = Socket::open(NETLINK_ROUTE).unwrap();
            let mut whole = 0;
            for _ in 0..40 {
                let mut routes: Vec<SeenRoute> = Vec::new();
                match look::routes(&mut socket, Family::V4, &mut routes, route::read) {
                    Ok(()) => {
                        whole += 1;
                        let ours = routes
                            .iter()
                            .filter(|route| route.subnet.address().to_string().starts_with("10."));
                        assert_eq!(ours.count(), 20_000);
                    }
                    Err(NetlinkError::Torn) => {}
                    Err(error) => panic!("{error}"),
                }
            }
            stop.store(true, Ordering::Relaxed);
            assert!(whole > 0);
        });
    });
}

fn batch(lines: &str) {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), lines).unwrap();
    run(&format!("ip -batch {}", file.path().display()));
}

#[test]
fn nonsense_ends_a_datagram() {
    let mut bytes = Vec::new();
    // An error with a sentence, as a kernel with capped answers writes it.
    let text = b"\x0a\x00\x01\x00Sorry\0\0\0";
    bytes.extend(48u32.to_ne_bytes());
    bytes.extend(2u16.to_ne_bytes());
    bytes.extend(0x300u16.to_ne_bytes());
    bytes.extend(7u32.to_ne_bytes());
    bytes.extend(0u32.to_ne_bytes());
    bytes.extend((-17i32).to_ne_bytes());
    bytes.extend([0; 16]);
    bytes.extend(text);
    bytes.extend([1, 2, 3]);
    let messages: Vec<_> = Messages::of(&bytes).collect();
    assert_eq!(messages.len(), 1);
    assert_eq!(messages[0].sequence, 7);
    let refusal = Refusal {
        errno: Errno::EXIST,
        text: Some("Sorry".into()),
    };
    assert_eq!(messages[0].answer(), Answer::Refused(refusal));
    // Lengths that lie.
    for length in [0u32, 3, 15, 1000, u32::MAX] {
        bytes[..4].copy_from_slice(&length.to_ne_bytes());
        assert_eq!(Messages::of(&bytes).count(), 0, "{length}");
    }
}
