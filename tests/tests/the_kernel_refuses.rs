//! A kernel that refuses, forgets, interrupts or loses answers: what can be done is
//! done, what cannot is named with the kernel's own words, and as soon as it can, it is.

#[path = "the_kernel_refuses/answer.rs"]
mod answer;
#[path = "the_kernel_refuses/conflict.rs"]
mod conflict;
#[path = "the_kernel_refuses/device.rs"]
mod device;

use std::{
    process::Command,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
};

use anyhow::{Result, ensure};
use serde_json::Value;
use tests::{
    lab::{Container, Host, Lab, Part, ping},
    wait::patiently,
};

/// For thousands of small subnets.
const POOLS: &str = "10.32.0.0/12,fd77:40::/48";

fn lab(hosts: u32) -> Result<Lab> {
    let mut lab = Lab::new(hosts)?;
    lab.start_controller(&["--default-network", POOLS])?;
    Ok(lab)
}

/// Everything is there for so many peers, of both families, and nothing else.
fn holds(host: &Host, peers: usize) -> Result<()> {
    let of_ours = |part: Part, seen: &Value| {
        let entries = seen.as_array().cloned().unwrap_or_default();
        let ours = entries.iter().filter(|entry| match part {
            Part::Routes4 | Part::Routes6 => entry["protocol"] == "77" && entry["dev"] == "weft1",
            _ => true,
        });
        ours.count()
    };
    host.inside(|| {
        let expected = [
            (Part::Fdb, peers),
            (Part::Neighbours, 2 * peers),
            (Part::Routes4, peers),
            (Part::Routes6, peers),
            (Part::Addresses, 2),
        ];
        for (part, expected) in expected {
            let seen = part.seen("weft1")?;
            let count = of_ours(part, &seen);
            ensure!(count == expected, "{part:?}: {count} instead of {expected}");
        }
        Ok(())
    })
}

/// In both families; a container that was made just now may need a moment.
fn reached(from: &Container, to: &Container) -> Result<()> {
    patiently("a ping comes back", || {
        for address in &to.addresses {
            let pings = ping(from, *address, 1)?;
            ensure!(pings.lost() == 0, "{}", pings.said.stdout);
        }
        Ok(())
    })
}

/// Somebody who does this again and again on a host until the work is done; how often.
fn meanwhile<T>(
    host: &Host,
    commands: &[&[&str]],
    work: impl FnOnce() -> Result<T>,
) -> Result<(T, u64)> {
    let (ended, times) = (AtomicBool::new(false), AtomicU64::new(0));
    let done = thread::scope(|scope| {
        let again = || {
            host.inside(|| {
                while !ended.load(Ordering::Relaxed) {
                    for command in commands {
                        let done = Command::new(command[0]).args(&command[1..]).output()?;
                        // What is not there just now cannot be done.
                        times.fetch_add(u64::from(done.status.success()), Ordering::Relaxed);
                    }
                }
                Ok(())
            })
        };
        let other = scope.spawn(again);
        let done = work();
        ended.store(true, Ordering::Relaxed);
        other.join().expect("it does not panic")?;
        done
    });
    Ok((done?, times.into_inner()))
}
