//! Containers by flannel's own CNI plugin: the agent keeps `subnet.env`, and what that
//! plugin makes of it (the reference `bridge` and `host-local`) is on the overlay. The
//! plugin itself is not among Debian's packages; it is small, and done here by hand.

use std::{
    collections::BTreeMap,
    fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::Path,
};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tests::{
    cni::{Attachment, List, REFERENCE, Runtime, addresses},
    lab::{Agent, Host, Lab, Namespace, Place},
    process,
    wait::patiently,
};

const POOLS: &str = "10.40.0.0/16,fd77:40::/48";

/// What flannel's plugin has the bridge plugin do.
fn delegated(env: &Path, data: &Path) -> Result<Value> {
    let text = fs::read_to_string(env).with_context(|| env.display().to_string())?;
    let pairs = text.lines().filter_map(|line| line.split_once('='));
    let pairs: BTreeMap<&str, &str> = pairs.collect();
    let said = |key: &str| {
        pairs
            .get(key)
            .copied()
            .with_context(|| format!("{key}: {text}"))
    };
    let ranges = ["FLANNEL_SUBNET", "FLANNEL_IPV6_SUBNET"].map(|key| {
        let subnet = subnet(said(key)?)?;
        anyhow::Ok(json!([{ "subnet": subnet }]))
    });
    let ranges: Vec<Value> = ranges.into_iter().collect::<Result<_>>()?;
    let routes =
        ["FLANNEL_NETWORK", "FLANNEL_IPV6_NETWORK"].map(|key| Ok(json!({ "dst": said(key)? })));
    let routes: Vec<Value> = routes.into_iter().collect::<Result<_>>()?;
    Ok(json!({
        "type": "bridge",
        "mtu": said("FLANNEL_MTU")?.parse::<u32>()?,
        "ipMasq": said("FLANNEL_IPMASQ")? == "false",
        "isGateway": true,
        "isDefaultGateway": true,
        "ipam": { "type": "host-local", "ranges": ranges, "routes": routes, "dataDir": data },
    }))
}

/// The subnet of an address in it.
fn subnet(text: &str) -> Result<String> {
    let (address, length) = text.split_once('/').context("a subnet")?;
    let bits: u32 = length.parse()?;
    let base: IpAddr = match address.parse()? {
        IpAddr::V4(v4) => Ipv4Addr::from_bits(v4.to_bits() & (!0 << (32 - bits))).into(),
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & (!0 << (128 - bits))).into(),
    };
    Ok(format!("{base}/{length}"))
}

struct Joined {
    agent: Agent,
    container: Namespace,
    result: Value,
}

fn come(lab: &Lab, host: &Host, directory: &Path) -> Result<Joined> {
    let env = directory.join(format!("{}/flannel/subnet.env", host.node()));
    let flag = env.to_str().context("a path is text")?;
    let agent = lab.agent(host.number, &["--subnet-env", flag])?;
    let conf = patiently("subnet.env is there", || {
        delegated(&env, &directory.join(host.node()))
    })?;
    let list = List::new("flannel", "1.0.0", &[conf]);
    let cache = directory.join(format!("{}-cache", host.node()));
    let place = Place::In((**host).clone());
    let runtime = Runtime::new(place, &[REFERENCE.as_ref()], &cache);
    let container = Namespace::new(format!("f{}", host.number))?;
    let netns = format!("/proc/{}/ns/net", container.pid());
    let result = runtime.add(&list, &Attachment::new(container.name(), netns))?;
    Ok(Joined {
        agent,
        container,
        result,
    })
}

#[test]
fn flannels_plugin_finds_all_it_needs() -> Result<()> {
    let mut lab = Lab::new(2)?;
    lab.start_controller(&["--default-network", POOLS])?;
    let directory = tempfile::Builder::new().prefix("weft-flannel-").tempdir()?;
    let one = come(&lab, lab.host(1), directory.path())?;
    let other = come(&lab, lab.host(2), directory.path())?;
    for address in addresses(&other.result) {
        patiently(&format!("{address} answers"), || {
            one.container
                .done(&["ping", "-c", "1", "-W", "1", &address])
        })?;
    }
    // Both would give the same addresses: Weft gives none.
    let netns = format!("/proc/{}/ns/net", one.container.pid());
    let socket = one.agent.socket().to_str().context("a path is text")?;
    let weft = process::weft("weft")?;
    let weft = weft.to_str().context("a path is text")?;
    let said = lab.host(1).run(&[
        weft,
        "attach",
        "--netns",
        &netns,
        "--interface",
        "eth1",
        "--socket",
        socket,
    ])?;
    ensure!(
        said.code != 0 && said.stderr.contains("--subnet-env"),
        "{said:?}"
    );

    // A network that was left is nobody's any more.
    let env = directory.path().join("h1/flannel/subnet.env");
    assert!(env.exists());
    let left = one.agent.run(&["leave", "default"])?;
    ensure!(left.code == 0, "{left:?}");
    patiently("subnet.env is gone", || {
        ensure!(!env.exists());
        Ok(())
    })
}
