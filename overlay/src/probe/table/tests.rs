use std::collections::BTreeSet;

use super::*;
use crate::record::Mac;

fn peers(count: u8) -> Peers {
    let peer = |number: u8| Peer {
        v4: Some(format!("10.32.{number}.0/24").parse().unwrap()),
        v6: Some(format!("fd77:32:0:{number:x}::/64").parse().unwrap()),
        underlay: format!("192.0.2.{number}").parse().unwrap(),
        mac: Mac([2, 0, 0, 0, 0, number]),
    };
    let named = |number: u8| (format!("h{number}").parse().unwrap(), peer(number));
    (1..=count).map(named).collect()
}

fn own() -> NodeName {
    "h0".parse().unwrap()
}

fn round(table: &mut Table, peers: &Peers) -> Vec<(NodeName, IpAddr, Size)> {
    table.round(Course::of(&own(), peers, &Family::BOTH, &table.wish()))
}

/// Rounds in which everything is answered but what such a one says.
fn rounds(table: &mut Table, peers: &Peers, count: u32, lost: impl Fn(&NodeName, Size) -> bool) {
    for _ in 0..count {
        for (node, address, size) in round(table, peers) {
            let outcome = if lost(&node, size) {
                Outcome::Lost
            } else {
                Outcome::Answered(100)
            };
            table.heard(&node, address, size, outcome);
        }
    }
}

#[test]
fn both_families_of_few_peers_and_guests_in_turn() {
    let peers = peers(100);
    let mut table = Table::new(own());
    let due = round(&mut table, &peers);
    let nodes: BTreeSet<&NodeName> = due.iter().map(|(node, ..)| node).collect();
    // ceil(2 ln 101) and one guest.
    assert_eq!(nodes.len(), 10 + 1);
    assert_eq!(due.len(), nodes.len() * 2 * 2);
    let mut guests = BTreeSet::new();
    for _ in 0..90 * STAY {
        let course = Course::of(&own(), &peers, &Family::BOTH, &table.wish());
        assert_eq!(course.guests.len(), 1);
        guests.extend(course.guests.keys().cloned());
        table.round(course);
    }
    assert_eq!(guests.len(), 90);
    let only4 = Course::of(&own(), &peers, &[Family::V4], &table.wish());
    assert!(only4.chosen.values().all(|addresses| addresses.len() == 1));
}

#[test]
fn a_guest_in_trouble_stays_and_its_place_is_bounded() {
    let peers = peers(100);
    let mut table = Table::new(own());
    let course = Course::of(&own(), &peers, &Family::BOTH, &table.wish());
    let chosen: BTreeSet<NodeName> = course.chosen.into_keys().collect();
    rounds(&mut table, &peers, 20 * STAY, |node, _| {
        !chosen.contains(node)
    });
    let summary = table.summary();
    // The newest is not known yet.
    assert_eq!(summary.probed, 10 + TROUBLED_GUESTS + 1);
    assert!(summary.troubled >= TROUBLED_GUESTS, "{summary:?}");
    rounds(&mut table, &peers, 20 * STAY, |_, _| false);
    assert_eq!(table.summary().troubled, 0);
    assert_eq!(table.summary().probed, 10 + 1);
}

#[test]
fn the_worst_are_told_first_and_only_news_is() {
    let peers = peers(4);
    let mut table = Table::new(own());
    rounds(&mut table, &peers, 20, |_, _| false);
    let fine = table.summary();
    assert_eq!((fine.probed, fine.troubled, fine.worst.len()), (4, 0, 1));
    assert!(table.is_news(&fine, None));
    assert!(!table.is_news(&fine, Some(&fine)));
    let lost = |node: &NodeName, size| match node.as_str() {
        "h2" => true,
        "h3" => size == Size::Full,
        _ => false,
    };
    rounds(&mut table, &peers, 12, lost);
    let troubled = table.summary();
    let words = troubled.worst.iter();
    let words: Vec<_> = words
        .map(|row| (row.node.as_str(), row.shown.verdict))
        .collect();
    assert_eq!(
        words,
        [("h2", Verdict::Dead), ("h3", Verdict::NoBigPackets)]
    );
    assert!(table.is_news(&troubled, Some(&fine)));
    // Loss that goes on growing is not told at once.
    rounds(&mut table, &peers, 1, lost);
    let later = table.summary();
    assert_ne!(later, troubled);
    assert!(!table.is_news(&later, Some(&troubled)));
}

#[test]
fn who_is_gone_or_elsewhere_is_forgotten() {
    let mut peers = peers(3);
    let mut table = Table::new(own());
    rounds(&mut table, &peers, 6, |_, _| true);
    assert_eq!(table.summary().troubled, 3);
    let gone: NodeName = "h1".parse().unwrap();
    let moved: NodeName = "h2".parse().unwrap();
    peers.remove(&gone);
    let peer = peers.get_mut(&moved).unwrap();
    peer.v4 = Some("10.32.200.0/24".parse().unwrap());
    peer.v6 = None;
    round(&mut table, &peers);
    table.heard(
        &gone,
        "10.32.1.0".parse().unwrap(),
        Size::Small,
        Outcome::Lost,
    );
    assert_eq!(table.summary().probed, 2);
    let rows: Vec<Row> = table.rows().filter(|row| row.node == moved).collect();
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].shown.verdict, Verdict::New);
}
