//! Pings between all pairs of containers, in a matrix.

use std::{net::IpAddr, process::Command, thread};

use anyhow::{Context, Result, ensure};
use options::{Exit, table};
use tests::process::{self, Said};

use crate::{
    drawing::{self, ContainerRow},
    home::Home,
    words::Machine,
};

/// For each pair; a round trip is the mean of them.
const PINGS: &str = "3";

/// Whether all of them reach all others.
pub fn pings(home: &Home, is_ipv4: bool) -> Result<Exit> {
    let status = home.status()?;
    let mut all = drawing::container_rows(&status);
    all.sort_by_key(|one| one.container);
    ensure!(all.len() > 1, "there are no two containers in this lab");
    let row = |from: &ContainerRow<'_>| -> Result<Vec<Option<String>>> {
        let found = home.find(Machine::Container(from.container.to_owned()))?;
        let others = all.iter().map(|to| match to.container == from.container {
            true => Ok(Some("-".to_owned())),
            false => ping(found.pid, address(to, is_ipv4)?),
        });
        others.collect()
    };
    let rows = thread::scope(|scope| {
        let rows: Vec<_> = all.iter().map(|from| scope.spawn(|| row(from))).collect();
        let rows = rows.into_iter().map(|row| row.join().expect("no panic"));
        rows.collect::<Result<Vec<_>>>()
    })?;
    let names = all.iter().map(|one| one.container);
    let heads: Vec<&str> = ["ms"].into_iter().chain(names).collect();
    let cells = rows.iter().zip(&all).map(|(row, from)| {
        let cells = row
            .iter()
            .map(|cell| cell.as_deref().unwrap_or("lost").to_owned());
        [from.container.to_owned()]
            .into_iter()
            .chain(cells)
            .collect()
    });
    print!("{}", table::fitted(&heads, &[], cells, None));
    let reached = rows.iter().all(|row| row.iter().all(Option::is_some));
    Ok(if reached { Exit::Done } else { Exit::Failed })
}

fn address(of: &ContainerRow<'_>, is_ipv4: bool) -> Result<IpAddr> {
    let found = of.addresses.iter().find(|one| one.is_ipv4() == is_ipv4);
    let family = if is_ipv4 { "IPv4" } else { "IPv6" };
    found
        .copied()
        .with_context(|| format!("{} has no {family} address", of.container))
}

/// The mean round trip in milliseconds; none if one of them was lost.
fn ping(pid: u32, to: IpAddr) -> Result<Option<String>> {
    let mut command = Command::new("nsenter");
    command.args(["-t", &pid.to_string(), "-n", "--", "ping", "-n", "-q"]);
    command.args(["-c", PINGS, "-i", "0.05", "-W", "1", &to.to_string()]);
    let Said { stdout, .. } = process::said(command)?;
    if !stdout.contains(" 0% packet loss") {
        return Ok(None);
    }
    // "rtt min/avg/max/mdev = 0.050/0.070/0.100/0.020 ms"
    let times = stdout.lines().find_map(|line| line.strip_prefix("rtt "));
    let mean = times.and_then(|times| times.split('=').nth(1)?.split('/').nth(1));
    Ok(Some(mean.context(stdout.clone())?.trim().to_owned()))
}
