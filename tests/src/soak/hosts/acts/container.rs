//! A container comes, is heard, and goes.

use anyhow::{Result, ensure};

use crate::{
    dice::Dice,
    lab::ping,
    soak::hosts::{
        diary::{Act, Loses},
        spot::Spot,
        stage::Stage,
    },
    wait::patiently,
};

pub fn comes_and_goes(stage: &Stage, spot: &mut Spot, dice: &mut Dice) -> Result<()> {
    let host = spot.number;
    let container = stage.container(host, &stage.overlay.network)?;
    let what = format!("{} on h{host}", container.name());
    let doing = stage.begin(Act::ContainerComesAndGoes, what, &[host], Loses::Nobody);
    let homes = stage.homes();
    let hosts: Vec<u32> = homes.keys().copied().collect();
    let other = &homes[&hosts[dice.below(hosts.len())]][0];
    for (from, to) in [(&container, other), (other, &container)] {
        for address in &to.addresses {
            patiently(&format!("{} reaches {address}", from.name()), || {
                let pings = ping(from, *address, 1)?;
                ensure!(pings.lost() == 0, "{}", pings.said.stdout);
                Ok(())
            })?;
        }
    }
    let device = container.device.clone();
    drop(container);
    patiently(&format!("{device} is gone"), || {
        let shown = stage.host(host).run(&["ip", "link", "show", &device])?;
        ensure!(shown.code != 0, "{}", shown.stdout);
        Ok(())
    })?;
    stage.diary.end(doing);
    Ok(())
}
