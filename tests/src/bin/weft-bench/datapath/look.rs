//! Everything is read and compared, and nothing is to be done.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use tests::{lab::Host, wait::patiently};

use super::{batch::DEVICE, cpu::Cpu, trial::Trial};
use crate::rate::middle;

const LOOKS: usize = 21;
/// Between looks an agent lets four times their length pass.
const REST: Duration = Duration::from_millis(600);
/// The same lists, printed.
const LISTS: [&[&str]; 4] = [
    &["bridge", "fdb", "show", "dev", DEVICE],
    &["ip", "neigh", "show", "dev", DEVICE, "nud", "permanent"],
    &["ip", "route", "show", "dev", DEVICE, "proto", "77"],
    &["nft", "list", "table", "inet", "weft"],
];

#[derive(Debug, Clone)]
pub struct Look {
    /// As the agent measured it.
    pub took: Duration,
    pub cpu: Duration,
    /// Commands that print the same, and how long each took.
    pub lists: Vec<(String, Duration)>,
}

/// Has the agent look by touching its device in a way that is no concern of its.
pub fn look(host: &Host, trial: &Trial) -> Result<Look> {
    let pid = trial.agent().pid()?;
    let (mut took, mut cpu) = (Vec::new(), Vec::new());
    let mut lists: Vec<Vec<Duration>> = vec![Vec::new(); LISTS.len()];
    for number in 0..LOOKS {
        thread::sleep(REST);
        let (count, sum) = trial.histogram("look_seconds")?;
        let before = Cpu::of(pid)?;
        host.ip(&[format!("link set {DEVICE} alias look-{number}")])?;
        thread::sleep(REST);
        cpu.push(Cpu::of(pid)?.since(&before));
        let looked = patiently("the agent looks", || {
            let (now, total) = trial.histogram("look_seconds")?;
            ensure!(now > count, "it has not looked");
            Ok((now - count, total - sum))
        })?;
        took.push(Duration::from_secs_f64(looked.1 / looked.0));
        for (list, took) in LISTS.iter().zip(&mut lists) {
            let began = Instant::now();
            host.done(list)?;
            took.push(began.elapsed());
        }
    }
    let names = LISTS.iter().map(|list| list.join(" "));
    Ok(Look {
        took: middle(took),
        cpu: middle(cpu),
        lists: names.zip(lists.into_iter().map(middle)).collect(),
    })
}
