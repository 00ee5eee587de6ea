//! What is wrong with the underlay: a host's address there, and its way to the other host.

use std::net::IpAddr;

use super::{Walk, text};
use crate::{
    datapath::uplink::overhead,
    subnet::Family,
    trace::{Facts, Way},
};

impl Walk<'_> {
    pub fn underlay(&mut self, node: &str, near: &Facts) {
        let course = self.course;
        let to = text(course.to.underlay);
        let Some(underlay) = &near.underlay else {
            return;
        };
        self.has_address(node, underlay.address_here, course.from.underlay);
        // What the network's device may hand on, with what goes around it.
        let family = course.to.underlay.map_or(Family::V4, Family::of);
        let needs = near
            .tunnel
            .as_ref()
            .map_or(0, |tunnel| tunnel.mtu + overhead(family));
        let wrong = match &underlay.way {
            Way::Refused(_) => Some(format!("the host has no way to {to}")),
            Way::Leads { mtu: Some(mtu), .. } if *mtu < needs => {
                Some(format!("packets of up to {needs} bytes have to pass"))
            }
            Way::Leads { .. } => None,
        };
        self.add(
            node,
            format!("underlay route to {to}"),
            underlay.way.to_string(),
            wrong,
        );
        if let Some(device) = &underlay.device {
            let wrong = match device {
                device if !device.up => Some("it is down".into()),
                device if device.mtu < needs => {
                    Some(format!("packets of up to {needs} bytes have to pass"))
                }
                _ => None,
            };
            self.add(
                node,
                format!("device {}", device.name),
                device.to_string(),
                wrong,
            );
        }
        if let Some(reached) = &underlay.reached {
            self.reached(node, &format!("underlay to {to}"), reached);
        }
    }

    pub fn has_address(&mut self, node: &str, here: bool, address: Option<IpAddr>) {
        let wrong = (!here).then(|| "the host does not have this address".into());
        let seen = if here { "there" } else { "missing" };
        self.add(
            node,
            format!("underlay address {}", text(address)),
            seen,
            wrong,
        );
    }
}
