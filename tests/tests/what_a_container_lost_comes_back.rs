//! Of a container that is behind a bridge, bounded and published, anything in the
//! host's kernel may be deleted: it comes back, and does what it did.

use std::{
    io::{Read, Write},
    net::{IpAddr, SocketAddr, TcpListener, TcpStream},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tests::{
    lab::{Agent, Attached, Host, Lab, Namespace, ping, tcp},
    wait::patiently,
};

const POOLS: &str = "10.40.0.0/16,fd77:40::/48";
const FILTERS: [&str; 4] = [
    "iptables-legacy",
    "ip6tables-legacy",
    "iptables-nft",
    "ip6tables-nft",
];
/// Bits in a second, and so many bytes take at least that long; without a bound they
/// take a tenth of it.
const BOUND: &str = "20M";
const BYTES: u64 = 512 << 10;
const TAKE: Duration = Duration::from_millis(130);
const PATIENCE: Duration = Duration::from_secs(1);

struct Scene {
    web: Attached,
    far: Attached,
    outside: Namespace,
    agents: Vec<Agent>,
    lab: Lab,
}

fn scene() -> Result<Scene> {
    let mut lab = Lab::new(2)?;
    lab.start_controller(&["--default-network", POOLS])?;
    let agents = lab.agents(&["--bridge", "default", "--look-every", "1s"])?;
    let host = lab.host(1);
    for filter in FILTERS {
        host.done(&[filter, "-P", "FORWARD", "DROP"])?;
    }
    let web = agents[0].attached_with("web", |asked| {
        asked.bandwidth = BOUND.parse().expect("a rate");
        asked.publish = vec!["8080:80".parse().expect("a port")];
    })?;
    let far = agents[1].attached("far")?;
    let listener = web.inside(|| Ok(TcpListener::bind("[::]:80")?))?;
    thread::spawn(move || {
        for mut client in listener.incoming().flatten() {
            let _ = client.write_all(b"here");
        }
    });
    Ok(Scene {
        web,
        far,
        outside: lab.stranger(77)?,
        agents,
        lab,
    })
}

impl Scene {
    fn host(&self) -> &Host {
        self.lab.host(1)
    }

    fn detour(&self) -> String {
        format!("wb{}", self.web.words.endpoint.id())
    }

    /// What the kernel has of it, without the numbers that it gives by itself.
    fn kernel(&self) -> Result<Vec<String>> {
        let device = &self.web.words.device;
        let mut kernel = Vec::new();
        for device in [device, &self.detour()] {
            let queues = self
                .host()
                .json(&["tc", "-j", "qdisc", "show", "dev", device])?;
            let queues = queues.as_array().context("a list of queues")?.iter();
            kernel.extend(
                queues.map(|queue| {
                    format!("{device} {} {}", queue["kind"], queue["options"]["rate"])
                }),
            );
            let filters = self
                .host()
                .done(&["tc", "filter", "show", "dev", device, "ingress"])?;
            let redirects = filters.lines().filter(|line| line.contains("mirred"));
            kernel.extend(redirects.map(str::to_owned));
        }
        let links = self.host().json(&["ip", "-j", "-d", "addr"])?;
        let links = links.as_array().context("a list of links")?.iter();
        let name = |link: &Value| link["ifname"].as_str().unwrap_or_default().to_owned();
        let ours = links.filter(|link| name(link).starts_with('w') && name(link) != "weft1");
        let mut ours: Vec<&Value> = ours.collect();
        ours.sort_by_key(|link| name(link));
        kernel.extend(ours.into_iter().map(|link| {
            let addresses = link["addr_info"].as_array().into_iter().flatten();
            let mut addresses: Vec<String> = addresses
                .map(|one| format!("{}/{}", one["local"], one["prefixlen"]))
                .collect();
            addresses.sort();
            format!(
                "{} {} {} {addresses:?}",
                name(link),
                link["mtu"],
                link["master"]
            )
        }));
        let table = "nft --stateless list table inet weft";
        kernel.push(self.host().done(&table.split(' ').collect::<Vec<_>>())?);
        for filter in FILTERS {
            for chain in ["FORWARD", "WEFT-FORWARD"] {
                kernel.push(self.host().done(&[filter, "-S", chain])?);
            }
        }
        Ok(kernel)
    }

    fn works(&self) -> Result<()> {
        for &address in self.web.addresses() {
            for from in [&*self.far, self.host()] {
                let pings = ping(from, address, 1)?;
                ensure!(pings.lost() == 0, "{address}: {}", pings.said.stdout);
            }
        }
        let uplinks: [IpAddr; 2] = [self.host().v4().into(), self.host().v6().into()];
        for at in uplinks {
            let place = SocketAddr::new(at, 8080);
            let said = self.outside.inside(|| {
                let mut stream = TcpStream::connect_timeout(&place, PATIENCE)?;
                stream.set_read_timeout(Some(PATIENCE))?;
                let mut said = String::new();
                stream.read_to_string(&mut said)?;
                Ok(said)
            });
            ensure!(said.with_context(|| place.to_string())? == "here");
        }
        Ok(())
    }

    /// In both directions.
    fn is_bounded(&self) -> Result<()> {
        for (from, to) in [(&self.web, &self.far), (&self.far, &self.web)] {
            let began = Instant::now();
            tcp(from, to, to.addresses()[0], BYTES)?;
            let took = began.elapsed();
            ensure!(took > TAKE, "from {}: {took:?}", from.name());
        }
        Ok(())
    }
}

#[test]
fn one_after_the_other() -> Result<()> {
    let scene = scene()?;
    let host = scene.host();
    let before = patiently("it works", || {
        scene.works()?;
        scene.kernel()
    })?;
    scene.is_bounded()?;
    let (device, detour) = (&scene.web.words.device, scene.detour());
    let bridge = host.json(&["ip", "-j", "link", "show", device])?;
    let bridge = bridge[0]["master"].as_str().context("a bridge")?.to_owned();
    let addresses = host.json(&["ip", "-j", "addr", "show", &bridge])?;
    let address = |family: &str| -> Result<String> {
        let mut all = addresses[0]["addr_info"].as_array().into_iter().flatten();
        let of_it = |one: &&Value| one["family"] == family && one["scope"] == "global";
        let one = all.find(of_it).context("an address")?;
        let local = one["local"].as_str().context("an address")?;
        Ok(format!("{local}/{}", one["prefixlen"]))
    };
    let (four, six) = (address("inet")?, address("inet6")?);
    let mut acts = vec![
        format!("ip link del {detour}"),
        format!("ip link set {detour} down"),
        format!("tc qdisc del dev {detour} root"),
        format!("tc qdisc del dev {device} root"),
        format!("tc qdisc del dev {device} clsact"),
        format!("tc filter del dev {device} ingress"),
        format!("ip addr del {four} dev {bridge}"),
        format!("ip addr del {six} dev {bridge}"),
        format!("ip link set {bridge} down"),
        format!("ip link set {device} nomaster"),
        format!("ip link del {bridge}"),
        format!("ip link del {device}"),
        "nft delete element inet weft pub4 { tcp . 8080 }".into(),
        "nft flush map inet weft pub6".into(),
        "nft delete table inet weft".into(),
    ];
    for filter in FILTERS {
        acts.push(format!("{filter} -D FORWARD 1"));
        acts.push(format!("{filter} -F WEFT-FORWARD"));
        acts.push(format!(
            "{filter} -F FORWARD; {filter} -F WEFT-FORWARD; {filter} -X WEFT-FORWARD"
        ));
    }
    for act in acts {
        host.done(&["sh", "-ec", &act])?;
        patiently(&format!("after {act}"), || {
            let now = scene.kernel()?;
            ensure!(now == before, "{now:#?} instead of {before:#?}");
            scene.works()
        })?;
        let is_of_bounds = act.starts_with("tc") || act.starts_with("ip link");
        if is_of_bounds {
            scene.is_bounded().with_context(|| act.clone())?;
        }
    }
    let findings: Vec<Value> = scene.agents[0]
        .client()
        .ask("POST", "/ipam/check", None::<&()>)?;
    ensure!(findings.is_empty(), "{findings:?}");
    Ok(())
}
