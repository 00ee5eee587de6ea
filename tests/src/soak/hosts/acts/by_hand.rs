//! Somebody deletes or changes what is ours. It is put back at once, because the kernel
//! tells of it: the agents of a soak do not look by themselves.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::{
    dice::Dice,
    lab::{Host, Part, Picture, by_hand::Underlay},
    soak::hosts::{
        diary::{Act, Loses},
        spot::Spot,
        stage::Stage,
    },
    wait::patiently,
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
    let mut others = stage.inhabited();
    others.retain(|one| *one != spot.number);
    if others.is_empty() {
        return Ok(());
    }
    let peer = others[dice.below(others.len())];
    let acts = to_entries(stage, spot.number, peer)?;
    let (line, loses) = &acts[dice.below(acts.len())];
    put_back_within(stage, spot, Act::EntryChanged, line, *loses, |host| {
        let words: Vec<&str> = line.split_whitespace().collect();
        host.done(&words).map(drop)
    })
}

/// Commands, and who loses packets by them.
fn to_entries(stage: &Stage, number: u32, peer: u32) -> Result<Vec<(String, Loses)>> {
    let device = &stage.overlay.device;
    let lease = stage.lease(&stage.overlay.network, peer)?;
    let picture = Picture::of(stage.host(number), device)?;
    let hop = |part: Part| -> Result<Hop> {
        let mut routes = picture.part(part).as_array().into_iter().flatten();
        let to_it = |route: &&Value| lease.subnets.iter().any(|subnet| route["dst"] == **subnet);
        Hop::of(routes.find(to_it).context("a route to the peer")?)
    };
    let (four, six) = (hop(Part::Routes4)?, hop(Part::Routes6)?);
    let (to4, by4, metric4) = (&four.to, &four.gateway, four.metric);
    let (to6, by6, metric6) = (&six.to, &six.gateway, six.metric);
    let mac = &lease.mac;
    let nobody = match stage.plan.underlay {
        Underlay::V4 => "192.0.2.199",
        Underlay::V6 => "2001:db8:99::99",
    };
    let elsewhere = format!("via 10.255.0.1 dev {device} onlink proto 77 metric {metric4}");
    let another = format!("via 10.254.0.0 dev {device} onlink proto 77 metric 77");
    let of_the_peer = [
        format!("bridge fdb del {mac} dev {device}"),
        format!("bridge fdb replace {mac} dev {device} dst {nobody} self permanent"),
        format!("ip neigh del {by4} dev {device}"),
        format!("ip neigh del {by6} dev {device}"),
        format!("ip neigh replace {by4} lladdr 02:00:00:00:00:97 nud permanent dev {device}"),
        format!("ip -4 route del {to4} metric {metric4}"),
        format!("ip -6 route del {to6} metric {metric6}"),
        format!("ip -4 route replace {to4} {elsewhere}"),
    ];
    let of_nobody = [
        format!("bridge fdb add 02:00:00:00:00:98 dev {device} dst {nobody} self permanent"),
        "ip -4 route flush type unreachable proto 77".to_owned(),
        format!("ip -4 route add 10.254.0.0/24 {another}"),
    ];
    let of_all = [format!("ip route flush dev {device} proto 77")];
    let pair = of_the_peer.map(|line| (line, Loses::Pair(number, peer)));
    let nobody = of_nobody.map(|line| (line, Loses::Nobody));
    let all = of_all.map(|line| (line, Loses::Host(number)));
    Ok(pair.into_iter().chain(nobody).chain(all).collect())
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
            return ready(spot);
        }
        if laid.elapsed() > WITHIN {
            let since = now.since(&before);
            bail!("h{number}: {what}: not put back within {WITHIN:?}:\n{since}");
        }
        thread::sleep(AGAIN);
    }
}

fn ready(spot: &Spot) -> Result<()> {
    patiently(&format!("{} is ready", spot.name()), || {
        let answer = spot.agent.ops("/readyz")?;
        ensure!(answer.status == 200, "{}", answer.body);
        Ok(())
    })
}
