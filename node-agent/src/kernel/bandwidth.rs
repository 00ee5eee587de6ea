//! How fast an endpoint may send and be sent to: token buckets in the kernel.
//!
//! What goes to the container waits on its device. What comes from it has no queue
//! there, so it is led through a device of its own: `wb` and the endpoint's id, of the
//! kind `ifb`. That one stays when the container's device goes.
//!
//! - [`bucket`]: a rate as the kernel counts it.
//! - `request` says what is asked of the kernel; `seen` reads what is there.

use std::collections::BTreeSet;

use overlay::endpoint::{Bandwidth, EndpointId};
use rustix::io::Errno;
use thiserror::Error;

use super::{
    message::{self, RouteRequest},
    netlink::{NetlinkError, Refusal, Socket},
};
use bucket::Bucket;
use seen::{Qdisc, Seen};

pub use seen::Look;

pub mod bucket;
mod request;
mod seen;

#[derive(Debug, Error)]
#[error("cannot {what}")]
pub struct BandwidthError {
    what: &'static str,
    #[source]
    source: NetlinkError,
}

/// Has the endpoint with this device be as fast as it may be, and no faster. True:
/// something was changed.
pub fn set(
    socket: &mut Socket,
    index: u32,
    id: EndpointId,
    wanted: &Bandwidth,
    mtu: u32,
) -> Result<bool, BandwidthError> {
    let seen = Seen::look(socket, index, id).map_err(cannot("see how the endpoint is bounded"))?;
    if is_so(&seen, wanted, mtu) {
        return Ok(false);
    }
    let towards = wanted.ingress.map(|rate| Bucket::of(rate, mtu));
    queue(socket, index, &seen.queues.root, towards)
        .map_err(cannot("bound what is sent to the container"))?;
    match wanted.egress.map(|rate| Bucket::of(rate, mtu)) {
        Some(bucket) => lead_around(socket, index, id, &seen, bucket, mtu),
        None => lead_straight(socket, index, &seen),
    }
    .map_err(cannot("bound what the container sends"))?;
    Ok(true)
}

/// Removes what outlives the endpoint's own device.
pub fn remove(socket: &mut Socket, id: EndpointId) -> Result<(), BandwidthError> {
    let detour = seen::detour(socket, id).map_err(cannot("look for what bounds it"))?;
    match detour {
        Some(detour) => delete_device(socket, detour.index),
        None => Ok(()),
    }
    .map_err(cannot("remove what bounded it"))
}

/// An endpoint, and how fast it may be.
#[derive(Debug, Clone, Copy)]
pub struct Bounded {
    pub id: EndpointId,
    /// Its device's; none: that is not there.
    pub index: Option<u32>,
    pub bandwidth: Bandwidth,
    pub mtu: u32,
}

/// Has all endpoints of this host be as fast as they may be, and removes what is left
/// of others. Returns those for which that failed.
pub fn keep(
    socket: &mut Socket,
    all: &[Bounded],
) -> Result<Vec<(EndpointId, BandwidthError)>, BandwidthError> {
    let look = look(socket)?;
    let mut failed = Vec::new();
    for one in all {
        let Some(index) = one.index else {
            continue;
        };
        if !look.is_set(index, one.id, &one.bandwidth, one.mtu)
            && let Err(error) = set(socket, index, one.id, &one.bandwidth, one.mtu)
        {
            failed.push((one.id, error));
        }
    }
    let known: BTreeSet<EndpointId> = all.iter().map(|one| one.id).collect();
    for stray in look.left().difference(&known) {
        if let Err(error) = remove(socket, *stray) {
            failed.push((*stray, error));
        }
    }
    Ok(failed)
}

/// How all endpoints are bounded.
pub fn look(socket: &mut Socket) -> Result<Look, BandwidthError> {
    Look::of(socket).map_err(cannot("see how endpoints are bounded"))
}

impl Look {
    /// Is there nothing to [`set`]?
    pub fn is_set(&self, index: u32, id: EndpointId, wanted: &Bandwidth, mtu: u32) -> bool {
        is_so(&self.seen(index, id), wanted, mtu)
    }

    /// What of it outlives endpoints, by theirs, whether or not there still are such.
    pub fn left(&self) -> BTreeSet<EndpointId> {
        self.led_around().collect()
    }
}

/// The device that what comes from an endpoint is led through.
pub fn device(id: EndpointId) -> String {
    format!("wb{id}")
}

/// Whose detour a device of this name is.
pub fn owner(device: &str) -> Option<EndpointId> {
    device.strip_prefix("wb")?.parse().ok()
}

fn is_so(seen: &Seen, wanted: &Bandwidth, mtu: u32) -> bool {
    let bucket = |rate| Bucket::of(rate, mtu);
    let towards = match wanted.ingress.map(bucket) {
        Some(bucket) => seen.queues.root.is(&bucket),
        None => !seen.queues.root.is_ours(),
    };
    let from = match (wanted.egress.map(bucket), &seen.detour) {
        (Some(bucket), Some(detour)) => {
            detour.is_open(mtu) && seen.detour_root.is(&bucket) && seen.leads_to(detour.index)
        }
        (Some(_), None) => false,
        (None, detour) => detour.is_none() && seen.ours.is_empty(),
    };
    towards && from
}

/// Has what leaves through a device wait for this bucket; of what is not ours only
/// where there has to be one.
fn queue(
    socket: &mut Socket,
    index: u32,
    there: &Qdisc,
    wanted: Option<Bucket>,
) -> Result<(), NetlinkError> {
    match wanted {
        Some(bucket) if there.is(&bucket) => Ok(()),
        Some(bucket) => {
            // A handle cannot change what it stands for.
            if there.has_our_handle() && !there.is_ours() {
                perform(socket, request::no_bucket(index))?;
            }
            perform(socket, request::bucket(index, &bucket))
        }
        None if there.is_ours() => gone(perform(socket, request::no_bucket(index))),
        None => Ok(()),
    }
}

fn lead_around(
    socket: &mut Socket,
    index: u32,
    id: EndpointId,
    seen: &Seen,
    bucket: Bucket,
    mtu: u32,
) -> Result<(), NetlinkError> {
    let made;
    let detour = match &seen.detour {
        Some(detour) => detour,
        None => {
            perform(socket, request::detour(&device(id)))?;
            // Somebody else may have removed it meanwhile.
            made = seen::detour(socket, id)?.ok_or_else(missing)?;
            &made
        }
    };
    let there = detour.index;
    if !detour.is_open(mtu) {
        perform(socket, request::detour_is_plain(there))?;
        perform(socket, request::detour_is_up(there, mtu))?;
    }
    queue(socket, there, &seen.detour_root, Some(bucket))?;
    if seen.leads_to(there) {
        return Ok(());
    }
    if !seen.queues.hooks {
        perform(socket, request::hooks(index))?;
    }
    if !seen.ours.is_empty() {
        gone(perform(socket, request::no_redirect(index)))?;
    }
    perform(socket, request::redirect(index, there))
}

fn lead_straight(socket: &mut Socket, index: u32, seen: &Seen) -> Result<(), NetlinkError> {
    // A packet that is led to a device that is gone is lost: this goes first.
    if !seen.ours.is_empty() {
        gone(perform(socket, request::no_redirect(index)))?;
        if seen::is_bare(socket, index)? {
            gone(perform(socket, request::no_hooks(index)))?;
        }
    }
    match &seen.detour {
        Some(detour) => delete_device(socket, detour.index),
        None => Ok(()),
    }
}

fn delete_device(socket: &mut Socket, index: u32) -> Result<(), NetlinkError> {
    gone(perform(socket, message::delete(index)))
}

fn missing() -> NetlinkError {
    NetlinkError::Refused(Refusal {
        errno: Errno::NODEV,
        text: None,
    })
}

fn perform(socket: &mut Socket, request: RouteRequest) -> Result<(), NetlinkError> {
    socket.ask(request, &mut |_| {})
}

/// What is not there need not be removed.
fn gone(removed: Result<(), NetlinkError>) -> Result<(), NetlinkError> {
    match removed {
        Err(NetlinkError::Refused(refusal))
            if [Errno::NODEV, Errno::NOENT, Errno::INVAL].contains(&refusal.errno) =>
        {
            Ok(())
        }
        other => other,
    }
}

fn cannot(what: &'static str) -> impl Fn(NetlinkError) -> BandwidthError {
    move |source| BandwidthError { what, source }
}

#[cfg(test)]
mod tests;
