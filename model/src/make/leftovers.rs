//! What a kernel may hold when an agent comes to it.

use overlay::{
    datapath::{host::Host, member::Member, observed::Observed, plan::plan},
    record::Mac,
};
use proptest::prelude::*;

use super::{Part, Standing, filters, foreign, host as make, host_of, peers, plant, ports};
use crate::{
    kernel::{DISABLE_IPV6, Kernel, owned},
    tamper::{Damage, Tampering},
};

/// What an earlier life of this host left, some of it mutated since, among things that
/// are not ours.
pub fn leftovers(host: &Host) -> impl Strategy<Value = Observed> + use<> {
    let host = host.clone();
    (own_leftovers(&host), foreign()).prop_map(move |(mut seen, foreign)| {
        for kind in foreign {
            plant(kind, &host, &mut seen);
        }
        seen
    })
}

/// The same, without what is not ours.
pub fn own_leftovers(host: &Host) -> impl Strategy<Value = Observed> + use<> {
    let mutated = prop::collection::vec(any::<prop::sample::Index>(), 0..6);
    let v6 = prop_oneof![3 => Just("0"), 1 => Just("1")];
    let mac = host.mac();
    let past = past(host).prop_flat_map(|past| (ports(&past), Just(past)));
    (past, mutated, v6, filters()).prop_map(move |((ports, mut past), mutated, v6, filters)| {
        past.publish(ports).expect("one target to each place");
        let mut seen = Kernel::fresh(&past).observe();
        seen.filters = filters;
        seen.sysctls.insert(owned(&DISABLE_IPV6), v6.into());
        let mut kernel = Kernel::under(&past, seen);
        kernel.apply_all(&plan(&past, &kernel.observe()).steps);
        // With another MAC a device is known by its name alone.
        let mutated = mutated.into_iter().filter(|_| past.mac() == mac);
        for which in mutated {
            let all = kernel.tamperings(&past);
            if let Some(tampering) = all.get(which.index(all.len().max(1))) {
                mutate(&mut kernel, tampering);
            }
        }
        kernel.observe()
    })
}

/// A device that lost both its name and its MAC is not ours any more, and stands in the
/// way of the one that takes its place.
fn mutate(kernel: &mut Kernel, tampering: &Tampering) {
    let before = kernel.clone();
    let count = |kernel: &Kernel| kernel.us().devices.len();
    let gone = matches!(tampering, Tampering::Device(_, Damage::Gone));
    let refused = kernel.tamper(tampering).is_err();
    if refused || (!gone && count(kernel) != count(&before)) {
        *kernel = before;
    }
}

/// Who this host was before: the same, or with other peers, networks, devices.
fn past(host: &Host) -> impl Strategy<Value = Host> + use<> {
    let parts = parts(host);
    let others: Vec<_> = parts
        .iter()
        .map(|part| (peers(&part.network), 0..8u8, 0..12u8))
        .collect();
    (others, 0..6u8).prop_map(move |(others, whole)| {
        match whole {
            // Never here before.
            0 => return make(&[]),
            1 => return make(&parts),
            _ => {}
        }
        let mut past = Vec::new();
        for (part, (peers, keep, what)) in parts.iter().zip(others) {
            let mut part = part.clone();
            if keep > 1 {
                part.peers = peers;
            }
            match what {
                0 => continue,
                1 => part.network.port += 10,
                2 => part.uplink.mtu = 1320,
                3 => part.uplink.mtu = 1600,
                4 => part.own.truncate(1),
                // The VNI of a network that there is not.
                5 => part.network.vni = 9.try_into().expect("a VNI"),
                6 => part.network.masquerade = !part.network.masquerade,
                7 => part.uplink.offload = !part.uplink.offload,
                _ => {}
            }
            past.push(part);
        }
        if whole == 2 {
            // A node's MAC follows from its id.
            return host_of(Mac([2, 0x77, 0, 0, 9, 9]), &past);
        }
        make(&past)
    })
}

/// What a host was made of, as far as it knows.
pub fn parts(host: &Host) -> Vec<Part> {
    let known = host.joined().filter_map(|(_, member)| member);
    let part = |member: &Member| {
        let peers = member.known().peers().cloned().unwrap_or_default();
        Some(Part {
            network: member.network().clone(),
            own: member.own().to_vec(),
            uplink: member.uplink()?.clone(),
            peers,
            standing: Standing::Synced,
        })
    };
    known.filter_map(part).collect()
}
