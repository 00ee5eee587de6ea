//! What a support bundle takes from a host: `GET /kernel`, what of it is ours in the kernel,
//! as text; `GET /options`, the options in force, without secrets.

use std::{collections::BTreeMap, fs, sync::Arc};

use axum::{
    Router,
    extract::State as With,
    http::header,
    response::{IntoResponse, Response},
    routing::get,
};
use overlay::{
    datapath::observed::{Hop, Observed},
    record::Mac,
};

use crate::{
    kernel::{Kernel, decode::link::Interface, path::Paths},
    local::json,
};

/// Of more of a kind their number is told: an answer has an end.
const MOST: usize = 10_000;
/// Whatever else decides where packets go.
const SETTINGS: [&str; 15] = [
    "net/ipv4/ip_forward",
    "net/ipv4/conf/all/forwarding",
    "net/ipv4/conf/all/rp_filter",
    "net/ipv4/conf/default/rp_filter",
    "net/ipv4/conf/all/arp_ignore",
    "net/ipv4/neigh/default/gc_thresh3",
    "net/ipv6/conf/all/disable_ipv6",
    "net/ipv6/conf/all/forwarding",
    "net/ipv6/conf/default/accept_ra",
    "net/ipv6/neigh/default/gc_thresh3",
    "net/ipv6/route/max_size",
    "net/bridge/bridge-nf-call-iptables",
    "net/bridge/bridge-nf-call-ip6tables",
    "net/netfilter/nf_conntrack_count",
    "net/netfilter/nf_conntrack_max",
];
const OF_DEVICES: [&str; 3] = [
    "net/ipv4/conf/*/rp_filter",
    "net/ipv4/conf/*/forwarding",
    "net/ipv6/conf/*/disable_ipv6",
];
const HOST: [&str; 4] = [
    "/proc/version",
    "/etc/os-release",
    "/proc/uptime",
    "/proc/loadavg",
];

#[derive(Clone)]
pub struct Support {
    /// This host's.
    pub mac: Mac,
    pub in_force: Arc<str>,
}

pub fn routes(support: Support) -> Router {
    Router::new()
        .route("/kernel", get(kernel))
        .route("/options", get(options))
        .with_state(support)
}

async fn options(With(support): With<Support>) -> Response {
    text(support.in_force.to_string())
}

async fn kernel(With(support): With<Support>) -> Response {
    let looked = tokio::task::spawn_blocking(move || look(support.mac)).await;
    match looked
        .map_err(anyhow::Error::from)
        .and_then(|looked| looked)
    {
        Ok(page) => text(page),
        Err(error) => json::refused(&json::broken(&error)),
    }
}

fn text(text: String) -> Response {
    ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], text).into_response()
}

/// By sockets of its own: what the agent wants there plays no part in it.
fn look(mac: Mac) -> anyhow::Result<String> {
    let devices = Paths::open()?.all()?;
    let observed = Kernel::open()?.look(&[], mac)?;
    Ok(page(&devices, &observed))
}

fn page(devices: &[Interface], observed: &Observed) -> String {
    let mut page = Page(String::new());
    let names: BTreeMap<u32, &str> = devices
        .iter()
        .map(|device| (device.index, device.name.as_str()))
        .collect();
    let name = |index: u32| names.get(&index).copied().unwrap_or("(gone)");
    page.part("devices", devices, |device| {
        let Interface {
            index,
            name: own,
            mtu,
            ..
        } = device;
        let up = if device.up { "up" } else { "down" };
        let mac = device.mac.map_or("no MAC".into(), |mac| mac.to_string());
        let master = device.master.map_or("none", name);
        format!("{index}: {own} {up} mtu {mtu} address {mac} master {master}")
    });
    page.part("VXLAN devices", &observed.links, |link| {
        let vxlan = &link.vxlan;
        let local = vxlan.local.map_or("none".into(), |local| local.to_string());
        let lower = vxlan.lower.map_or("none", name);
        format!(
            "{} id {} dstport {} local {local} dev {lower} learning {} checksums by hardware {:?}",
            link.name, vxlan.vni, vxlan.port, vxlan.learning, link.offload
        )
    });
    page.part("addresses of Weft's devices", &observed.addresses, |held| {
        format!("{}/{} dev {}", held.address, held.length, name(held.index))
    });
    page.part("routes", &observed.routes, |route| {
        let hop = match route.hop {
            Hop::Gateway {
                gateway,
                device,
                onlink,
            } => {
                let onlink = if onlink { " onlink" } else { "" };
                format!("via {gateway} dev {}{onlink}", name(device))
            }
            Hop::Device(device) => format!("dev {}", name(device)),
            Hop::Unreachable => "unreachable".into(),
            Hop::Other => "(another kind of hop)".into(),
        };
        let (subnet, protocol, metric) = (route.subnet, route.protocol, route.metric);
        format!("{subnet} {hop} proto {protocol} metric {metric}")
    });
    page.part("forwarding entries", &observed.fdb, |entry| {
        let to = entry.to.map_or("nowhere".into(), |to| to.to_string());
        let plain = if entry.plain {
            ""
        } else {
            " (not as Weft makes them)"
        };
        format!("{} dst {to} dev {}{plain}", entry.mac, name(entry.index))
    });
    page.part("neighbours", &observed.neighbours, |neighbour| {
        let mac = neighbour.mac.map_or("nobody".into(), |mac| mac.to_string());
        let kind = if neighbour.permanent {
            "permanent"
        } else {
            "learnt"
        };
        let device = name(neighbour.index);
        format!("{} lladdr {mac} dev {device} {kind}", neighbour.address)
    });
    match &observed.firewall {
        None => page.part("table inet weft", ["it is not there"], ToString::to_string),
        Some(seen) => {
            page.part(
                "table inet weft: sources",
                &seen.sources,
                ToString::to_string,
            );
            page.part(
                "table inet weft: published ports",
                &seen.published,
                |port| format!("{port:?}"),
            );
        }
    }
    page.part("others' packet filters", [&observed.filters], |filters| {
        format!("{filters:?}")
    });
    let ours = devices.iter().map(|device| device.name.as_str());
    let ours = ours.filter(|name| name.starts_with("weft"));
    let of_devices = ours.flat_map(|name| OF_DEVICES.map(|path| path.replace('*', name)));
    let settings = SETTINGS.iter().map(ToString::to_string).chain(of_devices);
    let settings: Vec<String> = settings.collect();
    page.part("settings", &settings, |path| {
        let value = fs::read_to_string(format!("/proc/sys/{path}"));
        let value = value.map_or_else(|error| format!("({error})"), |value| value.trim().into());
        format!("{} = {value}", path.replace('/', "."))
    });
    page.part("the host", HOST, |path| {
        let value = fs::read_to_string(path);
        value.map_or_else(
            |error| format!("{path}: {error}"),
            |value| value.trim().into(),
        )
    });
    page.0
}

struct Page(String);

impl Page {
    fn part<T>(
        &mut self,
        title: &str,
        things: impl IntoIterator<Item = T>,
        line: impl Fn(T) -> String,
    ) {
        let mut things = things.into_iter();
        let mut add = |text: String| self.0.push_str(&text);
        add(format!("# {title}\n"));
        for thing in things.by_ref().take(MOST) {
            add(line(thing) + "\n");
        }
        let more = things.count();
        if more > 0 {
            add(format!("and {more} more\n"));
        }
        add("\n".into());
    }
}
