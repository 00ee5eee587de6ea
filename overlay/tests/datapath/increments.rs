//! What changes is done by the steps that a change returns, and costs no full plan.

use std::time::Duration;

use model::make::{Standing, changes, host as make, hosts, parts, peers};
use overlay::{
    datapath::{host::Host, plan::plan, step::Step},
    feed::{PeerChanges, Peers},
    name::NetworkName,
};
use proptest::prelude::*;

use super::{cases, right::wrong, settled};

/// Something that reaches a host.
#[derive(Debug, Clone)]
pub enum Act {
    Change(NetworkName, PeerChanges),
    Snapshot(NetworkName, Peers),
    /// So many seconds later.
    Later(u64),
}

/// For how long lost peers are held.
pub const HOLD: Duration = Duration::from_secs(5);

/// What a host is told, and how it goes on.
pub fn acts(host: &Host) -> impl Strategy<Value = Vec<Act>> + use<> {
    let acts = host.joined().filter_map(|(name, member)| {
        let network = member?.network();
        let (a, b) = (name.clone(), name.clone());
        let snapshot = peers(network).prop_map(move |peers| vec![Act::Snapshot(a.clone(), peers)]);
        let changes = changes(network).prop_map(move |changes| {
            let change = |change| Act::Change(b.clone(), change);
            changes.into_iter().map(change).collect()
        });
        Some(prop_oneof![1 => snapshot, 3 => changes].boxed())
    });
    let later = (1..8u64)
        .prop_map(|seconds| vec![Act::Later(seconds)])
        .boxed();
    let act = prop::strategy::Union::new(acts.chain([later]));
    prop::collection::vec(act, 0..6).prop_map(|acts| acts.concat())
}

/// The steps of one act.
pub fn act(host: &mut Host, act: Act, now: &mut Duration) -> Vec<Step> {
    match act {
        Act::Change(network, change) => host.change(&network, change, *now + HOLD),
        Act::Snapshot(network, peers) => host.snapshot(&network, peers, *now + HOLD),
        Act::Later(seconds) => {
            *now += Duration::from_secs(seconds);
            host.let_go(*now)
        }
    }
}

pub fn with_acts() -> impl Strategy<Value = (Host, Vec<Act>)> {
    let ways = |host: &Host| {
        let mut members = host.joined().filter_map(|(_, member)| member);
        members.all(|member| member.path().is_some())
    };
    // Where nothing fits through, nothing is done before the next full look.
    let hosts = hosts().prop_filter("nothing fits through", ways);
    hosts.prop_flat_map(|host| (Just(host.clone()), acts(&host)))
}

/// The same host, made at once of the peers that it has and holds.
fn made_at_once(host: &Host) -> Host {
    let mut parts = parts(host);
    for part in &mut parts {
        let member = host.member(&part.network.name);
        let held = member.map(|member| member.held().peers().clone());
        part.peers.extend(held.unwrap_or_default());
    }
    make(&parts)
}

proptest! {
    #![proptest_config(cases(500))]

    /// Changes leave what a full plan would have made: it has nothing to do.
    #[test]
    fn changes_leave_nothing_for_a_plan((mut host, acts) in with_acts()) {
        let mut kernel = settled(&host);
        let mut now = Duration::ZERO;
        for step in acts {
            let text = format!("{step:?}");
            let steps = act(&mut host, step, &mut now);
            prop_assert_eq!(kernel.apply_all(&steps), [], "{}", text);
            let plan = plan(&host, &kernel.observe());
            prop_assert_eq!((plan.steps, plan.blocked), (vec![], vec![]), "{}", text);
            prop_assert_eq!(wrong(&host, &kernel.observe()), Vec::<String>::new());
        }
    }

    /// What grew by changes is what would have been made at once.
    #[test]
    fn entries_do_not_depend_on_how_they_came((mut host, acts) in with_acts()) {
        let mut now = Duration::ZERO;
        for step in acts {
            act(&mut host, step, &mut now);
        }
        let fresh = made_at_once(&host);
        for (name, member) in host.joined() {
            let entries = fresh.member(name).map(|member| member.entries());
            prop_assert_eq!(member.map(|member| member.entries()), entries);
        }
    }

    /// Every step of a change is needed: what is already so is not done again.
    #[test]
    fn a_change_does_no_more_than_it_must((mut host, acts) in with_acts()) {
        let mut kernel = settled(&host);
        let mut now = Duration::ZERO;
        for step in acts {
            for step in act(&mut host, step, &mut now) {
                let before = kernel.observe();
                let _ = kernel.apply(&step);
                prop_assert_ne!(before, kernel.observe(), "{}", step);
            }
        }
    }

    /// The first snapshot of a network, while others wait for theirs, sets all its
    /// entries. What then is left to a plan are stale entries, and IPv6 routes that are
    /// refused because a stale one leads elsewhere.
    #[test]
    fn first_snapshots_set_everything((host, acts) in with_acts()) {
        let mut waiting = parts(&host);
        for part in &mut waiting {
            part.standing = Standing::Unsynced;
        }
        let mut kernel = settled(&host);
        let mut again = make(&waiting);
        kernel.apply_all(&plan(&again, &kernel.observe()).steps);
        let mut now = Duration::ZERO;
        let mut refused = Vec::new();
        for act in acts {
            let steps = self::act(&mut again, act, &mut now);
            refused.extend(kernel.apply_all(&steps));
        }
        for part in waiting {
            let steps = again.snapshot(&part.network.name, part.peers, Duration::ZERO);
            refused.extend(kernel.apply_all(&steps));
        }
        refused.extend(kernel.apply_all(&again.let_go(Duration::MAX)));
        prop_assert_eq!(refused, []);
        let steps = plan(&again, &kernel.observe()).steps;
        prop_assert!(steps.iter().all(Step::removes), "{:?}", steps);
        prop_assert_eq!(kernel.apply_all(&steps), []);
        prop_assert_eq!(wrong(&again, &kernel.observe()), Vec::<String>::new());
    }
}

/// Two networks know a host at one address: it stays admitted for as long as one does.
#[test]
fn a_shared_address_is_admitted_until_the_last_network_lets_it_go() {
    use proptest::{strategy::ValueTree, test_runner::TestRunner};

    let two = hosts().prop_filter("two networks, both carried", |host| {
        host.joined().count() == 2 && host.members().count() == 2
    });
    let mut runner = TestRunner::deterministic();
    let host = two.new_tree(&mut runner).unwrap().current();
    let mut parts = parts(&host);
    let node: overlay::name::NodeName = "n2".parse().unwrap();
    let peer = overlay::feed::Peer {
        v4: None,
        v6: None,
        underlay: "192.0.2.2".parse().unwrap(),
        mac: "02:77:00:00:00:02".parse().unwrap(),
    };
    for part in &mut parts {
        part.uplink.mtu = 1500;
        part.peers = [(node.clone(), peer.clone())].into();
    }
    let mut host = make(&parts);
    let bar = Step::Bar(peer.underlay);
    let gone = PeerChanges {
        gone: [node].into(),
        ..PeerChanges::default()
    };
    let [first, second] = [0, 1].map(|at| parts[at].network.name.clone());
    let steps = host.change(&first, gone.clone(), HOLD);
    assert!(!steps.is_empty() && !steps.contains(&bar), "{steps:?}");
    assert!(host.change(&second, gone, HOLD).contains(&bar));
    assert!(wrong(&host, &settled(&host).observe()).is_empty());
}
