//! What a kernel tells those who listen, after something was done to it.

use overlay::{
    datapath::{host::Sighting, observed::Observed},
    subnet::Family,
};

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// Of a device: whoever hears this looks again.
    Link(u32),
    /// Of the table `inet weft`: the same.
    Table,
    Seen(Sighting),
}

/// Who removed the routes: what goes with an address or a device, in IPv4, goes
/// without a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Routes {
    Themselves,
    WithOthers,
}

pub fn told(before: &Observed, after: &Observed, routes: Routes) -> Vec<Told> {
    let mut told = Vec::new();
    for link in &before.links {
        let now = after.links.iter().find(|now| now.index == link.index);
        if now != Some(link) {
            told.push(Told::Link(link.index));
        }
    }
    for link in &after.links {
        if before.links.iter().all(|old| old.index != link.index) {
            told.push(Told::Link(link.index));
        }
    }
    if before.firewall != after.firewall {
        told.push(Told::Table);
    }
    let mut seen = |sighting| told.push(Told::Seen(sighting));
    changed(
        &before.fdb,
        &after.fdb,
        |fdb| (fdb.index, fdb.mac),
        |gone, fdb| seen(Sighting::Fdb { gone, fdb }),
    );
    changed(
        &before.neighbours,
        &after.neighbours,
        |neighbour| (neighbour.index, neighbour.address),
        |gone, neighbour| seen(Sighting::Neighbour { gone, neighbour }),
    );
    changed(
        &before.addresses,
        &after.addresses,
        |address| (address.index, address.address, address.length),
        |gone, address| seen(Sighting::Address { gone, address }),
    );
    changed(
        &before.routes,
        &after.routes,
        |route| (route.subnet, route.metric),
        |gone, route| {
            let silent = routes == Routes::WithOthers && route.subnet.family() == Family::V4;
            if !(gone && silent) {
                seen(Sighting::Route { gone, route });
            }
        },
    );
    told
}

/// What went, and what is new or another than it was.
fn changed<T: Copy + PartialEq, K: PartialEq>(
    before: &[T],
    after: &[T],
    key: impl Fn(&T) -> K,
    mut tell: impl FnMut(bool, T),
) {
    for old in before {
        if after.iter().all(|new| key(new) != key(old)) {
            tell(true, *old);
        }
    }
    for new in after {
        if !before.contains(new) {
            tell(false, *new);
        }
    }
}
