//! A host's address on the underlay changes, and changes back.

use std::{
    net::IpAddr,
    ops::Range,
    time::{Duration, Instant},
};

use anyhow::Result;

use crate::{
    dice::Dice,
    lab::{UPLINK, after, by_hand::Underlay},
    soak::hosts::{
        diary::{Act, Loses},
        lease::Lease,
        spot::Spot,
        stage::Stage,
    },
};

/// From the number of a host to that of an address that nobody has.
const BESIDE: u32 = 100;
const STAYS_FOR: Range<Duration> = Duration::ZERO..Duration::from_secs(2);

pub fn address_changed(stage: &Stage, spot: &mut Spot, dice: &mut Dice) -> Result<()> {
    let _changing = stage.leases_change();
    let host = stage.host(spot.number);
    let own: IpAddr = match stage.plan.underlay {
        Underlay::V4 => host.v4().into(),
        Underlay::V6 => host.v6().into(),
    };
    let other = after(own, BESIDE);
    change(stage, spot, own, other)?;
    stage.sleep(dice.time(&STAYS_FOR));
    change(stage, spot, other, own)
}

fn change(stage: &Stage, spot: &mut Spot, before: IpAddr, now: IpAddr) -> Result<()> {
    let host = spot.number;
    let old = stage.lease(&stage.overlay.network, host)?;
    let new = Lease {
        underlay: now,
        ..old.clone()
    };
    let plan = stage.lab.plan;
    let (bits, how) = match now {
        IpAddr::V4(_) => (plan.prefix4(), ""),
        IpAddr::V6(_) => (plan.prefix6(), "nodad"),
    };
    let (what, loses) = (format!("h{host} from {before} to {now}"), Loses::Host(host));
    let doing = stage.begin(Act::AddressChanged, what, &[host], loses);
    let began = Instant::now();
    stage.host(host).ip(&[
        format!("addr add {now}/{bits} dev {UPLINK} {how}"),
        format!("addr del {before}/{bits} dev {UPLINK}"),
    ])?;
    stage.all_send(host, &old.mac, Some(now))?;
    stage.reach_all(host)?;
    stage.diary.healed(doing, began);
    stage.all_hold(host, Some(&new), Some(&old))?;
    spot.agent.ready()
}
