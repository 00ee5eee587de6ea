//! Somebody deletes or changes what is ours. It is put back at once, because the kernel
//! tells of it: the agents of a soak do not look by themselves.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use serde_json::Value;

use crate::{
    dice::Dice,
    lab::{Host, Part, Picture, by_hand::Underlay},
    soak::hosts::{
        diary::{Act, Loses},
        spot::Spot,
        stage::Stage,
    },
};

/// 100 ms are promised; a machine that does all the rest besides is granted more, and
/// the report says what it took.
const WITHIN: Duration = Duration::from_secs(10);
const AGAIN: Duration = Duration::from_millis(5);

pub fn device(stage: &Stage, spot: &mut Spot, dice: &mut Dice) -> Result<()> {
    let device = &stage.overlay.device;
    let all = Loses::Host(spot.number);
    let acts = [
        (format!("link del {device}"), all),
        (format!("link set {device} down"), all),
        (format!("link set {device} address 02:00:00:00:00:99"), all),
        (format!("link set {device} mtu 1300"), Loses::Nobody),
        (format!("link set {device} name other0"), all),
        (
            format!(
                "link set {device} type vxlan id {} learning",
                stage.overlay.vni
            ),
            Loses::Nobody,
        ),
        (format!("-4 addr flush dev {device}"), all),
        (format!("-6 addr flush dev {device}"), all),
    ];
    let (line, loses) = acts[dice.below(acts.len())].clone();
    let lay = |host: &Host| {
        let words: Vec<&str> = line.split_whitespace().collect();
        host.done(&[&["ip"], &words[..]].concat()).map(drop)
    };
    put_back(stage, spot, Act::DeviceChanged, &line, loses, lay)
}

pub fn entry(stage: &Stage, spot: &mut Spot, dice: &mut Dice) -> Result<()> {
    let _staying = stage.leases_stay();
    let (number, device) = (spot.number, &stage.overlay.device);
    let others: Vec<u32> = stage
        .inhabited()
        .into_iter()
        .filter(|one| *one != number)
        .collect();
    if others.is_empty() {
        return Ok(());
    }
    let peer = others[dice.below(others.len())];
    let lease = stage.lease(&stage.overlay.network, peer)?;
    let picture = Picture::of(stage.host(number), device)?;
    let route = |part: Part| -> Result<Hop> {
        let routes = picture.part(part).as_array().into_iter().flatten();
        let to_it = |route: &&Value| lease.subnets.iter().any(|subnet| route["dst"] == **subnet);
        Hop::of(routes.clone().find(to_it).context("a route to the peer")?)
    };
    let (four, six) = (route(Part::Routes4)?, route(Part::Routes6)?);
    let mac = &lease.mac;
    let bridge = |rest: String| vec!["bridge fdb ".to_owned() + &rest];
    let ip = |rest: String| vec!["ip ".to_owned() + &rest];
    let hurts = Loses::Pair(number, peer);
    let nobody = match stage.plan.underlay {
        Underlay::V4 => "192.0.2.199",
        Underlay::V6 => "2001:db8:99::99",
    };
    let acts = [
        (bridge(format!("del {mac} dev {device}")), hurts),
        (
            bridge(format!(
                "replace {mac} dev {device} dst {nobody} self permanent"
            )),
            hurts,
        ),
        (
            bridge(format!(
                "add 02:00:00:00:00:98 dev {device} dst {nobody} self permanent"
            )),
            Loses::Nobody,
        ),
        (
            ip(format!("neigh del {} dev {device}", four.gateway)),
            hurts,
        ),
        (ip(format!("neigh del {} dev {device}", six.gateway)), hurts),
        (
            ip(format!(
                "neigh replace {} lladdr 02:00:00:00:00:97 nud permanent dev {device}",
                four.gateway
            )),
            hurts,
        ),
        (
            ip(format!("-4 route del {} metric {}", four.to, four.metric)),
            hurts,
        ),
        (
            ip(format!("-6 route del {} metric {}", six.to, six.metric)),
            hurts,
        ),
        (
            ip(format!(
                "-4 route replace {} via 10.255.0.1 dev {device} onlink proto 77 metric {}",
                four.to, four.metric
            )),
            hurts,
        ),
        (
            ip("-4 route flush type unreachable proto 77".to_owned()),
            Loses::Nobody,
        ),
        (
            ip(format!(
                "-4 route add 10.254.0.0/24 via 10.254.0.0 dev {device} onlink proto 77 metric 77"
            )),
            Loses::Nobody,
        ),
        (
            ip(format!("route flush dev {device} proto 77")),
            Loses::Host(number),
        ),
    ];
    let (lines, loses) = acts[dice.below(acts.len())].clone();
    put_back_within(
        stage,
        spot,
        Act::EntryChanged,
        &lines.join("; "),
        loses,
        |host| {
            for line in &lines {
                let words: Vec<&str> = line.split_whitespace().collect();
                host.done(&words)?;
            }
            Ok(())
        },
    )
}

pub fn firewall(stage: &Stage, spot: &mut Spot, dice: &mut Dice) -> Result<()> {
    let host = Loses::Host(spot.number);
    let peers = match stage.plan.underlay {
        Underlay::V4 => "peers4",
        Underlay::V6 => "peers6",
    };
    let acts = [
        ("delete table inet weft".to_owned(), Loses::Nobody),
        ("flush ruleset".to_owned(), Loses::Nobody),
        ("flush chain inet weft known".to_owned(), Loses::Nobody),
        ("insert rule inet weft known drop".to_owned(), host),
        (format!("flush set inet weft {peers}"), host),
        (
            "add element inet weft peers4 { 203.0.113.9 }".to_owned(),
            Loses::Nobody,
        ),
        ("add chain inet weft other".to_owned(), Loses::Nobody),
    ];
    let (line, loses) = acts[dice.below(acts.len())].clone();
    let lay = |host: &Host| host.nft(&line);
    put_back(
        stage,
        spot,
        Act::FirewallChanged,
        &format!("nft {line}"),
        loses,
        lay,
    )
}

/// A route to a peer's subnet.
struct Hop {
    to: String,
    gateway: String,
    metric: u64,
}

impl Hop {
    fn of(route: &Value) -> Result<Self> {
        let text = |field: &str| route[field].as_str().unwrap_or_default().to_owned();
        Ok(Self {
            to: text("dst"),
            gateway: text("gateway"),
            metric: route["metric"].as_u64().context("a metric")?,
        })
    }
}

fn put_back(
    stage: &Stage,
    spot: &Spot,
    act: Act,
    what: &str,
    loses: Loses,
    lay: impl FnOnce(&Host) -> Result<()>,
) -> Result<()> {
    let _staying = stage.leases_stay();
    put_back_within(stage, spot, act, what, loses, lay)
}

/// Leases must stay as they are meanwhile.
fn put_back_within(
    stage: &Stage,
    spot: &Spot,
    act: Act,
    what: &str,
    loses: Loses,
    lay: impl FnOnce(&Host) -> Result<()>,
) -> Result<()> {
    let (number, host) = (spot.number, stage.host(spot.number));
    let device = &stage.overlay.device;
    let before = Picture::of(host, device)?;
    let doing = stage.begin(act, format!("h{number}: {what}"), &[number], loses);
    let laid = Instant::now();
    lay(host)?;
    loop {
        let now = Picture::of(host, device)?;
        if now == before {
            stage.diary.healed(doing, laid);
            return spot_ready(stage, spot);
        }
        if laid.elapsed() > WITHIN {
            let since = now.since(&before);
            anyhow::bail!("h{number}: {what}: not put back within {WITHIN:?}:\n{since}");
        }
        thread::sleep(AGAIN);
    }
}

fn spot_ready(_: &Stage, spot: &Spot) -> Result<()> {
    crate::wait::patiently(&format!("{} is ready", spot.name()), || {
        let answer = spot.agent.ops("/readyz")?;
        anyhow::ensure!(answer.status == 200, "{}", answer.body);
        Ok(())
    })
}
