mod garbage;

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::{
    feed::{self, Peers},
    fleet::{Action, Fleet, action, network, node},
    registry::Present,
};

/// A few requests, some of them with underlay addresses; refusals are part of life.
fn fleet_after(actions: &[Action]) -> Fleet {
    let mut fleet = Fleet::with_network();
    for action in actions {
        let _ = fleet.act(action);
        if matches!(action, Action::Decay(_)) {
            fleet.advance(std::time::Duration::from_secs(1800));
        }
    }
    fleet
}

/// The registry of a controller that started when the store was at its `at`-th change.
fn loaded_at(fleet: &Fleet, at: usize) -> (Registry, Fleet) {
    let mut past = Fleet::new();
    for (_, change) in &fleet.history[..at] {
        past.write(change.clone());
    }
    (past.loaded(None), past)
}

fn all_peers(registry: &Registry) -> BTreeMap<NetworkName, Peers> {
    let peers = registry
        .spaces()
        .map(|(name, space)| (name.clone(), feed::peers(space)));
    peers.filter(|(_, peers)| !peers.is_empty()).collect()
}

fn told(peers: &mut BTreeMap<NetworkName, Peers>, changes: &Changes) {
    for (name, step) in feed::peer_changes(changes) {
        assert!(!step.is_empty());
        let peers = peers.entry(name).or_default();
        for gone in &step.gone {
            assert!(peers.contains_key(gone), "{gone} is not there");
        }
        for (node, peer) in &step.set {
            assert_ne!(peers.get(node), Some(peer), "{node} is what it was");
        }
        step.apply(peers);
    }
    peers.retain(|_, peers| !peers.is_empty());
}

type Endpoints = BTreeMap<(NetworkName, NodeName, EndpointId), Present>;

fn all_endpoints(registry: &Registry) -> Endpoints {
    let of = |(name, space): (&NetworkName, &Space)| -> Endpoints {
        let endpoints = space.endpoints();
        endpoints
            .map(|(node, id, present)| ((name.clone(), node.clone(), id), present))
            .collect()
    };
    registry.spaces().flat_map(of).collect()
}

fn told_endpoints(endpoints: &mut Endpoints, changes: &Changes) {
    for change in &changes.endpoints {
        let key = (change.network.clone(), change.node.clone(), change.id);
        match &change.after {
            Some(present) => {
                endpoints.insert(key, present.clone());
            }
            None => {
                endpoints.remove(&key);
            }
        }
    }
}

#[test]
fn an_empty_store_is_an_empty_registry() {
    let empty = Registry::load(7, [], None);
    assert_eq!(empty.revision(), 7);
    assert_eq!(empty.spaces().count(), 0);
    assert_eq!(empty.difference(&empty).leases, []);
}

#[test]
fn a_network_that_lost_its_record_is_still_there_until_its_last_record_goes() {
    let mut fleet = Fleet::with_network();
    fleet.act(&Action::Acquire(1, None)).unwrap();
    fleet.delete("net/n");
    assert_eq!(fleet.registry.networks().count(), 0);
    assert_eq!(fleet.registry.spaces().count(), 1);
    assert!(fleet.registry.lease(&network(), &node(1)).is_some());
    for key in fleet.entries.clone().keys() {
        fleet.delete(key);
    }
    assert_eq!(
        fleet.registry,
        Registry {
            revision: fleet.revision,
            ..Registry::default()
        }
    );
}

#[test]
fn the_length_of_the_subnets_decides_which_of_them_count() {
    let mut fleet = Fleet::with_network();
    let claim = json!({"v": 1, "node": "a", "life": null, "reserved": true}).to_string();
    fleet.put("claim/n/4/10.99.0.32-29", &claim);
    fleet.put("claim/n/4/192.0.2.0-30", &claim);
    let space = fleet.registry.space(&network()).unwrap();
    let pool = space.pool_use(crate::subnet::Family::V4).unwrap();
    assert_eq!((pool.total, pool.leased, pool.reserved), (8, 0, 0));
    assert_eq!(fleet.loaded(None), fleet.registry);
}

#[test]
fn rewrites_that_change_nothing_are_told_to_nobody() {
    let mut fleet = Fleet::with_network();
    fleet.act(&Action::Open(1, Some(1))).unwrap();
    let before = fleet.registry.clone();
    fleet.act(&Action::Open(1, Some(1))).unwrap();
    let changes = before.difference(&fleet.registry);
    assert_eq!(changes.leases.len(), 1, "the lease was written again");
    assert!(feed::peer_changes(&changes).is_empty());

    fleet.act(&Action::Open(1, Some(2))).unwrap();
    let changes = feed::peer_changes(&before.difference(&fleet.registry));
    let set = &changes[&network()].set[&node(1)];
    assert_eq!(set.underlay.to_string(), "192.0.2.2");
    assert_eq!(set.mac.to_string(), "02:00:00:00:00:01");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn any_order_of_records_is_the_same_registry(
        actions in prop::collection::vec(action(8, true), 1..60),
        keys in prop::collection::vec(any::<u32>(), 64),
    ) {
        let fleet = fleet_after(&actions);
        let entries = fleet.entries.iter().map(|(key, (value, at))| (key.as_str(), value.as_slice(), *at));
        let mut shuffled: Vec<_> = entries.enumerate().collect();
        shuffled.sort_by_key(|(at, _)| (keys[at % keys.len()], *at));
        let shuffled = shuffled.into_iter().map(|(_, entry)| entry);
        prop_assert_eq!(&Registry::load(fleet.revision, shuffled, None), &fleet.registry);
    }

    /// A controller that started then and watched knows what one knows that starts now,
    /// and has told its agents the same.
    #[test]
    fn a_snapshot_and_the_changes_since_are_a_later_snapshot(
        actions in prop::collection::vec(action(8, true), 1..60),
        at in any::<prop::sample::Index>(),
    ) {
        let fleet = fleet_after(&actions);
        let at = at.index(fleet.history.len() + 1);
        let (mut registry, _) = loaded_at(&fleet, at);
        let earlier = registry.clone();
        let mut peers = all_peers(&registry);
        let mut endpoints = all_endpoints(&registry);
        for (revision, change) in &fleet.history[at..] {
            let changes = crate::fleet::apply(&mut registry, *revision, change);
            prop_assert_eq!(changes.revision, *revision);
            told(&mut peers, &changes);
            prop_assert_eq!(&peers, &all_peers(&registry));
            told_endpoints(&mut endpoints, &changes);
            prop_assert_eq!(&endpoints, &all_endpoints(&registry));
        }
        let now = fleet.loaded(None);
        prop_assert_eq!(&registry, &now);

        // The same in one step, as after a watch that skipped.
        let mut peers = all_peers(&earlier);
        told(&mut peers, &earlier.difference(&now));
        prop_assert_eq!(peers, all_peers(&now));
        let mut endpoints = all_endpoints(&earlier);
        told_endpoints(&mut endpoints, &earlier.difference(&now));
        prop_assert_eq!(endpoints, all_endpoints(&now));
    }

    #[test]
    fn the_difference_names_what_is_different(
        actions in prop::collection::vec(action(6, true), 1..60),
        at in any::<prop::sample::Index>(),
    ) {
        let fleet = fleet_after(&actions);
        let at = at.index(fleet.history.len() + 1);
        let (earlier, past) = loaded_at(&fleet, at);
        let now = fleet.loaded(None);
        let changes = earlier.difference(&now);
        // By the store's own entries.
        let touched = |prefix: &str| -> Vec<String> {
            let keys: BTreeSet<&String> = past.entries.keys().chain(fleet.entries.keys()).collect();
            keys.into_iter()
                .filter(|key| past.entries.get(*key) != fleet.entries.get(*key))
                .filter_map(|key| Some(key.strip_prefix(prefix)?.to_string()))
                .collect()
        };
        let leases: Vec<String> = changes.leases.iter()
            .map(|change| format!("{}/{}", change.network, change.node))
            .collect();
        prop_assert_eq!(leases, touched("lease/"));
        let sessions: Vec<String> = changes.sessions.iter().map(ToString::to_string).collect();
        prop_assert_eq!(sessions, touched("sess/"));
        let networks: Vec<String> = changes.networks.iter().map(ToString::to_string).collect();
        prop_assert_eq!(networks, touched("net/"));
        for change in &changes.leases {
            let value = |registry: &Registry| registry.lease(&change.network, &change.node).cloned();
            prop_assert_eq!(&change.before, &value(&earlier).map(|lease| lease.value));
            prop_assert_eq!(&change.after, &value(&now));
        }
    }
}
