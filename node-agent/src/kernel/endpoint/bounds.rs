//! How fast endpoints may be.

use overlay::endpoint::{Bandwidth, EndpointId};

use super::Links;
use crate::kernel::bandwidth::{self, BandwidthError, Bounded};

impl Links {
    /// Has an endpoint be as fast as it may be.
    pub fn shape(
        &mut self,
        id: EndpointId,
        bandwidth: &Bandwidth,
        mtu: u32,
    ) -> Result<(), BandwidthError> {
        match self.index.get(&id.device()) {
            Some(&index) => bandwidth::set(&mut self.socket, index, id, bandwidth, mtu).map(|_| ()),
            None => Ok(()),
        }
    }

    /// Has all endpoints be as fast as they may be, and no others be led around. Returns
    /// those for which that failed.
    pub fn keep_bounds(
        &mut self,
        all: impl Iterator<Item = (EndpointId, Bandwidth, u32)>,
    ) -> Result<Vec<(EndpointId, BandwidthError)>, BandwidthError> {
        let all: Vec<Bounded> = all
            .map(|(id, bandwidth, mtu)| Bounded {
                id,
                index: self.index.get(&id.device()).copied(),
                bandwidth,
                mtu,
            })
            .collect();
        bandwidth::keep(&mut self.socket, &all)
    }

    /// Removes what outlives the endpoint's own device.
    pub fn unshape(&mut self, id: EndpointId) -> Result<(), BandwidthError> {
        bandwidth::remove(&mut self.socket, id)
    }
}
