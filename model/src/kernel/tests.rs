use overlay::datapath::{
    device::Change,
    observed::{Hop, SeenRoute},
    plan::plan,
    step::Step,
};
use proptest::{prelude::*, strategy::ValueTree, test_runner::TestRunner};

use super::*;
use crate::{
    make::{self, Standing},
    tamper::{Damage, Tampering},
};

/// A dual-stack network with peers, and a kernel that holds what it should.
fn settled() -> (Host, Kernel) {
    let hosts = make::hosts().prop_filter("one dual network with peers", |host| {
        host.members().count() == 1
            && host.members().all(|member| {
                let dual = member.wanted().is_some_and(|wanted| wanted.own.len() == 2);
                let overlay = member.reach().direct.is_empty();
                dual && overlay && member.entries().routes.len() > 3
            })
    });
    let runner = &mut TestRunner::deterministic();
    let mut tree = hosts.new_tree(runner);
    while tree.is_err() {
        tree = hosts.new_tree(runner);
    }
    let host = tree.unwrap().current();
    let mut kernel = Kernel::fresh(&host);
    let steps = plan(&host, &kernel.observe()).steps;
    assert_eq!(kernel.apply_all(&steps), []);
    (host, kernel)
}

fn only_device(kernel: &Kernel) -> u32 {
    *kernel.us().devices.first().unwrap()
}

fn v6(routes: &[SeenRoute]) -> usize {
    let routes = routes.iter();
    let six =
        routes.filter(|route| route.subnet.family() == Family::V6 && route.hop != Hop::Unreachable);
    six.count()
}

#[test]
fn a_mac_takes_all_neighbours_and_nothing_else() {
    let (_, mut kernel) = settled();
    let device = only_device(&kernel);
    let before = kernel.observe();
    let mac = Mac([2, 0, 0, 0, 0, 9]);
    kernel
        .tamper(&Tampering::Device(device, Damage::Mac(mac)))
        .unwrap();
    let now = kernel.observe();
    assert!(!before.neighbours.is_empty() && now.neighbours.is_empty());
    assert_eq!((now.fdb, now.routes), (before.fdb, before.routes));
}

#[test]
fn down_leaves_fdb_ipv4_address_and_unreachable() {
    let (_, mut kernel) = settled();
    let device = only_device(&kernel);
    let before = kernel.observe();
    kernel
        .tamper(&Tampering::Device(device, Damage::Down))
        .unwrap();
    let now = kernel.observe();
    assert_eq!((now.fdb, now.neighbours), (before.fdb, vec![]));
    assert!(now.addresses.iter().all(|seen| seen.address.is_ipv4()));
    assert_eq!(now.addresses.len(), 1);
    assert!(now.routes.iter().all(|route| route.hop == Hop::Unreachable));
    assert_eq!(now.routes.len(), 2);
}

#[test]
fn the_last_ipv4_address_takes_the_ipv4_routes_without_a_word() {
    let (_, mut kernel) = settled();
    let address = kernel
        .observe()
        .addresses
        .into_iter()
        .find(|seen| seen.address.is_ipv4());
    let told = kernel
        .tamper(&Tampering::AddressGone(address.unwrap()))
        .unwrap();
    let now = kernel.observe();
    let left = now
        .routes
        .iter()
        .filter(|route| route.subnet.family() == Family::V4);
    assert_eq!(left.count(), 1, "the unreachable one");
    assert!(now.neighbours.iter().all(|seen| seen.address.is_ipv6()));
    let text = format!("{told:?}");
    assert!(
        text.contains("Neighbour") && !text.contains("Route"),
        "{text}"
    );
}

#[test]
fn a_small_mtu_ends_ipv6_and_a_larger_one_begins_it_anew() {
    let (host, mut kernel) = settled();
    let device = only_device(&kernel);
    let vni = host.members().next().unwrap().vni();
    kernel
        .tamper(&Tampering::Device(device, Damage::Mtu(1279)))
        .unwrap();
    let now = kernel.observe();
    assert_eq!(v6(&now.routes), 0);
    assert!(
        now.addresses
            .iter()
            .chain(&[])
            .all(|seen| seen.address.is_ipv4())
    );
    let mtu = |mtu| Step::Change {
        vni,
        change: Change::Mtu(mtu),
    };
    let silent = Step::Change {
        vni,
        change: Change::NoOwnAddresses,
    };
    assert_eq!(kernel.apply(&silent), Err(Refusal::Family));
    assert_eq!(kernel.apply(&mtu(9999)), Err(Refusal::Mtu(9999)));
    assert_eq!(kernel.apply(&mtu(1280)), Ok(()));
    let now = kernel.observe();
    let link_local = |seen: &overlay::datapath::observed::Address| seen.length == 64;
    assert!(now.links[0].makes_addresses && now.addresses.iter().any(link_local));
}

#[test]
fn a_device_takes_all_that_is_on_it() {
    let (_, mut kernel) = settled();
    let device = only_device(&kernel);
    kernel
        .tamper(&Tampering::Device(device, Damage::Gone))
        .unwrap();
    let now = kernel.observe();
    assert_eq!(
        (now.links, now.fdb, now.neighbours, now.addresses),
        (vec![], vec![], vec![], vec![])
    );
    assert!(now.routes.iter().all(|route| route.hop == Hop::Unreachable));
}

#[test]
fn nothing_happens_to_a_device_that_is_not_there() {
    let (host, _) = settled();
    let mut kernel = Kernel::fresh(&host);
    let steps = plan(&host, &kernel.observe()).steps;
    let mut refused = 0;
    for step in steps.iter().filter(|step| !matches!(step, Step::Create(_))) {
        if step.kind() != "firewall" && kernel.apply(step).is_err() {
            refused += 1;
        }
    }
    assert!(refused > 8, "{refused}");
    let now = kernel.observe();
    assert_eq!(
        (now.links, now.fdb, now.neighbours),
        (vec![], vec![], vec![])
    );
}

#[test]
fn a_vni_and_port_is_there_once() {
    let (host, mut kernel) = settled();
    let wanted = host.members().next().unwrap().wanted().unwrap();
    let create = Step::Create(Box::new(wanted.device.clone()));
    assert_eq!(
        kernel.apply(&create),
        Err(Refusal::NameTaken(wanted.device.name()))
    );
    let device = only_device(&kernel);
    kernel
        .tamper(&Tampering::Device(device, Damage::Name))
        .unwrap();
    assert_eq!(kernel.apply(&create), Err(Refusal::VniTaken));
}

#[test]
fn what_is_asked_to_fail_fails_once() {
    let (_, mut kernel) = settled();
    kernel.fail_with([false, true]);
    let source = Step::Admit("192.0.2.9".parse().unwrap());
    assert_eq!(kernel.apply(&source), Ok(()));
    assert_eq!(kernel.apply(&source), Err(Refusal::Injected));
    assert_eq!(kernel.apply(&source), Ok(()));
}

proptest! {
    /// What a strategy makes is what a kernel may hold: nothing twice in one place.
    #[test]
    fn leftovers_are_such_as_a_kernel_holds(
        seen in make::hosts().prop_flat_map(|host| make::leftovers(&host))
    ) {
        let once = |mut keys: Vec<String>| {
            let count = keys.len();
            keys.sort_unstable();
            keys.dedup();
            keys.len() == count
        };
        let names = seen.links.iter().map(|link| link.name.clone());
        let vnis = seen.links.iter().map(|link| format!("{} {}", link.vxlan.vni, link.vxlan.port));
        let fdb = seen.fdb.iter().map(|fdb| format!("{} {}", fdb.index, fdb.mac));
        let routes = seen.routes.iter().map(|route| format!("{} {}", route.subnet, route.metric));
        for keys in [names.collect(), vnis.collect(), fdb.collect(), routes.collect()] {
            prop_assert!(once(keys), "{:#?}", seen);
        }
        let index = |index| seen.links.iter().any(|link| link.index == index);
        prop_assert!(seen.fdb.iter().all(|fdb| index(fdb.index)));
        prop_assert!(seen.neighbours.iter().all(|neighbour| index(neighbour.index)));
        prop_assert!(seen.addresses.iter().all(|address| index(address.index)));
    }

    /// Doubtful hosts are of all kinds.
    #[test]
    fn a_host_is_made_of_its_parts(host in make::hosts()) {
        let parts = make::parts(&host);
        prop_assert!(parts.iter().all(|part| part.standing == Standing::Synced));
        let mut again = make::host(&parts);
        let ports = host.ports().known().cloned().unwrap_or_default();
        again.publish(ports).unwrap();
        prop_assert_eq!(again, host);
    }
}
