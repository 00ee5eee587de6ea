//! Records that cannot be read.

use proptest::{prelude::*, sample::Index};

use super::fleet_after;
use crate::{
    decide::{Refusal, decay, lease, network as networks, reserve},
    feed,
    fleet::{Action, Fleet, LAPSE, action, network, node, spec},
    id::Life,
    name::NetworkName,
    network::NetworkSpec,
    registry::Registry,
};

/// One record of each kind, and which keys they have.
fn one_of_each() -> (Fleet, Vec<String>) {
    let mut fleet = Fleet::with_network();
    fleet.act(&Action::Open(1, Some(1))).unwrap();
    fleet.act(&Action::Attach(1, vec![2])).unwrap();
    fleet.act(&Action::Acquire(2, None)).unwrap();
    fleet.act(&Action::Release(2)).unwrap();
    fleet
        .act(&Action::Reserve(3, [Some(12), Some(12)]))
        .unwrap();
    fleet.act(&Action::Remove(2)).unwrap();
    fleet.put(
        "ctl/00000000-0000-0000-0000-0000000000c0",
        r#"{"v":1,"listen":"[::]:7440","version":"0.1.0","started":1,"wall_ms":1}"#,
    );
    let keys: Vec<String> = fleet.entries.keys().cloned().collect();
    let kinds: std::collections::BTreeSet<&str> = keys
        .iter()
        .map(|key| key.split('/').next().unwrap())
        .collect();
    let all = [
        "claim", "ctl", "endpoint", "free", "lease", "net", "nets", "node", "removed", "resv",
        "sess", "under",
    ];
    assert_eq!(kinds, all.into());
    (fleet, keys)
}

/// The same registry, but for what is set aside.
fn same_but_aside(a: &Registry, b: &Registry) {
    assert_eq!(
        (a.nodes(), a.sessions(), a.removed()),
        (b.nodes(), b.sessions(), b.removed())
    );
    assert_eq!(
        (a.generation(), a.controllers()),
        (b.generation(), b.controllers())
    );
    for ((name, a), (_, b)) in a.spaces().zip(b.spaces()) {
        assert_eq!(a.network(), b.network(), "{name}");
        assert_eq!((a.leases(), a.claims()), (b.leases(), b.claims()), "{name}");
        assert_eq!(
            (a.reservations(), a.returned()),
            (b.reservations(), b.returned()),
            "{name}"
        );
        assert_eq!(a.underlays(), b.underlays(), "{name}");
        assert_eq!(a.attached(), b.attached(), "{name}");
        assert_eq!(feed::peers(a), feed::peers(b), "{name}");
        for family in crate::subnet::Family::BOTH {
            assert_eq!(a.pool_use(family), b.pool_use(family), "{name}");
            assert_eq!(
                a.next(family, 0, |_| false),
                b.next(family, 0, |_| false),
                "{name}"
            );
        }
    }
    assert_eq!(a.spaces().count(), b.spaces().count());
}

#[test]
fn garbage_is_set_aside_and_changes_nothing_else() {
    let (fleet, keys) = one_of_each();
    for key in keys {
        for garbage in [
            "",
            "{",
            "null",
            "[]",
            "{\"v\":1,\"v4\":7}",
            "{\"v\":2}",
            "\u{0}\u{fffd}",
        ] {
            let (before, mut fleet) = (&fleet, fleet.clone());
            let changes = fleet.put(&key, garbage);
            assert!(
                changes.leases.is_empty() && changes.sessions.is_empty(),
                "{key}"
            );
            assert!(
                changes.networks.is_empty() && changes.controllers.is_empty(),
                "{key}"
            );
            same_but_aside(&fleet.registry, &before.registry);

            let aside = &fleet.registry.set_aside()[&key];
            assert_eq!(
                aside.key.as_ref().map(ToString::to_string),
                Some(key.clone())
            );
            assert_eq!(aside.revision, fleet.revision);
            assert!(!aside.reason.is_empty() && !aside.reason.contains('\n'));
            assert!(fleet.registry.is_set_aside(&key.parse().unwrap()));

            // A controller that loads anew keeps the older reading, too.
            assert_eq!(
                fleet.loaded(Some(&before.registry)),
                fleet.registry,
                "{key}"
            );
            // One that starts now has none: the record alone is missing.
            let fresh = fleet.loaded(None);
            assert_eq!(fresh.set_aside(), fleet.registry.set_aside());
            let mut without = fleet.clone();
            without.entries.remove(&key);
            assert_eq!(fleet.loaded(Some(&fresh)), fresh, "{key}");
            if !key.starts_with("claim/") {
                same_but_aside(&fresh, &without.loaded(None));
            }

            // Mended, all is as if nothing had been.
            let (value, _) = before.entries[&key].clone();
            fleet.write(vec![(key.clone(), Some(value))]);
            assert!(fleet.registry.set_aside().is_empty());
            assert_eq!(fleet.loaded(None), fleet.registry);

            // Deleted, it is gone for good.
            fleet.put(&key, garbage);
            fleet.delete(&key);
            assert!(fleet.registry.set_aside().is_empty());
            assert_eq!(fleet.loaded(None), fleet.registry, "{key}");
        }
    }
}

#[test]
fn the_reason_says_what_is_wrong() {
    let (mut fleet, _) = one_of_each();
    let other = String::from_utf8(fleet.entries["net/n"].0.clone()).unwrap();
    let long = other.replace("\"len4\":30", "\"len4\":200");
    let mixed = other.replace("10.99.0.32/27", "fd00::/48");
    for (key, value, reason) in [
        ("net/m", &*other, "is about n"),
        ("net/n", &*long, "its v4 pool has no subnets of length /200"),
        ("net/n", &*mixed, "fd00::/48 is not v4"),
        (
            "nets",
            "{\"v\":7,\"generation\":1}",
            "written by another version of Weft (v7, this one reads v1)",
        ),
        ("node/node-01", "{\"v\":1}", "missing field `id`"),
        (
            "what/is/this",
            "{}",
            "not a key that this version of Weft knows",
        ),
        ("", "{}", "not a key that this version of Weft knows"),
        (
            "claim/n/6/10.99.0.32-30",
            "{}",
            "not a key that this version of Weft knows",
        ),
    ] {
        fleet.put(key, value);
        let aside = &fleet.registry.set_aside()[key];
        assert!(aside.reason.starts_with(reason), "{key}: {}", aside.reason);
        assert_eq!(aside.key.is_some(), !reason.starts_with("not a key"));
    }
    fleet.delete("what/is/this");
    assert!(!fleet.registry.set_aside().contains_key("what/is/this"));
}

#[test]
fn a_claim_that_cannot_be_read_claims() {
    let mut fleet = Fleet::with_network();
    fleet.put("claim/n/4/10.99.0.32-30", "garbage");
    fleet.act(&Action::Acquire(1, None)).unwrap();
    let held = |fleet: &Fleet, number| {
        let lease = fleet.registry.lease(&network(), &node(number)).unwrap();
        lease.value.v4.unwrap().to_string()
    };
    assert_eq!(held(&fleet, 1), "10.99.0.36/30");
    let fresh = fleet.loaded(None);
    let pool = fresh
        .space(&network())
        .unwrap()
        .pool_use(crate::subnet::Family::V4);
    assert_eq!(pool.map(|pool| (pool.leased, pool.free())), Some((2, 6)));

    let subnet = "10.99.0.32/30".parse().unwrap();
    let refused = fleet.ask(|view| reserve::reserve(view, &network(), &node(2), &[subnet]));
    let key = "claim/n/4/10.99.0.32-30".parse().unwrap();
    assert_eq!(refused.unwrap_err(), Refusal::Unreadable { key });

    fleet.delete("claim/n/4/10.99.0.32-30");
    fleet.act(&Action::Acquire(2, None)).unwrap();
    assert_eq!(held(&fleet, 2), "10.99.0.32/30");
}

#[test]
fn nothing_is_decided_on_a_record_that_cannot_be_read() {
    for (key, action) in [
        ("lease/n/node-01", Action::Open(1, None)),
        ("lease/n/node-01", Action::Close(1)),
        ("sess/node-01", Action::Open(1, None)),
        ("node/node-01", Action::Open(1, None)),
        ("net/n", Action::Open(1, None)),
        ("claim/n/4/10.99.0.32-30", Action::Leave(1)),
        ("under/n/192.0.2.1", Action::Leave(1)),
        ("resv/n/node-03", Action::Unreserve(3)),
        (
            "removed/00000000-0000-0000-0000-0000f00d0005",
            Action::Open(5, None),
        ),
        ("nets", Action::Grow),
    ] {
        let (mut fleet, _) = one_of_each();
        fleet.put(key, "garbage");
        let refused = fleet.act(&action);
        if matches!(action, Action::Close(_)) {
            refused.unwrap();
            continue;
        }
        let error = refused.expect_err(key);
        assert_eq!(
            error,
            Refusal::Unreadable {
                key: key.parse().unwrap()
            },
            "{action:?}"
        );
        assert_eq!(
            error.to_string(),
            format!(
                "the store's record {key} cannot be read; mend or delete it (`weft status` shows why)"
            )
        );
    }
}

#[test]
fn a_network_that_cannot_be_read_may_overlap_any_other() {
    let mut fleet = Fleet::with_network();
    fleet.put("net/other", "{\"v\":2}");
    let key: crate::key::Key = "net/other".parse().unwrap();
    let unreadable = Refusal::Unreadable { key };
    let name: NetworkName = "third".parse().unwrap();
    let third = NetworkSpec::new(name, vec!["10.1.0.0/16".parse().unwrap()]);
    assert_eq!(
        fleet.ask(|view| networks::create(view, &third)),
        Err(unreadable.clone())
    );
    assert_eq!(fleet.act(&Action::Grow), Err(unreadable));
    fleet
        .act(&Action::Acquire(1, None))
        .expect("the other networks go on");
    fleet.delete("net/other");
    fleet.ask(|view| networks::create(view, &third)).unwrap();
    fleet.act(&Action::Grow).unwrap();
}

#[test]
fn a_free_record_that_cannot_be_read_is_replaced() {
    let mut fleet = Fleet::with_network();
    fleet.put("free/n/4/10.99.0.32-30", "garbage");
    fleet.act(&Action::Acquire(1, None)).unwrap();
    assert!(fleet.registry.set_aside().is_empty());
    fleet.put("free/n/4/10.99.0.32-30", "garbage");
    fleet.act(&Action::Release(1)).unwrap();
    assert!(fleet.registry.set_aside().is_empty());
    assert_eq!(
        fleet.registry.space(&network()).unwrap().returned().len(),
        2
    );
}

#[test]
fn numbers_past_every_bound_do_no_harm() {
    let mut fleet = Fleet::with_network();
    let nets = String::from_utf8(fleet.entries["nets"].0.clone()).unwrap();
    let nets = nets.replace("\"generation\":1", "\"generation\":18446744073709551615");
    fleet.put("nets", &nets);
    fleet.act(&Action::Grow).unwrap();
    let net = String::from_utf8(fleet.entries["net/n"].0.clone()).unwrap();
    let lapse = format!("\"lapse_s\":{}", LAPSE.as_secs());
    fleet.put(
        "net/n",
        &net.replace(&lapse, "\"lapse_s\":18446744073709551615"),
    );
    fleet.act(&Action::Open(1, None)).unwrap();
    fleet.act(&Action::Close(1)).unwrap();
    fleet
        .ask(|view| decay::lapse(view, &network(), &node(1)))
        .unwrap();
    let lease = fleet.registry.lease(&network(), &node(1)).unwrap();
    assert_eq!(lease.value.expires_at.map(|at| at.0), Some(u64::MAX));
    assert!(crate::fleet::due(&fleet.view(&Default::default())).is_empty());
    let life = lease.value.life;
    let forever = std::time::Duration::MAX;
    let _ = fleet.ask(|view| lease::renew(view, &network(), &node(1), life, forever));
    let _ =
        fleet.ask(|view| lease::release(view, &network(), &node(1), Life(crate::fleet::uuid(9))));
    let _ = fleet.ask(|view| networks::create(view, &spec()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// Requests and vandalism in any order: nothing panics, and what is set aside are
    /// exactly the records that the vandal left.
    #[test]
    fn a_vandal_harms_only_what_he_touches(
        actions in prop::collection::vec(action(6, true), 1..40),
        blows in prop::collection::vec((any::<Index>(), any::<Index>(), 0..4u8), 1..12),
        more in prop::collection::vec(action(6, true), 0..30),
    ) {
        let mut fleet = fleet_after(&actions);
        let values: Vec<Vec<u8>> = fleet.entries.values().map(|(value, _)| value.clone()).collect();
        for (key, value, kind) in blows {
            let keys: Vec<String> = fleet.entries.keys().cloned().collect();
            if keys.is_empty() {
                break;
            }
            let key = keys[key.index(keys.len())].clone();
            let value = match kind {
                0 => b"garbage".to_vec(),
                1 => Vec::new(),
                // Another record's value: it may even be read.
                2 => values[value.index(values.len())].clone(),
                _ => {
                    let mut value = fleet.entries[&key].0.clone();
                    value.truncate(value.len() / 2);
                    value
                }
            };
            fleet.write(vec![(key, Some(value))]);
        }
        for action in &more {
            let _ = fleet.act(action);
        }
        for (key, aside) in fleet.registry.set_aside() {
            prop_assert_eq!(aside.revision, fleet.entries[key].1);
        }
        let fresh = fleet.loaded(None);
        prop_assert_eq!(fresh.set_aside(), fleet.registry.set_aside());
        prop_assert_eq!(fleet.loaded(Some(&fleet.registry)), fleet.registry.clone());
    }
}

/// A controller that began meanwhile knows nothing of the lease: an agent that had all
/// of its peers from there, and comes here, has to hear of it.
#[test]
fn a_mended_lease_is_told_also_where_it_was_known() {
    let (mut known, _) = one_of_each();
    let key = format!("lease/{}/{}", network(), node(1));
    let value = String::from_utf8(known.entries[&key].0.clone()).unwrap();
    known.put(&key, "{");
    let kept = known.registry.clone();
    let fresh = known.loaded(None);
    assert_eq!(fresh.lease(&network(), &node(1)), None);

    let mut mended = known.clone();
    let followed = mended.put(&key, &value);
    let loaded = kept.difference(&mended.loaded(Some(&kept)));
    for changes in [followed, loaded] {
        let told = feed::peer_changes(&changes);
        assert!(told[&network()].set.contains_key(&node(1)), "{changes:?}");
    }

    let mut deleted = known.clone();
    deleted.registry = fresh.clone();
    let followed = deleted.delete(&key);
    let loaded = fresh.difference(&deleted.loaded(Some(&fresh)));
    for changes in [followed, loaded] {
        let told = feed::peer_changes(&changes);
        assert!(told[&network()].gone.contains(&node(1)), "{changes:?}");
    }
}
