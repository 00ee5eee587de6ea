use proptest::prelude::*;

use super::*;

fn node(number: u8) -> NodeName {
    format!("node-{number}").parse().unwrap()
}

fn peer(number: u8) -> Peer {
    Peer {
        v4: Some(format!("10.32.{number}.0/24").parse().unwrap()),
        v6: None,
        underlay: IpAddr::from([192, 0, 2, number]),
        mac: Mac([2, 0, 0, 0, 0, number]),
    }
}

fn changes(set: &[(u8, u8)], gone: &[u8]) -> PeerChanges {
    PeerChanges {
        set: set.iter().map(|&(at, to)| (node(at), peer(to))).collect(),
        gone: gone.iter().map(|&at| node(at)).collect(),
    }
}

#[test]
fn the_last_word_on_a_peer_counts() {
    let mut all = changes(&[(1, 1), (2, 2)], &[]);
    all.then(&changes(&[(1, 9)], &[2]));
    assert_eq!(all, changes(&[(1, 9)], &[2]));
    all.then(&changes(&[(2, 2)], &[1]));
    assert_eq!(all, changes(&[(2, 2)], &[1]));
    assert!(!all.is_empty() && PeerChanges::default().is_empty());
}

#[test]
fn a_lease_without_a_tunnel_endpoint_is_no_peer() {
    let mut lease = Lease {
        v: crate::record::V1,
        node_id: crate::id::NodeId(uuid::Uuid::nil()),
        life: crate::id::Life(uuid::Uuid::nil()),
        kind: crate::record::LeaseKind::Agent,
        v4: peer(1).v4,
        v6: None,
        underlay: Some(peer(1).underlay),
        mac: Some(peer(1).mac),
        gone_at: None,
        expires_at: None,
        by: crate::id::ControllerId(uuid::Uuid::nil()),
    };
    assert_eq!(Peer::of(&lease), Some(peer(1)));
    assert_eq!(
        peer(1).subnets().collect::<Vec<_>>(),
        lease.subnets().collect::<Vec<_>>()
    );
    lease.gone_at = Some(crate::time::WallMs(1));
    assert_eq!(Peer::of(&lease), Some(peer(1)), "its node may be back");
    lease.mac = None;
    assert_eq!(Peer::of(&lease), None);
    lease.mac = Some(peer(1).mac);
    lease.underlay = None;
    assert_eq!(Peer::of(&lease), None);
}

#[test]
fn a_log_that_is_new_reaches_back_to_where_it_began() {
    let log: Log<()> = Log::new(10, 3);
    assert_eq!(log.newest(), 10);
    assert_eq!(log.after(10).map(|entries| entries.len()), Ok(0));
    assert_eq!(log.after(11).map(|entries| entries.len()), Ok(0));
    assert_eq!(log.after(9).err(), Some(Behind));
    assert_eq!(
        Behind.to_string(),
        "the log does not reach back to that revision"
    );
}

#[test]
fn a_revision_that_is_half_forgotten_is_forgotten() {
    let mut log = Log::new(0, 2);
    for (revision, entry) in [(5, 'a'), (6, 'b'), (6, 'c'), (6, 'd')] {
        log.push(revision, entry, 1);
    }
    assert_eq!(log.after(5).err(), Some(Behind));
    assert_eq!(log.after(6).map(|entries| entries.len()), Ok(0));
}

#[test]
fn a_log_of_nothing_holds_nothing() {
    let mut log = Log::new(1, 0);
    log.push(2, (), 1);
    assert_eq!(log.newest(), 2);
    assert_eq!(log.after(1).err(), Some(Behind));
    assert_eq!(log.after(2).map(|entries| entries.len()), Ok(0));
}

#[test]
fn a_log_is_bounded_by_weight_and_not_by_count() {
    let mut log = Log::new(0, 10);
    for revision in 1..=8 {
        log.push(revision, (), 1);
    }
    log.push(9, (), 9);
    assert_eq!(log.after(6).err(), Some(Behind));
    assert_eq!(log.after(7).map(|entries| entries.len()), Ok(2));
    log.push(10, (), 11);
    assert_eq!(log.after(9).err(), Some(Behind));
    assert_eq!(log.newest(), 10);
}

fn step() -> impl Strategy<Value = Vec<(u8, Option<u8>)>> {
    prop::collection::vec((0..8u8, prop::option::of(0..4u8)), 0..5)
}

proptest! {
    /// However a reader's changes are coalesced, it ends where one ends that got
    /// each by itself.
    #[test]
    fn coalescing_changes_nothing(
        start in step(),
        steps in prop::collection::vec((step(), any::<bool>()), 0..30),
    ) {
        let mut expected: BTreeMap<u8, u8> = BTreeMap::new();
        for (at, to) in start {
            to.map(|to| expected.insert(at, to));
        }
        let mut peers: Peers = expected.iter().map(|(&at, &to)| (node(at), peer(to))).collect();
        let mut pending = PeerChanges::default();
        for (step, flush) in steps {
            let last: BTreeMap<u8, Option<u8>> = step.into_iter().collect();
            for (&at, &to) in &last {
                match to {
                    Some(to) => expected.insert(at, to),
                    None => expected.remove(&at),
                };
            }
            let set: Vec<_> = last.iter().filter_map(|(&at, &to)| Some((at, to?))).collect();
            let gone: Vec<_> = last.iter().filter(|(_, to)| to.is_none()).map(|(&at, _)| at).collect();
            pending.then(&changes(&set, &gone));
            prop_assert!(pending.set.keys().all(|node| !pending.gone.contains(node)));
            if flush {
                std::mem::take(&mut pending).apply(&mut peers);
            }
        }
        pending.apply(&mut peers);
        let expected: Peers = expected.into_iter().map(|(at, to)| (node(at), peer(to))).collect();
        prop_assert_eq!(peers, expected);
    }

    /// Against a log that forgets nothing.
    #[test]
    fn a_log_gives_all_since_or_says_that_it_cannot(
        most in 0..6usize,
        floor in 0..5u64,
        steps in prop::collection::vec(0..3u64, 0..20),
        asked in 0..60u64,
    ) {
        let mut log = Log::new(floor, most);
        let mut all = Vec::new();
        let mut revision = floor + 1;
        for (at, step) in steps.into_iter().enumerate() {
            revision += step;
            log.push(revision, at, 0);
            all.push((revision, at));
        }
        prop_assert!(log.entries.len() <= most);
        prop_assert_eq!(log.newest(), all.last().map_or(floor, |(revision, _)| *revision));
        let forgotten = all[..all.len().saturating_sub(most)].last();
        let reaches = forgotten.map_or(floor, |(revision, _)| *revision);
        let since: Vec<_> = all.iter().filter(|(revision, _)| *revision > asked).copied().collect();
        match log.after(asked) {
            Ok(entries) => {
                let entries: Vec<_> = entries.map(|(revision, at)| (revision, *at)).collect();
                prop_assert_eq!(entries, since);
            }
            Err(Behind) => prop_assert!(asked < reaches),
        }
        prop_assert_eq!(log.after(asked).is_ok(), asked >= reaches);
    }
}
