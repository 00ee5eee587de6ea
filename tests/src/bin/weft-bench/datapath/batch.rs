//! The entries of an agent, added by iproute2: what the kernel asks for them from
//! somebody who knows them already.

use std::{
    fmt::Write,
    fs,
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use tests::lab::{Host, UPLINK};

/// The device of the first network.
pub const DEVICE: &str = "weft1";

/// Lines for `bridge -batch` and `ip -batch`.
pub struct Batch {
    bridge: PathBuf,
    ip: PathBuf,
    /// The same with one metric for all routes.
    one_metric: PathBuf,
}

#[derive(Debug, Clone, Copy)]
pub enum Metrics {
    Each,
    One,
}

impl Batch {
    /// What an agent has programmed on this host.
    pub fn of(host: &Host) -> Result<Self> {
        let mut bridge = String::new();
        for entry in host
            .done(&["bridge", "fdb", "show", "dev", DEVICE])?
            .lines()
        {
            let (mac, rest) = entry.trim().split_once(' ').context("an FDB entry")?;
            writeln!(bridge, "fdb add {mac} dev {DEVICE} {rest}")?;
        }
        let mut neighbours = String::new();
        let permanent = ["ip", "neigh", "show", "dev", DEVICE, "nud", "permanent"];
        for neighbour in host.done(&permanent)?.lines() {
            let entry = neighbour.trim().strip_suffix("PERMANENT");
            let entry = entry.with_context(|| format!("a neighbour: {neighbour}"))?;
            writeln!(neighbours, "neigh add {entry} dev {DEVICE} nud permanent")?;
        }
        let (mut each, mut one) = (neighbours.clone(), neighbours);
        let routes = host.done(&["ip", "route", "show", "dev", DEVICE, "proto", "77"])?;
        for route in routes.lines() {
            let words: Vec<&str> = route.split_whitespace().collect();
            let [subnet, "via", gateway, "metric", metric, "onlink"] = words[..] else {
                anyhow::bail!("a route: {route}");
            };
            let route = format!("route add {subnet} via {gateway} dev {DEVICE} onlink proto 77");
            writeln!(each, "{route} metric {metric}")?;
            writeln!(one, "{route}")?;
        }
        let write = |name: &str, lines: String| {
            fs::create_dir_all(host.directory())?;
            let path = host.directory().join(name);
            fs::write(&path, lines)?;
            anyhow::Ok(path)
        };
        Ok(Self {
            bridge: write("bridge", bridge)?,
            ip: write("ip", each)?,
            one_metric: write("ip-one-metric", one)?,
        })
    }

    /// On another host, with a new device.
    pub fn run(&self, host: &Host, metrics: Metrics) -> Result<Duration> {
        host.ip(&[
            format!(
                "link add {DEVICE} mtu 1450 type vxlan id 1 local {} dstport 4789 nolearning \
                 dev {UPLINK}",
                host.v4()
            ),
            format!("link set {DEVICE} addrgenmode none up"),
            format!("addr add 192.168.0.1/32 dev {DEVICE}"),
        ])?;
        let ip = match metrics {
            Metrics::Each => &self.ip,
            Metrics::One => &self.one_metric,
        };
        let (bridge, ip) = (self.bridge.to_string_lossy(), ip.to_string_lossy());
        let began = Instant::now();
        host.done(&["bridge", "-batch", &bridge])?;
        host.done(&["ip", "-batch", &ip])?;
        let took = began.elapsed();
        host.ip(&[format!("link delete {DEVICE}")])?;
        Ok(took)
    }
}
