//! A sudden loss of most peers is held back; whatever else happens is obeyed.

use std::{collections::BTreeSet, time::Duration};

use model::make::{host as make, parts, peers};
use overlay::{
    datapath::{
        host::Host,
        loss::is_sudden,
        member::{Known, Member},
        plan::plan,
        step::Step,
    },
    feed::{Peer, PeerChanges, Peers},
    name::{NetworkName, NodeName},
};
use proptest::prelude::*;

use super::{
    cases,
    increments::{HOLD, act, with_acts},
    right::wrong,
    settled,
};

/// A host, one of its networks, and some nodes that go at once.
fn with_loss() -> impl Strategy<Value = (Host, NetworkName, BTreeSet<NodeName>)> {
    with_acts().prop_flat_map(|(host, _)| {
        let (name, peers) = first(&host);
        let names: Vec<NodeName> = peers.keys().cloned().collect();
        let count = names.len();
        let gone = prop::sample::subsequence(names, 0..=count);
        (Just(host), Just(name), gone.prop_map(BTreeSet::from_iter))
    })
}

fn first(host: &Host) -> (NetworkName, Peers) {
    let member = host.members().next().expect("a network");
    (member.network().name.clone(), known(member).clone())
}

fn known(member: &Member) -> &Peers {
    match member.known() {
        Known::Synced(peers) => peers,
        Known::Restored(_) | Known::Unsynced => panic!("it is synced"),
    }
}

/// The host without these peers, made at once.
fn without(host: &Host, network: &NetworkName, gone: &BTreeSet<NodeName>) -> Host {
    let mut parts = parts(host);
    for part in &mut parts {
        if part.network.name == *network {
            part.peers.retain(|node, _| !gone.contains(node));
        }
    }
    make(&parts)
}

proptest! {
    #![proptest_config(cases(400))]

    /// Most at once stay, entries and all, until it is time; a few go at once. Told as a
    /// change or as a snapshot.
    #[test]
    fn most_at_once_are_held_and_few_are_not(
        (mut host, network, gone) in with_loss(), by_snapshot in any::<bool>()
    ) {
        let fresh = without(&host, &network, &gone);
        let before = host.clone();
        let mut kernel = settled(&host);
        let all = known(host.member(&network).unwrap()).clone();
        let until = HOLD;
        let steps = if by_snapshot {
            let left = all.clone().into_iter().filter(|(node, _)| !gone.contains(node));
            host.snapshot(&network, left.collect(), until)
        } else {
            let changes = PeerChanges { gone: gone.clone(), ..PeerChanges::default() };
            host.change(&network, changes, until)
        };
        prop_assert_eq!(kernel.apply_all(&steps), []);
        let entries = |host: &Host| host.member(&network).unwrap().entries().clone();
        if gone.len() > 2 && gone.len() * 2 > all.len() {
            prop_assert_eq!(&steps, &[]);
            prop_assert_eq!(host.holds_until(), Some(until));
            prop_assert_eq!(entries(&host), entries(&before));
            prop_assert_eq!(host.let_go(until - Duration::from_nanos(1)), []);
            prop_assert_eq!(plan(&host, &kernel.observe()).steps, []);
            prop_assert_eq!(kernel.apply_all(&host.let_go(until)), []);
        }
        prop_assert_eq!(host.holds_until(), None);
        prop_assert_eq!(entries(&host), entries(&fresh));
        prop_assert_eq!(plan(&host, &kernel.observe()).steps, []);
        prop_assert_eq!(wrong(&fresh, &kernel.observe()), Vec::<String>::new());
    }

    /// Whoever comes into the place of one that is held - its name, MAC, underlay
    /// address or subnet - has it; the others stay held.
    #[test]
    fn a_newcomer_displaces_one_that_is_held(
        (mut host, network, newcomers) in with_acts().prop_flat_map(|(host, _)| {
            let (name, _) = first(&host);
            let newcomers = peers(host.member(&name).unwrap().network());
            (Just(host), Just(name), newcomers)
        })
    ) {
        let mut kernel = settled(&host);
        let lost = known(host.member(&network).unwrap()).clone();
        if !is_sudden(lost.len(), lost.len()) {
            return Ok(());
        }
        let gone = lost.keys().cloned().collect();
        host.change(&network, PeerChanges { gone, ..PeerChanges::default() }, HOLD);
        let changes = PeerChanges { set: newcomers.clone(), ..PeerChanges::default() };
        let steps = host.change(&network, changes, HOLD);
        prop_assert_eq!(kernel.apply_all(&steps), []);
        let member = host.member(&network).unwrap();
        prop_assert_eq!(known(member), &newcomers);
        for (node, peer) in &lost {
            let displaced = newcomers.iter().any(|(new, newcomer)| new == node || clash(peer, newcomer));
            prop_assert_eq!(member.held().peers().contains_key(node), !displaced, "{}", node.as_str());
        }
        prop_assert_eq!(plan(&host, &kernel.observe()).steps, []);
    }

    /// However it went: when all are let go, nothing is left but what is known.
    #[test]
    fn nothing_leaks((mut host, acts) in with_acts()) {
        let mut kernel = settled(&host);
        let mut now = Duration::ZERO;
        for step in acts {
            kernel.apply_all(&act(&mut host, step, &mut now));
        }
        kernel.apply_all(&host.let_go(Duration::MAX));
        prop_assert_eq!(host.holds_until(), None);
        let fresh = make(&parts(&host));
        prop_assert_eq!(wrong(&fresh, &kernel.observe()), Vec::<String>::new());
        prop_assert_eq!(plan(&fresh, &kernel.observe()).steps, []);
    }

    /// What is held is not let go by what others lose or gain.
    #[test]
    fn networks_do_not_let_go_of_each_others((mut host, network, _) in with_loss()) {
        let lost = known(host.member(&network).unwrap()).clone();
        let gone = lost.keys().cloned().collect();
        host.change(&network, PeerChanges { gone, ..PeerChanges::default() }, HOLD);
        let held = host.member(&network).unwrap().held().clone();
        let others: Vec<NetworkName> = host
            .joined()
            .map(|(name, _)| name.clone())
            .filter(|name| *name != network)
            .collect();
        for other in others {
            let steps = host.snapshot(&other, Peers::new(), HOLD);
            let sources = host.firewall().unwrap().sources;
            for step in steps {
                let kept = matches!(step, Step::Bar(address) if sources.contains(&address));
                prop_assert!(!kept, "{}", step);
            }
        }
        prop_assert_eq!(&held, host.member(&network).unwrap().held());
    }
}

fn clash(one: &Peer, other: &Peer) -> bool {
    one.mac == other.mac
        || one.underlay == other.underlay
        || (one.v4.is_some() && one.v4 == other.v4)
        || (one.v6.is_some() && one.v6 == other.v6)
}
