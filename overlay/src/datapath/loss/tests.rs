use super::*;
use crate::record::Mac;

fn name(number: u8) -> NodeName {
    format!("n{number}").parse().unwrap()
}

fn peer(number: u8) -> Peer {
    Peer {
        v4: format!("10.31.{number}.0/24").parse().ok(),
        v6: None,
        underlay: format!("192.0.2.{number}").parse().unwrap(),
        mac: Mac([2, 0, 0, 0, 0, number]),
    }
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn more_than_half_is_sudden_unless_it_is_few() {
    for (lost, before, sudden) in [
        (0, 0, false),
        (1, 1, false),
        (2, 2, false),
        (2, 3, false),
        (3, 3, true),
        (3, 5, true),
        (3, 6, false),
        (4, 6, true),
        (5, 10, false),
        (6, 10, true),
        (5_000, 10_000, false),
        (5_001, 10_000, true),
        (10_000, 10_000, true),
    ] {
        assert_eq!(is_sudden(lost, before), sudden, "{lost} of {before}");
    }
}

#[test]
fn what_is_held_is_let_go_when_it_is_time_and_not_before() {
    let mut loss = Loss::default();
    assert_eq!(loss.until(), None);
    assert!(loss.let_go(seconds(100)).is_empty());
    loss.hold([(name(2), peer(2)), (name(3), peer(3))].into(), seconds(60));
    assert_eq!(loss.until(), Some(seconds(60)));
    assert!(loss.let_go(seconds(59)).is_empty());
    assert_eq!(loss.let_go(seconds(60)), [peer(2), peer(3)]);
    assert_eq!(
        loss,
        Loss {
            until: seconds(60),
            ..Loss::default()
        }
    );
    assert_eq!(loss.until(), None);
}

#[test]
fn a_second_loss_holds_the_first_for_as_long() {
    let mut loss = Loss::default();
    loss.hold([(name(2), peer(2))].into(), seconds(60));
    loss.hold([(name(3), peer(3))].into(), seconds(90));
    assert!(loss.let_go(seconds(89)).is_empty());
    assert_eq!(loss.let_go(seconds(90)).len(), 2);
}

#[test]
fn whoever_comes_into_a_held_place_has_it() {
    let room = |node: u8, newcomer: Peer| {
        let mut loss = Loss::default();
        let held = (2..6).map(|number| (name(number), peer(number)));
        loss.hold(held.collect(), seconds(60));
        let let_go = loss.make_room(&name(node), &newcomer);
        assert_eq!(let_go.len() + loss.peers().len(), 4);
        let_go
    };
    assert_eq!(room(9, peer(9)), []);
    assert_eq!(room(2, peer(9)), [peer(2)], "its name");
    let mac = peer(3).mac;
    assert_eq!(room(9, Peer { mac, ..peer(9) }), [peer(3)], "its MAC");
    let underlay = peer(4).underlay;
    assert_eq!(
        room(
            9,
            Peer {
                underlay,
                ..peer(9)
            }
        ),
        [peer(4)],
        "its address"
    );
    let v4 = "10.31.5.128/25".parse().ok();
    assert_eq!(
        room(9, Peer { v4, ..peer(9) }),
        [peer(5)],
        "a part of its subnet"
    );
    let v4 = "10.31.4.0/23".parse().ok();
    assert_eq!(
        room(9, Peer { v4, ..peer(9) }),
        [peer(4), peer(5)],
        "two subnets"
    );
}
