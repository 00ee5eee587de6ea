//! What is wrong at a container: inside, at its link, and where its host hands packets over.

use std::net::IpAddr;

use super::{Walk, text};
use crate::{
    endpoint::link::{GATEWAY4, GATEWAY6, HOST_MAC},
    trace::{Facts, Inside, Way},
};

impl Walk<'_> {
    pub fn inside(&mut self, node: &str, inside: Option<&Inside>, address: IpAddr) {
        let Some(inside) = inside else {
            self.add(
                node,
                "container",
                "unknown",
                Some("this host has no such container".into()),
            );
            return;
        };
        if let Some(problem) = &inside.problem {
            self.add(node, "container", "cannot be seen", Some(problem.clone()));
            return;
        }
        let at = format!("{} in the container", inside.interface);
        let wrong = match &inside.device {
            None => Some("the container has no such interface".into()),
            Some(device) if !device.up => Some("it is down".into()),
            Some(device) if device.mac != inside.mac && inside.mac.is_some() => Some(format!(
                "its MAC is not the {} that it was given",
                text(inside.mac)
            )),
            Some(_) => None,
        };
        self.add(node, at, text(inside.device.as_ref()), wrong);
        let here = inside.addresses.contains(&address);
        let wrong = (!here).then(|| "the container does not have this address".into());
        let seen = if here { "there" } else { "missing" };
        self.add(node, format!("address {address}"), seen, wrong);
        let wrong = match &inside.way {
            Way::Refused(_) => Some("the container has no route to the other end".into()),
            Way::Leads { device, .. } if *device != inside.interface => {
                Some(format!("it does not lead through {}", inside.interface))
            }
            Way::Leads { .. } => None,
        };
        self.add(
            node,
            "route in the container",
            inside.way.to_string(),
            wrong,
        );
        if let Some(gateway) = inside.way.gateway() {
            // A bridge's own is asked for when it is needed.
            let wrong = ([IpAddr::from(GATEWAY4), GATEWAY6.into()].contains(&gateway)
                && inside.gateway_mac != Some(HOST_MAC))
            .then(|| format!("it should be {HOST_MAC}, the host's end of the link"));
            self.add(
                node,
                format!("neighbour {gateway} in the container"),
                text(inside.gateway_mac),
                wrong,
            );
        }
        self.device(node, &inside.link, inside.link_device.as_ref());
    }

    /// A routed container's MAC is known for good; behind a bridge it is asked for.
    pub fn hands_over(&mut self, node: &str, far: &Facts) {
        let given = far.inside.as_ref().and_then(|inside| inside.mac);
        let (Some(seen), Some(given)) = (far.neighbour, given) else {
            return;
        };
        let wrong = (seen != given).then(|| format!("the container was given {given}"));
        let at = format!("neighbour {}", self.course.to.address);
        self.add(node, at, seen.to_string(), wrong);
    }
}
