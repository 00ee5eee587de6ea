//! Our device is lost or set down, again and again.

use std::{thread, time::Duration};

use anyhow::{Result, ensure};
use tests::wait::patiently;

use super::{holds, lab, meanwhile, reached};

#[test]
fn a_device_that_vanishes_again_and_again() -> Result<()> {
    let lab = lab(2)?;
    let mut agents = lab.agents(&[])?;
    let host = lab.host(1);
    let gone: &[&str] = &["ip", "link", "del", "weft1"];
    let ((), times) = meanwhile(host, &[gone], || {
        for first in (3000..3300).step_by(50) {
            lab.lease_to(first..first + 50)?;
            thread::sleep(Duration::from_millis(200));
        }
        Ok(())
    })?;
    println!("deleted {times} times");
    ensure!(times > 5, "{times}");
    patiently("everything is there", || holds(host, 301))?;
    agents[0].ready()?;
    let (one, other) = (lab.container_on(1)?, lab.container_on(2)?);
    reached(&one, &other)
}

#[test]
fn a_device_that_is_set_down_again_and_again() -> Result<()> {
    let lab = lab(2)?;
    let mut agents = lab.agents(&[])?;
    let host = lab.host(1);
    let kept = lab.lease_to(3000..3020)?.len();
    let down: &[&str] = &["ip", "link", "set", "weft1", "down"];
    let ((), times) = meanwhile(host, &[down], || {
        for first in (3100..3200).step_by(20) {
            let leases = lab.lease_to(first..first + 20)?;
            thread::sleep(Duration::from_millis(100));
            lab.release(&leases[..10])?;
        }
        Ok(())
    })?;
    println!("set down {times} times");
    ensure!(times > 5, "{times}");
    patiently("everything is there", || holds(host, kept + 50 + 1))?;
    agents[0].ready()?;
    let (one, other) = (lab.container_on(1)?, lab.container_on(2)?);
    reached(&one, &other)
}
