//! What befalls the network between the machines, until it is healed.

use anyhow::{Result, bail, ensure};

use super::{Cluster, NO_ETCD};
use crate::words::{Fault, Machine};

impl Cluster {
    pub(super) fn befall(&mut self, fault: Fault) -> Result<String> {
        match &fault {
            Fault::Part {
                one,
                other,
                one_way,
            } => self.part(one, other, *one_way)?,
            Fault::Unplug(host) => self.lab.uplink_down(self.number_of_host(host)?)?,
            Fault::Lossy(one, other) => {
                let (one, other) = (self.number_of_host(one)?, self.number_of_host(other)?);
                self.lab.lossy(one, other)?;
            }
            Fault::Hole(from, to) => {
                let (from, to) = (self.number_of_host(from)?, self.number_of_host(to)?);
                self.lab.hole(from, to)?;
            }
            Fault::Slow(host, rate) => {
                self.lab.slow(self.number_of_host(host)?, rate)?;
                // The last word on a host counts.
                let before = |one: &Fault| matches!(one, Fault::Slow(slow, _) if slow == host);
                self.faults.retain(|one| !before(one));
            }
        }
        let said = fault.to_string();
        if !self.faults.contains(&fault) {
            self.faults.push(fault);
        }
        Ok(said)
    }

    pub(super) fn heal(&mut self) -> Result<String> {
        self.lab.heal()?;
        for fault in std::mem::take(&mut self.faults) {
            match fault {
                Fault::Part { .. } | Fault::Lossy(..) | Fault::Hole(..) => {}
                Fault::Unplug(host) => self.lab.uplink_up(self.number_of_host(&host)?)?,
                Fault::Slow(host, _) => self.lab.fast(self.number_of_host(&host)?)?,
            }
        }
        Ok("every machine hears every other".to_owned())
    }

    fn part(&self, one: &Machine, other: &Machine, one_way: bool) -> Result<()> {
        let (ones, others) = (self.numbers(one)?, self.numbers(other)?);
        ensure!(
            ones.iter().all(|number| !others.contains(number)),
            "a machine cannot be parted from itself"
        );
        for one in &ones {
            for other in &others {
                self.lab.switch.cut_one_way(*one, *other)?;
                if !one_way {
                    self.lab.switch.cut_one_way(*other, *one)?;
                }
            }
        }
        Ok(())
    }

    /// On the switch.
    fn numbers(&self, machine: &Machine) -> Result<Vec<u32>> {
        let plan = self.lab.plan;
        let count = u32::try_from(self.lab.controllers.len())?;
        match machine {
            Machine::Host(number) => Ok(vec![self.host(*number)?.number]),
            Machine::Controllers => Ok((0..count).map(|index| plan.controller(index)).collect()),
            Machine::Controller(number) => {
                ensure!((1..=count).contains(number), "there is no {machine}");
                Ok(vec![plan.controller(number - 1)])
            }
            Machine::Etcd => {
                ensure!(self.lab.etcd.is_some(), NO_ETCD);
                Ok(vec![plan.etcd()])
            }
            Machine::Container(name) => {
                self.container(name)?;
                bail!("{name} is on no link of its own: part its host")
            }
        }
    }
}
