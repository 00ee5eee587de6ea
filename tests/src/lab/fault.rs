//! What befalls the network between the machines of a lab.

use anyhow::Result;

use super::Lab;

impl Lab {
    /// Pulls the cable of a host. Its device has no carrier; unlike one that is set
    /// down by `ip` it keeps its IPv6 addresses.
    pub fn uplink_down(&self, host: u32) -> Result<()> {
        self.switch.unplug(self.host(host).number)
    }

    pub fn uplink_up(&self, host: u32) -> Result<()> {
        self.switch.plug(self.host(host).number)
    }

    /// Neither of two hosts hears of the other, while both have all others.
    pub fn cut(&self, one: u32, other: u32) -> Result<()> {
        self.switch.cut(one, other)
    }

    /// Nothing of the one host arrives at the other.
    pub fn cut_one_way(&self, from: u32, to: u32) -> Result<()> {
        self.switch.cut_one_way(from, to)
    }

    /// The host has all other hosts, and no controller.
    pub fn cut_from_controllers(&self, host: u32) -> Result<()> {
        let controllers = (0..).take(self.controllers.len());
        for index in controllers {
            self.switch.cut(host, self.plan.controller(index))?;
        }
        Ok(())
    }

    /// Large packets of the one host do not arrive at the other.
    pub fn hole(&self, from: u32, to: u32) -> Result<()> {
        self.switch.hole(from, to)
    }

    /// One packet of six between two hosts is lost.
    pub fn lossy(&self, one: u32, other: u32) -> Result<()> {
        self.switch.lossy(one, other)
    }

    /// Undoes every cut, hole and loss.
    pub fn heal(&self) -> Result<()> {
        self.switch.heal()
    }

    /// The uplink of a host carries no more than this, such as "10mbit", either way.
    pub fn slow(&self, host: u32, rate: &str) -> Result<()> {
        self.switch.slow(host, self.host(host), rate)
    }

    pub fn fast(&self, host: u32) -> Result<()> {
        self.switch.fast(host, self.host(host))
    }
}
