//! How many connections without a certificate there may be, from one address and in all.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

const MOST: usize = 1024;
const MOST_OF_ONE: usize = 64;

#[derive(Debug, Clone, Default)]
pub struct Strangers(Arc<Mutex<Taken>>);

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    each: BTreeMap<IpAddr, usize>,
}

/// Given back when it is dropped.
#[derive(Debug)]
pub struct Place {
    strangers: Strangers,
    neighbourhood: IpAddr,
}

impl Strangers {
    /// None: there are enough of them.
    pub fn place(&self, address: IpAddr) -> Option<Place> {
        let neighbourhood = neighbourhood(address);
        let mut taken = self.taken();
        let of_one = taken.each.get(&neighbourhood).copied().unwrap_or(0);
        if taken.all >= MOST || of_one >= MOST_OF_ONE {
            return None;
        }
        taken.all += 1;
        taken.each.insert(neighbourhood, of_one + 1);
        Some(Place {
            strangers: self.clone(),
            neighbourhood,
        })
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.strangers.taken();
        taken.all -= 1;
        let left = taken
            .each
            .get(&self.neighbourhood)
            .map_or(0, |count| count - 1);
        if left == 0 {
            taken.each.remove(&self.neighbourhood);
        } else {
            taken.each.insert(self.neighbourhood, left);
        }
    }
}

/// Of IPv6 a host has a whole /64.
pub fn neighbourhood(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_takes_no_more_than_its_share_and_gives_it_back() {
        let strangers = Strangers::default();
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        let mut places: Vec<Place> = (0..)
            .map_while(|_| strangers.place(address("192.0.2.1")))
            .collect();
        assert_eq!(places.len(), MOST_OF_ONE);
        assert!(strangers.place(address("::ffff:192.0.2.1")).is_none());
        assert!(strangers.place(address("192.0.2.2")).is_some());
        places.pop();
        assert!(strangers.place(address("192.0.2.1")).is_some());
        drop(places);
        assert_eq!(strangers.taken().all, 0);
        assert!(strangers.taken().each.is_empty());
    }

    #[test]
    fn of_ipv6_a_network_counts_as_one_and_all_together_are_bounded() {
        let strangers = Strangers::default();
        let many = (0..u128::from(u16::MAX)).map(|last| {
            let host = Ipv6Addr::from_bits((0xfd << 120) | last);
            strangers.place(host.into())
        });
        assert_eq!(many.flatten().collect::<Vec<_>>().len(), MOST_OF_ONE);
        let apart = (0..u128::from(u16::MAX)).map(|network| {
            let host = Ipv6Addr::from_bits((0xfd << 120) | (network << 64));
            strangers.place(host.into())
        });
        assert_eq!(apart.flatten().collect::<Vec<_>>().len(), MOST);
    }
}
