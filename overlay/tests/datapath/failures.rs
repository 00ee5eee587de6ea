//! Steps fail, one here and one there: the others are done all the same, and what
//! failed is done later.

use std::collections::BTreeSet;

use model::{
    kernel::{Kernel, Refusal},
    make::hosts,
};
use overlay::{
    datapath::{
        device::Link,
        host::Host,
        member::Member,
        observed::{Hop, Observed},
        plan::plan,
        step::Step,
    },
    network::Vni,
};
use proptest::prelude::*;

use super::{cases, right::wrong, rounds::rounds, with_leftovers, with_own};

/// Which steps fail: one in four, one in two, or nearly all.
fn turns() -> impl Strategy<Value = Vec<bool>> {
    prop_oneof![Just(4u32), Just(2), Just(8)].prop_flat_map(|rate| {
        let turn = (0..rate).prop_map(move |lot| if rate == 8 { lot > 0 } else { lot == 0 });
        prop::collection::vec(turn, 100)
    })
}

/// Whose device a step is about.
fn network_of(step: &Step) -> Option<Vni> {
    match step {
        Step::Create(device) => Some(device.vni),
        Step::Change { vni, .. }
        | Step::SetAddress { vni, .. }
        | Step::DropAddress { vni, .. }
        | Step::SetFdb { vni, .. }
        | Step::DropFdb { vni, .. }
        | Step::SetNeighbour { vni, .. }
        | Step::DropNeighbour { vni, .. } => Some(*vni),
        Step::Sysctl(_)
        | Step::Firewall(_)
        | Step::NoFirewall
        | Step::Admit(_)
        | Step::Bar(_)
        | Step::Publish(_)
        | Step::Unpublish(_)
        | Step::Pass(_)
        | Step::NoPass { .. }
        | Step::Delete { .. }
        | Step::SetRoute(_)
        | Step::DropRoute(_) => None,
    }
}

/// Steps of single entries: nothing but their own peer hangs on them.
fn is_entry(step: &Step) -> bool {
    matches!(
        step,
        Step::Admit(_)
            | Step::Bar(_)
            | Step::Publish(_)
            | Step::Unpublish(_)
            | Step::SetFdb { .. }
            | Step::DropFdb { .. }
            | Step::SetNeighbour { .. }
            | Step::DropNeighbour { .. }
            | Step::SetRoute(_)
            | Step::DropRoute(_)
    )
}

/// All that a kernel holds for a network, without the numbers of its devices.
fn of_network(member: &Member, seen: &Observed) -> BTreeSet<String> {
    let name = |index| {
        let link = seen.links.iter().find(|link| link.index == index);
        link.map_or(format!("if{index}"), |link| link.name.clone())
    };
    let mut all = BTreeSet::new();
    for link in &seen.links {
        let index = 0;
        all.insert(format!(
            "{:?}",
            Link {
                index,
                ..link.clone()
            }
        ));
    }
    for fdb in &seen.fdb {
        all.insert(format!(
            "{} {} {:?} {}",
            name(fdb.index),
            fdb.mac,
            fdb.to,
            fdb.plain
        ));
    }
    for seen in &seen.neighbours {
        all.insert(format!(
            "{} {} {:?} {}",
            name(seen.index),
            seen.address,
            seen.mac,
            seen.permanent
        ));
    }
    for seen in &seen.addresses {
        all.insert(format!(
            "{} {}/{}",
            name(seen.index),
            seen.address,
            seen.length
        ));
    }
    let own = format!("weft{}", member.vni());
    all.retain(|text| text.contains(&own));
    for seen in &seen.routes {
        let device = match seen.hop {
            Hop::Gateway { device, .. } | Hop::Device(device) => name(device),
            Hop::Unreachable | Hop::Other => String::new(),
        };
        if member
            .network()
            .pools()
            .any(|pool| pool.contains(seen.subnet))
        {
            all.insert(format!(
                "{} {} {} {device}",
                seen.subnet, seen.metric, seen.protocol
            ));
        }
    }
    all
}

/// The keys of what differs between two kernels, as the steps that make them name it.
fn differences(one: &Observed, other: &Observed) -> Vec<String> {
    let mut keys = Vec::new();
    let mut differ = |here: Vec<(String, String)>, there: Vec<(String, String)>| {
        let lone = |a: &[(String, String)], b: &[(String, String)]| {
            let lone = a.iter().filter(|item| !b.contains(item));
            lone.map(|(key, _)| key.clone()).collect::<Vec<_>>()
        };
        keys.extend(lone(&here, &there));
        keys.extend(lone(&there, &here));
    };
    let items = |seen: &Observed| {
        let mut items: Vec<(String, String)> = Vec::new();
        let vni = |index| {
            let link = seen.links.iter().find(|link| link.index == index);
            link.map_or(0, |link| link.vxlan.vni)
        };
        for fdb in &seen.fdb {
            items.push((
                format!("fdb {} {}", vni(fdb.index), fdb.mac),
                format!("{fdb:?}"),
            ));
        }
        for neighbour in &seen.neighbours {
            let key = format!("neighbour {} {}", vni(neighbour.index), neighbour.address);
            items.push((key, format!("{neighbour:?}")));
        }
        for route in &seen.routes {
            let key = format!("route {} {}", route.subnet, route.metric);
            items.push((key, format!("{route:?}")));
        }
        for address in &seen.addresses {
            let key = format!("address {} {}", vni(address.index), address.address);
            items.push((key, format!("{address:?}")));
        }
        for link in &seen.links {
            items.push((format!("device {}", link.index), format!("{link:?}")));
        }
        for source in seen.firewall.iter().flat_map(|table| &table.sources) {
            items.push((format!("source {source}"), String::new()));
        }
        for port in seen.firewall.iter().flat_map(|table| &table.published) {
            let key = format!("port {:?}", port.place());
            items.push((key, port.to_string()));
        }
        items
    };
    differ(items(one), items(other));
    keys
}

/// The key of the one thing that a step sets or drops.
fn key(step: &Step) -> String {
    match step {
        Step::Admit(address) | Step::Bar(address) => format!("source {address}"),
        Step::Publish(port) | Step::Unpublish(port) => format!("port {:?}", port.place()),
        Step::SetFdb { vni, mac, .. } | Step::DropFdb { vni, mac } => format!("fdb {vni} {mac}"),
        Step::SetNeighbour { vni, address, .. } | Step::DropNeighbour { vni, address } => {
            format!("neighbour {vni} {address}")
        }
        Step::SetRoute(route) => format!("route {} {}", route.subnet, route.metric()),
        Step::DropRoute(doomed) => format!("route {} {}", doomed.subnet, doomed.metric),
        other => other.to_string(),
    }
}

proptest! {
    #![proptest_config(cases(300))]

    /// Where steps of entries fail, only these entries are not as they should be.
    #[test]
    fn a_failed_entry_is_the_only_one_that_is_wrong(
        (host, seen) in with_leftovers(hosts()), turns in turns()
    ) {
        let steps = plan(&host, &seen).steps;
        let mut well = Kernel::under(&host, seen.clone());
        well.apply_all(&steps);
        let mut kernel = Kernel::under(&host, seen);
        kernel.fail_with(steps.iter().zip(turns).map(|(step, fails)| fails && is_entry(step)));
        let failed: Vec<String> = kernel.apply_all(&steps).iter().map(|(step, _)| key(step)).collect();
        for difference in differences(&well.observe(), &kernel.observe()) {
            prop_assert!(failed.contains(&difference), "{} though only {:#?} failed", difference, failed);
        }
    }

    /// Whatever fails of one network, the others have what they should.
    #[test]
    fn networks_do_not_suffer_for_each_other(
        (host, seen) in with_own(hosts()), turns in turns(), which in any::<prop::sample::Index>()
    ) {
        let vnis: Vec<Vni> = host.members().map(|member| member.vni()).collect();
        let victim = vnis[which.index(vnis.len())];
        let steps = plan(&host, &seen).steps;
        let mut well = Kernel::under(&host, seen.clone());
        well.apply_all(&steps);
        let mut kernel = Kernel::under(&host, seen);
        let fails = |(step, fails): (&Step, bool)| fails && network_of(step) == Some(victim);
        kernel.fail_with(steps.iter().zip(turns).map(fails));
        kernel.apply_all(&steps);
        for member in host.members().filter(|member| member.vni() != victim) {
            let [well, now] = [&well, &kernel].map(|kernel| of_network(member, &kernel.observe()));
            prop_assert_eq!(well, now, "weft{}", member.vni());
        }
    }

    /// Whatever failed, a round or two after it fails no more everything is right.
    #[test]
    fn when_nothing_fails_any_more_all_ends_right(
        (host, seen) in with_leftovers(hosts()), turns in turns()
    ) {
        let mut kernel = Kernel::under(&host, seen);
        kernel.fail_with(turns);
        for _ in 0..2 {
            let seen = kernel.observe();
            kernel.apply_all(&plan(&host, &seen).steps);
        }
        kernel.fail_with([]);
        rounds(&host, &mut kernel)?;
        prop_assert_eq!(wrong(&host, &kernel.observe()), Vec::<String>::new());
    }

    /// A device that could not be made is missed by nothing but its own network's steps.
    #[test]
    fn no_device_no_entries(host in hosts()) {
        let mut kernel = Kernel::fresh(&host);
        let steps = plan(&host, &kernel.observe()).steps;
        kernel.fail_with(steps.iter().map(|step| matches!(step, Step::Create(_))));
        for (step, refusal) in kernel.apply_all(&steps) {
            let due = match &step {
                Step::Create(_) => refusal == Refusal::Injected,
                Step::Sysctl(_) => matches!(refusal, Refusal::NoSetting(_)),
                _ => refusal == Refusal::NoDevice,
            };
            prop_assert!(due, "{}: {}", step, refusal);
        }
        let seen = kernel.observe();
        prop_assert_eq!((seen.fdb, seen.neighbours, seen.addresses), (vec![], vec![], vec![]));
        prop_assert_eq!(kernel.us().devices.len(), 0);
        recover(&host, &mut kernel)?;
    }
}

fn recover(host: &Host, kernel: &mut Kernel) -> Result<(), TestCaseError> {
    kernel.fail_with([]);
    prop_assert!(rounds(host, kernel)? <= 1);
    prop_assert_eq!(wrong(host, &kernel.observe()), Vec::<String>::new());
    Ok(())
}
