//! What is wrong with a network's device.

use std::net::IpAddr;

use super::{Walk, text};
use crate::{datapath::device, record::Mac, trace::Facts};

impl Walk<'_> {
    pub fn tunnel(&mut self, node: &str, facts: &Facts, mac: Option<Mac>, local: Option<IpAddr>) {
        let course = self.course;
        let name = device::name(course.vni);
        let wrong = match &facts.tunnel {
            None => Some("there is no such device".into()),
            Some(device) if !device.up => Some("it is down".into()),
            Some(device) if device.vni != Some(course.vni.into()) => {
                Some(format!("its VNI is not {}", course.vni))
            }
            Some(device) if device.port != Some(course.port) => {
                Some(format!("its UDP port is not {}", course.port))
            }
            Some(device) if mac.is_some() && device.mac != mac => Some(format!(
                "its MAC is not {}, which the others know",
                text(mac)
            )),
            Some(device) if local.is_some() && device.local != local => {
                Some(format!("it does not send from {}", text(local)))
            }
            Some(_) => None,
        };
        self.add(
            node,
            format!("device {name}"),
            text(facts.tunnel.as_ref()),
            wrong,
        );
    }
}
