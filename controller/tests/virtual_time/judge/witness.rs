//! What agents and callers say they were told, against what the store had.

use std::{collections::BTreeSet, ops::Range};

use overlay::txn::Revision;
use proto::v1;

use super::{Judge, Peers, Place};

impl Judge {
    /// Somebody was told of this lease: it must have been so in the store.
    pub fn told_lease(&self, lease: &v1::Lease) -> Result<(), String> {
        let place = (lease.network.clone(), lease.node.clone());
        let past = self.past.get(&place);
        let held = past.and_then(|past| past.range(..=lease.revision).next_back());
        let held = held.and_then(|(_, held)| held.as_ref());
        match held {
            Some(held) if held.life == lease.life && held.subnets == lease.subnets => Ok(()),
            held => Err(format!(
                "{place:?} was told of {} {:?} at {}, the store had {held:?}",
                lease.life, lease.subnets, lease.revision
            )),
        }
    }

    /// An agent holds these peers, all of them, of this revision. A controller that `saw`
    /// nothing of a lease before its record was garbage is excused.
    pub fn told_peers(
        &self,
        network: &str,
        revision: Revision,
        told: &Peers,
        excused: &mut BTreeSet<Place>,
        saw: impl Fn(Range<Revision>) -> bool,
    ) -> Result<(), String> {
        let none = Peers::new();
        let peers = self.peers.get(network);
        let peers = peers.and_then(|peers| peers.range(..=revision).next_back());
        let should = peers.map_or(&none, |(_, peers)| peers);
        if should == told {
            excused.retain(|(of, _)| of != network);
            return Ok(());
        }
        let nodes: BTreeSet<&String> = should.keys().chain(told.keys()).collect();
        for node in nodes {
            let place = (network.to_owned(), node.clone());
            let (is, should) = (told.get(node), should.get(node));
            if is == should {
                excused.remove(&place);
                continue;
            }
            let Some(since) = self.spoilt_since(&place, revision) else {
                return Err(format!(
                    "of {network} at {revision} {node} is told as {is:?}, the store had {should:?}"
                ));
            };
            if is.is_none() {
                if !saw(self.made(&place, since)..since) {
                    excused.insert(place.clone());
                }
                if !excused.contains(&place) {
                    return Err(format!(
                        "of {network} at {revision} {node} is taken for gone: its record cannot be read since {since}"
                    ));
                }
            }
        }
        Ok(())
    }

    /// An agent was told that the store has these endpoints of this life, and no others.
    pub fn told_kept(
        &self,
        network: &str,
        node: &str,
        life: &str,
        revision: Revision,
        told: &BTreeSet<String>,
    ) -> Result<(), String> {
        let past = self.endpoints.get(&(network.to_owned(), node.to_owned()));
        let had = past.and_then(|past| past.range(..=revision).next_back());
        let had = had.into_iter().flat_map(|(_, endpoints)| endpoints);
        let had = had.filter(|(_, of)| *of == life).map(|(id, _)| id.clone());
        let had: BTreeSet<String> = had.collect();
        if had == *told {
            return Ok(());
        }
        Err(format!(
            "{node} was told that {told:?} are kept in {network} at {revision}, the store had {had:?}"
        ))
    }

    /// When a lease that was there before a revision was made.
    fn made(&self, place: &Place, before: Revision) -> Revision {
        let past = self.past.get(place).into_iter();
        let past = past.flat_map(|past| past.range(..before).rev());
        let there = past.take_while(|(_, lease)| lease.is_some());
        there.last().map_or(before, |(revision, _)| *revision)
    }

    /// Was this lease's record garbage at a revision, and since when?
    fn spoilt_since(&self, place: &Place, revision: Revision) -> Option<Revision> {
        let spoilt = self.spoilt.get(place)?;
        let at = spoilt
            .iter()
            .find(|(from, to)| (*from..*to).contains(&revision));
        at.map(|(from, _)| *from)
    }
}
