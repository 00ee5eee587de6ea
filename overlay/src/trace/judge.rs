//! What is wrong on the way, in the order in which a packet meets it.

use std::net::IpAddr;

use serde::Serialize;

use super::{Device, Facts, Reached, Way};
use crate::{datapath::device, network::Vni, record::Mac};

mod container;
mod tunnel;
mod underlay;

/// What the way should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Course {
    pub vni: Vni,
    pub port: u16,
    pub from: Stop,
    pub to: Stop,
}

/// One end of it, as the leases and endpoints say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stop {
    pub node: String,
    pub address: IpAddr,
    /// Of its host, on the underlay, and of that one's device.
    pub underlay: Option<IpAddr>,
    pub mac: Option<Mac>,
    pub container: bool,
}

/// One thing that the packet meets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Hop {
    pub node: String,
    pub object: String,
    /// As the kernel has it.
    pub seen: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wrong: Option<String>,
}

struct Walk<'a> {
    course: &'a Course,
    hops: Vec<Hop>,
}

/// All hops. A host that could not be asked says why.
pub fn judge(course: &Course, near: Result<&Facts, &str>, far: Result<&Facts, &str>) -> Vec<Hop> {
    let mut walk = Walk {
        course,
        hops: Vec::new(),
    };
    let silent = |why: &str| Some(why.to_owned());
    match near {
        Ok(near) => walk.near(near),
        Err(why) => walk.add(&course.from.node, "agent", "cannot be asked", silent(why)),
    }
    match far {
        Ok(far) => walk.far(far),
        Err(why) => walk.add(&course.to.node, "agent", "cannot be asked", silent(why)),
    }
    // In the end what counts is whether a packet comes through.
    if let Ok(Facts {
        reached: Some(reached),
        ..
    }) = near
    {
        let at = format!("{} to {}", course.from.address, course.to.address);
        walk.reached(&course.from.node, &at, reached);
    }
    walk.hops
}

impl Course {
    /// Both ends are not on one host.
    fn is_over(&self) -> bool {
        self.from.node != self.to.node
    }
}

impl Walk<'_> {
    fn add(
        &mut self,
        node: &str,
        object: impl Into<String>,
        seen: impl Into<String>,
        wrong: Option<String>,
    ) {
        self.hops.push(Hop {
            node: node.into(),
            object: object.into(),
            seen: seen.into(),
            wrong,
        });
    }

    fn near(&mut self, near: &Facts) {
        let course = self.course;
        let over = course.is_over();
        let node = course.from.node.as_str();
        if course.from.container {
            self.inside(node, near.inside.as_ref(), course.from.address);
            self.forwarding(node, near);
        }
        let direct =
            over && near.way.gateway() == course.to.underlay && course.to.underlay.is_some();
        let wanted = device::name(course.vni);
        let wrong = match &near.way {
            Way::Refused(_) => Some(format!("the host has no way to {}", course.to.address)),
            Way::Leads { device, .. } if over && !direct && *device != wanted => Some(format!(
                "it leads away from {wanted}: another route is in the way"
            )),
            Way::Leads { .. } => None,
        };
        self.add(
            node,
            format!("route to {}", course.to.address),
            near.way.to_string(),
            wrong,
        );
        self.firewall(node, near);
        if over && !direct {
            self.tunnel(node, near, course.from.mac, course.from.underlay);
            let mac = near.neighbour;
            let wrong = differs(
                mac,
                course.to.mac,
                "nobody's MAC is known there",
                "that is not the MAC of the other host's device",
            );
            let gateway = near
                .way
                .gateway()
                .map_or_else(|| "next hop".into(), |gateway| gateway.to_string());
            self.add(node, format!("neighbour {gateway}"), text(mac), wrong);
            let entry = near.forwarding_entry;
            let wrong = differs(
                entry,
                course.to.underlay,
                "there is no forwarding entry for that MAC",
                "that is not the other host's address",
            );
            let at = mac.map_or_else(|| "forwarding entry".into(), |mac| format!("fdb {mac}"));
            self.add(node, at, text(entry), wrong);
        }
        if over {
            self.underlay(node, near);
        }
    }

    fn far(&mut self, far: &Facts) {
        let course = self.course;
        let node = course.to.node.as_str();
        if course.is_over() {
            self.arrives(node, far);
            if course.to.container {
                self.forwarding(node, far);
            }
            let wrong = match &far.way {
                Way::Refused(_) => Some(format!("the host has no way to {}", course.to.address)),
                Way::Leads { here: true, .. } if course.to.container => {
                    Some("it ends at the host itself".into())
                }
                Way::Leads { here: false, .. } if !course.to.container => {
                    Some("it leads away from the host".into())
                }
                Way::Leads { .. } => None,
            };
            let at = format!("route to {}", course.to.address);
            self.add(node, at, far.way.to_string(), wrong);
            self.hands_over(node, far);
        }
        if course.to.container {
            self.inside(node, far.inside.as_ref(), course.to.address);
        }
        if let Some(underlay) = &far.underlay {
            let wrong = match &underlay.way {
                Way::Refused(_) => Some("answers have no way back over the underlay".into()),
                Way::Leads { .. } => None,
            };
            let at = format!("underlay route to {}", text(course.from.underlay));
            self.add(node, at, underlay.way.to_string(), wrong);
        }
    }

    /// From the underlay through the network's device.
    fn arrives(&mut self, node: &str, far: &Facts) {
        let course = self.course;
        if let Some(underlay) = &far.underlay {
            self.has_address(node, underlay.address_here, course.to.underlay);
            if let Some(device) = &underlay.device {
                self.device(node, &device.name, Some(device));
            }
        }
        let admits = far.firewall.admits;
        let wrong = (far.firewall.table && !admits)
            .then(|| "the guard of the VXLAN port does not know the sender".into());
        let seen = if admits { "admitted" } else { "not admitted" };
        let at = format!("guard, for {}", text(course.from.underlay));
        self.add(node, at, seen, wrong);
        self.tunnel(node, far, course.to.mac, course.to.underlay);
        self.firewall(node, far);
    }

    fn device(&mut self, node: &str, name: &str, device: Option<&Device>) {
        let wrong = match device {
            None => Some("there is no such device".into()),
            Some(device) if !device.up => Some("it is down".into()),
            Some(_) => None,
        };
        self.add(node, format!("device {name}"), text(device), wrong);
    }

    fn forwarding(&mut self, node: &str, facts: &Facts) {
        if let Some((setting, value)) = &facts.forwarding {
            let wrong = (value != "1").then(|| "the host does not forward packets".into());
            self.add(node, setting.clone(), value.clone(), wrong);
        }
    }

    fn firewall(&mut self, node: &str, facts: &Facts) {
        let firewall = &facts.firewall;
        let wrong = (!firewall.table).then(|| "the table is gone".into());
        let seen = if firewall.table { "there" } else { "missing" };
        self.add(node, "nft table inet weft", seen, wrong);
        for passage in &firewall.passages {
            self.add(
                node,
                "iptables FORWARD",
                "in the way",
                Some(passage.clone()),
            );
        }
        for rule in &firewall.grown {
            let wrong = "somebody's rule dropped what was sent just now";
            self.add(node, rule.clone(), "drops", Some(wrong.into()));
        }
    }

    fn reached(&mut self, node: &str, at: &str, reached: &Reached) {
        let seen = |answer: &Result<(), String>| match answer {
            Ok(()) => "answered".to_owned(),
            Err(reason) => reason.clone(),
        };
        let wrong = reached.small.is_err().then(|| {
            "no answer came: something on the way, or on the way back, drops packets".into()
        });
        self.add(
            node,
            format!("{at}, a small packet"),
            seen(&reached.small),
            wrong,
        );
        if reached.small.is_ok() {
            let wrong = reached.full.is_err().then(|| {
                "packets of this size do not pass: the MTU is smaller somewhere on the way".into()
            });
            self.add(
                node,
                format!("{at}, {} bytes", reached.size),
                seen(&reached.full),
                wrong,
            );
        }
    }
}

impl Way {
    fn gateway(&self) -> Option<IpAddr> {
        match self {
            Self::Leads { gateway, .. } => *gateway,
            Self::Refused(_) => None,
        }
    }
}

fn differs<T: PartialEq>(
    seen: Option<T>,
    wanted: Option<T>,
    none: &str,
    other: &str,
) -> Option<String> {
    match (seen, wanted) {
        (None, _) => Some(none.into()),
        (Some(seen), Some(wanted)) if seen != wanted => Some(other.into()),
        (Some(_), _) => None,
    }
}

fn text<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(|| "none".into(), |value| value.to_string())
}

#[cfg(test)]
mod tests;
