//! What the kernel and the disk of this host show.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use overlay::{
    datapath::{device, uplink::overhead},
    doctor::{Device, Facts, Network, Setting, Tunnel},
    subnet::Family,
};
use rustix::fs::statvfs;

use super::ground::Ground;
use crate::kernel::{
    KernelError,
    decode::link::Interface,
    features::features,
    forward::Forward,
    nft::{NftError, Table},
    offload::trust::{Trust, trusted_here},
    path::Paths,
};

pub fn look(mut facts: Facts, directory: &Path, grounds: &[Ground]) -> Result<Facts, KernelError> {
    facts.release = value("kernel/osrelease").unwrap_or_default();
    facts.features = features();
    let mut paths = Paths::open().map_err(KernelError::Netlink)?;
    let devices = paths.all().map_err(KernelError::Netlink)?;
    let by_name: BTreeMap<&str, &Interface> = devices
        .iter()
        .map(|device| (device.name.as_str(), device))
        .collect();
    for ground in grounds {
        let name = device::name(ground.vni);
        let uplink = ground.uplink.as_deref().and_then(|name| by_name.get(name));
        facts.networks.push(Network {
            name: ground.name.clone(),
            port: ground.port,
            vni: ground.vni.into(),
            device: by_name.get(name.as_str()).map(|device| Device {
                name,
                up: device.up,
                mtu: device.mtu,
            }),
            uplink_mtu: uplink.map(|uplink| uplink.mtu),
            overhead: overhead(ground.underlay),
            offload: ground.offload,
            distrust: ground
                .uplink
                .as_deref()
                .and_then(|uplink| match trusted_here(uplink) {
                    Trust::Yes => None,
                    Trust::No(why) => Some(why),
                }),
        });
    }
    let ours: BTreeSet<String> = grounds.iter().map(|one| device::name(one.vni)).collect();
    let tunnels = devices
        .iter()
        .filter_map(|device| Some((device, device.vxlan?)));
    let mut by_kernel = BTreeSet::new();
    for (device, vxlan) in tunnels {
        by_kernel.insert(vxlan.port);
        if !ours.contains(&device.name) {
            facts.tunnels.push(Tunnel {
                name: device.name.clone(),
                vni: vxlan.vni,
                port: vxlan.port,
            });
        }
    }
    facts.taken = &listening() - &by_kernel;
    facts.settings = settings(grounds);
    facts.spoiled = spoiled();
    facts.tracked =
        number("net/netfilter/nf_conntrack_count").zip(number("net/netfilter/nf_conntrack_max"));
    if let Err(error) = firewall(&mut facts) {
        facts.shut = vec![options::sentence(&error)];
    }
    facts.disk.room = match statvfs(directory) {
        // Some file systems have no bound of files.
        Ok(disk) if disk.f_files == 0 => Ok((disk.f_bavail * disk.f_frsize, u64::MAX)),
        Ok(disk) => Ok((disk.f_bavail * disk.f_frsize, disk.f_favail)),
        Err(errno) => Err(std::io::Error::from(errno).to_string()),
    };
    Ok(facts)
}

fn firewall(facts: &mut Facts) -> Result<(), NftError> {
    let mut table = Table::open()?;
    let filters = Forward::default().look(&mut table)?;
    let shut = filters
        .iter()
        .filter(|(_, seen)| seen.could_drop && seen.jumps != [1]);
    facts.shut = shut
        .map(|(filter, _)| format!("{filter}: FORWARD does not begin with the way for the overlay"))
        .collect();
    facts.closed = table.closed()?;
    Ok(())
}

fn settings(grounds: &[Ground]) -> Vec<Setting> {
    let mut settings = Vec::new();
    let mut want = |name: String, wanted: &str| {
        settings.push(Setting {
            value: value(&name),
            name: name.replace('/', "."),
            wanted: wanted.into(),
        });
    };
    let of = |family| {
        let carries = move |ground: &&Ground| ground.address(family).is_some();
        grounds.iter().filter(carries)
    };
    if of(Family::V4).next().is_some() {
        want("net/ipv4/ip_forward".into(), "1");
    }
    if of(Family::V6).next().is_some() {
        want("net/ipv6/conf/all/forwarding".into(), "1");
    }
    for device in of(Family::V6).map(|ground| device::name(ground.vni)) {
        let name = format!("net/ipv6/conf/{device}/disable_ipv6");
        // That the device is not there is another finding.
        if value(&name).is_some() {
            want(name, "0");
        }
    }
    settings
}

fn value(name: &str) -> Option<String> {
    let value = fs::read_to_string(Path::new("/proc/sys").join(name)).ok()?;
    Some(value.trim().to_owned())
}

fn number(name: &str) -> Option<u64> {
    value(name)?.parse().ok()
}

/// The ports of all UDP sockets here, the kernel's own too.
fn listening() -> BTreeSet<u16> {
    let tables = ["udp", "udp6"].map(|table| format!("/proc/thread-self/net/{table}"));
    let tables = tables.map(|table| fs::read_to_string(table).unwrap_or_default());
    let lines = tables.iter().flat_map(|table| table.lines().skip(1));
    let ports = lines.filter_map(|line| {
        let (_, port) = line.split_whitespace().nth(1)?.rsplit_once(':')?;
        u16::from_str_radix(port, 16).ok()
    });
    ports.collect()
}

/// Of both families.
fn spoiled() -> u64 {
    let v4 = fs::read_to_string("/proc/thread-self/net/snmp").unwrap_or_default();
    // Names and numbers are on lines of their own, one under the other.
    let lines: Vec<&str> = v4.lines().collect();
    let named = lines.chunks(2).filter_map(|pair| {
        let [names, numbers] = pair else { return None };
        let place = names.split(' ').position(|name| name == "InCsumErrors")?;
        let counted = ["Udp:", "Tcp:"].iter().any(|of| names.starts_with(of));
        numbers
            .split(' ')
            .nth(place)
            .filter(|_| counted)?
            .parse()
            .ok()
    });
    let v6 = fs::read_to_string("/proc/thread-self/net/snmp6").unwrap_or_default();
    let of_v6 = v6.lines().filter_map(|line| {
        let number = line.strip_prefix("Udp6InCsumErrors")?;
        number.trim().parse::<u64>().ok()
    });
    named.chain(of_v6).sum()
}
