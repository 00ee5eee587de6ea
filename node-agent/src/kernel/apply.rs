//! Steps, done in their order. Entries go many at a time.

use std::{
    collections::{BTreeMap, BTreeSet},
    error::Error,
    net::IpAddr,
};

use netlink_packet_route::link::{LinkAttribute, LinkMessage};
use overlay::{
    datapath::{
        device::{Change, Device},
        step::Step,
    },
    network::Vni,
};
use rustix::io::Errno;
use thiserror::Error;

use super::{
    Failure, Kernel, Outcome,
    forward::ForwardError,
    message::{self, RouteRequest},
    netlink::{NetlinkError, Refusal},
    nft::NftError,
    sysctl::{self, SysctlError},
};

/// Why a step was not done.
#[derive(Debug, Error)]
enum StepError {
    #[error("the device weft{0} is not there")]
    NoDevice(Vni),
    #[error("there is another device of the name {0}")]
    NameTaken(String),
    #[error("this kernel has no netlink for the features of devices")]
    NoEthtool,
    #[error(transparent)]
    Netlink(#[from] NetlinkError),
    #[error(transparent)]
    Sysctl(#[from] SysctlError),
    #[error(transparent)]
    Firewall(#[from] NftError),
    #[error(transparent)]
    Forward(#[from] ForwardError),
}

/// What can be done together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Together {
    Entries,
    Sources,
    Ports,
    Alone,
}

impl Kernel {
    /// Does the steps. One that fails stops none of the others.
    pub fn apply(&mut self, steps: &[Step]) -> Outcome {
        let mut outcome = Outcome::default();
        let groups = steps.chunk_by(|step, next| {
            let together = Together::of(step);
            together != Together::Alone && together == Together::of(next)
        });
        for group in groups {
            match Together::of(&group[0]) {
                Together::Entries => self.entries_of(group, &mut outcome),
                Together::Sources => self.sources(group, &mut outcome),
                Together::Ports => self.ports(group, &mut outcome),
                Together::Alone => {
                    let step = &group[0];
                    if let Err(error) = self.alone(step) {
                        outcome.fail(step, &error);
                    }
                }
            }
        }
        outcome
    }

    fn entries_of(&mut self, steps: &[Step], outcome: &mut Outcome) {
        let places: BTreeMap<Vni, u32> = self
            .devices
            .iter()
            .map(|(index, vni)| (*vni, *index))
            .collect();
        let mut asked: Vec<&Step> = Vec::with_capacity(steps.len());
        let requests = steps.iter().filter_map(|step| {
            let request = message::entry(step, |vni| places.get(&vni).copied());
            match (&request, step.network()) {
                (Some(_), _) => asked.push(step),
                // What is to go went with its device.
                (None, Some(vni)) if !step.removes() => {
                    outcome.fail(step, &StepError::NoDevice(vni));
                }
                (None, _) => {}
            }
            request
        });
        let answers = self.socket.perform(requests);
        for (number, refusal) in answers.refused {
            let step = asked[number];
            if !is_so_already(step, &refusal) {
                outcome.fail(step, &NetlinkError::Refused(refusal).into());
            }
        }
        outcome.uncertain |= answers.lost.is_some();
    }

    fn sources(&mut self, steps: &[Step], outcome: &mut Outcome) {
        let (mut admit, mut bar): (Vec<IpAddr>, Vec<IpAddr>) = (Vec::new(), Vec::new());
        for step in steps {
            match step {
                Step::Admit(address) => admit.push(*address),
                Step::Bar(address) => bar.push(*address),
                _ => {}
            }
        }
        if let Err(error) = self.firewall.change_sources(&admit, &bar) {
            let error = StepError::from(error);
            for step in steps {
                outcome.fail(step, &error);
            }
        }
    }

    fn ports(&mut self, steps: &[Step], outcome: &mut Outcome) {
        let (mut new, mut gone) = (BTreeSet::new(), BTreeSet::new());
        for step in steps {
            match step {
                Step::Publish(port) => new.insert(*port),
                Step::Unpublish(port) => gone.insert(*port),
                _ => false,
            };
        }
        if let Err(error) = self.firewall.change_ports(&new, &gone) {
            let error = StepError::from(error);
            for step in steps {
                outcome.fail(step, &error);
            }
        }
    }

    fn alone(&mut self, step: &Step) -> Result<(), StepError> {
        match step {
            Step::Sysctl(sysctl) => sysctl::write(sysctl)?,
            Step::Firewall(firewall) => self.firewall.install(firewall)?,
            Step::NoFirewall => self.firewall.remove()?,
            Step::Pass(passage) => self.forward.open(passage)?,
            Step::NoPass { filter, jumps } => self.forward.close(*filter, *jumps)?,
            Step::Create(device) => self.create(device)?,
            Step::Delete { index, .. } => {
                let deleted = self.do_it(message::delete(*index));
                if !matches!(&deleted, Err(NetlinkError::Refused(why)) if why.errno == Errno::NODEV)
                {
                    deleted?;
                }
                self.devices.remove(index);
            }
            Step::Change { vni, change } => self.change(*vni, change)?,
            Step::SetAddress { .. }
            | Step::DropAddress { .. }
            | Step::SetFdb { .. }
            | Step::DropFdb { .. }
            | Step::SetNeighbour { .. }
            | Step::DropNeighbour { .. }
            | Step::SetRoute(_)
            | Step::DropRoute(_)
            | Step::Admit(_)
            | Step::Bar(_)
            | Step::Publish(_)
            | Step::Unpublish(_) => unreachable!("{step} is not done alone"),
        }
        Ok(())
    }

    fn create(&mut self, device: &Device) -> Result<(), StepError> {
        match self.do_it(message::create(device)) {
            // Of a VNI that is taken the kernel says so itself.
            Err(NetlinkError::Refused(Refusal {
                errno: Errno::EXIST,
                text: None,
            })) => return Err(StepError::NameTaken(device.name())),
            done => done?,
        }
        let mut named = LinkMessage::default();
        named.attributes = vec![LinkAttribute::IfName(device.name())];
        let made = self.interface(named)?;
        self.devices
            .extend(made.map(|made| (made.index, device.vni)));
        Ok(())
    }

    fn change(&mut self, vni: Vni, change: &Change) -> Result<(), StepError> {
        let of_it = self.devices.iter().find(|(_, other)| **other == vni);
        let (&index, _) = of_it.ok_or(StepError::NoDevice(vni))?;
        match message::change(index, vni, change) {
            Some(request) => Ok(self.do_it(request)?),
            None => {
                let ethtool = self.ethtool.as_mut().ok_or(StepError::NoEthtool)?;
                let on = matches!(change, Change::Offload(true));
                Ok(ethtool.set_offload(index, on)?)
            }
        }
    }

    fn do_it(&mut self, request: RouteRequest) -> Result<(), NetlinkError> {
        self.socket.ask(request, &mut |_| {})
    }
}

impl Together {
    fn of(step: &Step) -> Self {
        match step {
            Step::SetAddress { .. }
            | Step::DropAddress { .. }
            | Step::SetFdb { .. }
            | Step::DropFdb { .. }
            | Step::SetNeighbour { .. }
            | Step::DropNeighbour { .. }
            | Step::SetRoute(_)
            | Step::DropRoute(_) => Self::Entries,
            Step::Admit(_) | Step::Bar(_) => Self::Sources,
            Step::Publish(_) | Step::Unpublish(_) => Self::Ports,
            Step::Sysctl(_)
            | Step::Firewall(_)
            | Step::NoFirewall
            | Step::Pass(_)
            | Step::NoPass { .. }
            | Step::Create(_)
            | Step::Delete { .. }
            | Step::Change { .. } => Self::Alone,
        }
    }
}

/// Refused because it is as it should be.
fn is_so_already(step: &Step, refusal: &Refusal) -> bool {
    if step.removes() {
        [
            Errno::NOENT,
            Errno::SRCH,
            Errno::ADDRNOTAVAIL,
            Errno::NODEV,
            // A device without IPv6, of its IPv6 addresses.
            Errno::NXIO,
        ]
        .contains(&refusal.errno)
    } else {
        refusal.errno == Errno::EXIST
    }
}

impl Outcome {
    fn fail(&mut self, step: &Step, error: &StepError) {
        self.uncertain |= matches!(error, StepError::Netlink(NetlinkError::Lost(_)));
        let mut reason = error.to_string();
        let mut source = error.source();
        while let Some(error) = source {
            reason.push_str(": ");
            reason.push_str(&error.to_string());
            source = error.source();
        }
        self.failures.push(Failure {
            step: step.clone(),
            reason,
        });
    }
}

#[cfg(test)]
mod tests;
