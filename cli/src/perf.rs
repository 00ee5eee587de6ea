//! `weft perf`: throughput, latency and packets from one node to another, over the overlay
//! and by the underlay alone.

use std::time::Duration;

use clap::Args;
use overlay::{
    name::{NetworkName, NodeName},
    subnet::Family,
    trial::{Measure, Measured, Opened, Place, Target, What},
};
use proto::decode::DEFAULT_NETWORK;
use serde::Serialize;

use crate::{
    ask::{Asker, Question},
    connect::Reach,
    failure::Failure,
    output::{self, Output, Row, table_of},
    seconds::parse_seconds,
    trial::{PutUp, Trials},
};

/// Beside the measurement itself.
const PATIENCE: Duration = Duration::from_secs(20);
const LIFE: Duration = Duration::from_secs(600);

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  weft perf h1 h2
  weft perf h1 h2 --time 10s -o json

From h1 to h2: one TCP connection, one UDP packet there and back after the other, and as many small
UDP packets as the sender can send, first between the hosts' underlay addresses and then between
endpoints that both put up like containers'. It loads both hosts and the network while it runs.")]
pub struct Perf {
    from: NodeName,
    to: NodeName,
    /// The network to measure
    #[arg(long, value_name = "NAME", default_value = DEFAULT_NETWORK)]
    network: NetworkName,
    /// How long each of six measurements takes, 30s at the most
    #[arg(long, value_name = "TIME", value_parser = parse_seconds, default_value = "3s")]
    time: Duration,
    /// By IPv6 in the overlay
    #[arg(short = '6', long)]
    ipv6: bool,
}

/// Of one kind of way.
#[derive(Debug, Clone, Default, Serialize)]
struct Way {
    bits_per_second: Option<f64>,
    latency_us: Option<u32>,
    latency_99_us: Option<u32>,
    packets_per_second: Option<f64>,
    /// Of the small packets that were sent, from 0 to 1.
    lost: Option<f64>,
}

#[derive(Debug, Serialize)]
struct Measurements<'a> {
    from: &'a NodeName,
    to: &'a NodeName,
    network: &'a NetworkName,
    underlay: &'a Way,
    overlay: &'a Way,
}

/// A line for a person.
#[derive(Serialize)]
struct Line {
    what: &'static str,
    underlay: String,
    overlay: String,
    share: String,
}

impl Row for Line {
    const COLUMNS: &'static [&'static str] = &["MEASURED", "UNDERLAY", "OVERLAY", "SHARE"];
    const SPARE: &'static [&'static str] = &[];

    fn cells(&self, _: u64) -> Vec<String> {
        vec![
            self.what.into(),
            self.underlay.clone(),
            self.overlay.clone(),
            self.share.clone(),
        ]
    }
}

pub async fn run(perf: Perf, reach: &Reach, output: &Output) -> Result<(), Failure> {
    if perf.from == perf.to {
        return Err(Failure::BadRequest("name two nodes".into()));
    }
    let mut trials = Trials::new(Asker::open(reach).await?);
    let measured = tokio::select! {
        measured = both(&mut trials, &perf, output) => measured,
        _ = tokio::signal::ctrl_c() => {
            Err(Failure::Refused("interrupted; the endpoints are taken away".into()))
        }
    };
    trials.take_away().await;
    let (underlay, overlay) = measured?;
    let measurements = Measurements {
        from: &perf.from,
        to: &perf.to,
        network: &perf.network,
        underlay: &underlay,
        overlay: &overlay,
    };
    output.print(&measurements, || {
        table_of(&lines(&underlay, &overlay), output.now_ms, output.width)
    })
}

async fn both(trials: &mut Trials, perf: &Perf, output: &Output) -> Result<(Way, Way), Failure> {
    let asker = trials.asker().clone();
    let nodes = [perf.from.clone(), perf.to.clone()];
    let mut ways = Vec::new();
    for place in [Place::Host, Place::Endpoint] {
        let PutUp { mut open, failed } = trials.put_up(&nodes, &perf.network, place, LIFE).await;
        if let Some((_, failure)) = failed.into_iter().next() {
            return Err(failure);
        }
        let mut of = |node| open.remove(node).expect("what did not fail is there");
        let (from, to) = (of(&perf.from), of(&perf.to));
        let target = target(&to, place, perf)?;
        ways.push(measured(&asker, perf, &from, target, place, output).await?);
    }
    let overlay = ways.pop().unwrap_or_default();
    Ok((ways.pop().unwrap_or_default(), overlay))
}

fn target(to: &Opened, place: Place, perf: &Perf) -> Result<Target, Failure> {
    let wanted = match perf.ipv6 {
        true => Family::V6,
        false => Family::V4,
    };
    let is_wanted = |target: &&Target| match place {
        // The underlay has the family that it has.
        Place::Host => true,
        Place::Endpoint => Family::of(target.address) == wanted,
    };
    let first = to.targets.first().filter(|_| !perf.ipv6);
    let found = to.targets.iter().find(is_wanted).or(first);
    found.copied().ok_or_else(|| {
        let text = format!("network {} has no such family of addresses", perf.network);
        Failure::BadRequest(text)
    })
}

async fn measured(
    asker: &Asker,
    perf: &Perf,
    from: &Opened,
    to: Target,
    place: Place,
    output: &Output,
) -> Result<Way, Failure> {
    let mut way = Way::default();
    for what in [What::Latency, What::Throughput, What::Packets] {
        if output.is_for_people() {
            let name = match place {
                Place::Host => "underlay",
                Place::Endpoint => "overlay",
            };
            output::note(&format!("{name}: measuring {}", name_of(what)));
        }
        let path = format!("/trials/{}/measure", from.id);
        let ask = Measure {
            to,
            what,
            for_ms: u64::try_from(perf.time.as_millis()).unwrap_or(u64::MAX),
        };
        let question = Question::post(&path, &ask, perf.time + PATIENCE);
        match asker.words(&perf.from, &question).await {
            Ok(measured) => way.take(measured),
            // A firewall may well let the overlay's port through and no other.
            Err(Failure::Refused(why)) if place == Place::Host => {
                output::note(&format!("the underlay cannot be measured: {why}"));
                return Ok(way);
            }
            Err(failure) => return Err(failure),
        }
    }
    Ok(way)
}

fn name_of(what: What) -> &'static str {
    match what {
        What::Throughput => "throughput",
        What::Latency => "latency",
        What::Packets => "packets",
    }
}

#[expect(clippy::cast_precision_loss, reason = "for people")]
impl Way {
    fn take(&mut self, measured: Measured) {
        let a_second = |count: u64, us: u64| count as f64 * 1e6 / us.max(1) as f64;
        match measured {
            Measured::Throughput { bytes, us } => {
                self.bits_per_second = Some(a_second(bytes * 8, us));
            }
            Measured::Latency {
                middle_us, most_us, ..
            } => {
                self.latency_us = Some(middle_us);
                self.latency_99_us = Some(most_us);
            }
            Measured::Packets { sent, received, us } => {
                self.packets_per_second = Some(a_second(received, us));
                self.lost = Some(1.0 - received as f64 / sent.max(1) as f64);
            }
        }
    }
}

fn lines(underlay: &Way, overlay: &Way) -> Vec<Line> {
    let line = |what, of: fn(&Way) -> Option<f64>, text: fn(f64) -> String, shared: bool| {
        let cell = |way| of(way).map_or("-".into(), text);
        let share = of(underlay).zip(of(overlay)).filter(|_| shared);
        Line {
            what,
            underlay: cell(underlay),
            overlay: cell(overlay),
            share: share.map_or("-".into(), |(under, over)| {
                format!("{:.0}%", 100.0 * over / under.max(f64::MIN_POSITIVE))
            }),
        }
    };
    let ms = |us: f64| format!("{:.3}ms", us / 1e3);
    vec![
        line("throughput", |way| way.bits_per_second, bits, true),
        line("latency", |way| way.latency_us.map(f64::from), ms, true),
        line(
            "latency of 99%",
            |way| way.latency_99_us.map(f64::from),
            ms,
            true,
        ),
        line(
            "small packets",
            |way| way.packets_per_second,
            |count| format!("{count:.0}/s"),
            true,
        ),
        line(
            "lost of them",
            |way| way.lost,
            |lost| format!("{:.1}%", 100.0 * lost),
            false,
        ),
    ]
}

fn bits(a_second: f64) -> String {
    match a_second {
        ..1e6 => format!("{:.1} kbit/s", a_second / 1e3),
        1e6..1e9 => format!("{:.1} Mbit/s", a_second / 1e6),
        _ => format!("{:.2} Gbit/s", a_second / 1e9),
    }
}
