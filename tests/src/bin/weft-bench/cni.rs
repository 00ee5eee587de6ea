//! A container comes and goes by CNI: the plugin that asks the agent beside the reference
//! plugins that do it themselves, started in turn as an engine starts them.

use std::{
    io::Write,
    path::Path,
    process::Stdio,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use socket::{
    Client,
    words::{Attach, Attached, Detach},
};
use tests::{
    cni::{Attachment, List, REFERENCE, Runtime},
    lab::{Agent, Host, Lab, Namespace, Place},
    process,
};

use crate::{rate::quantile, time};

const ALONE: usize = 200;
const AT_ONCE: usize = 64;
const ROUNDS: usize = 5;
/// Each asks the agent for one after the other.
const CLIENTS: usize = 8;
const WITHIN: Duration = Duration::from_secs(30);

/// A plugin, and where it does its work.
struct Subject<'a> {
    name: &'static str,
    runtime: Runtime,
    list: List,
    host: &'a Host,
}

#[derive(Default)]
struct Took {
    add: Vec<Duration>,
    del: Vec<Duration>,
}

pub fn run() -> Result<()> {
    let mut lab = Lab::new(2)?;
    lab.start_controller(&["--default-network", "10.40.0.0/16"])?;
    lab.controllers[0].hush();
    let mut agent = lab.agent(1, &[])?;
    agent.hush();
    let directory = tempfile::Builder::new().prefix("weft-bench-").tempdir()?;
    // Each has a host of its own: devices of the one do not slow the other.
    let weft = weft(lab.host(1), &agent, directory.path())?;
    let reference = reference(lab.host(2), directory.path())?;
    let names = (0..AT_ONCE).map(|number| format!("b{number}"));
    let containers = Namespace::several(names)?;
    let attachments: Vec<Attachment> = containers
        .iter()
        .map(|container| {
            let netns = format!("/proc/{}/ns/net", container.pid());
            Attachment::new(container.name(), netns)
        })
        .collect();

    println!("A container comes and goes by CNI, IPv4, started as engines do\n");
    println!(
        "| plugin | alone: ADD p50 | p99 | DEL p50 | p99 | {AT_ONCE} at once: ADD p50 | p99 | DEL p50 | p99 | VERSION p50 |"
    );
    println!("|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|");
    let subjects = [&weft, &reference];
    let mut alone = subjects.map(|_| Took::default());
    let mut versions = subjects.map(|_| Vec::new());
    for _ in 0..ALONE {
        for ((subject, took), versions) in subjects.iter().zip(&mut alone).zip(&mut versions) {
            took.add.push(subject.timed("ADD", &attachments[0])?);
            took.del.push(subject.timed("DEL", &attachments[0])?);
            versions.push(subject.timed("VERSION", &attachments[0])?);
        }
    }
    let mut at_once = subjects.map(|_| Took::default());
    for _ in 0..ROUNDS {
        for (subject, took) in subjects.iter().zip(&mut at_once) {
            took.add.extend(subject.all_timed("ADD", &attachments)?);
            took.del.extend(subject.all_timed("DEL", &attachments)?);
        }
    }
    let measured = subjects.iter().zip(alone).zip(at_once).zip(versions);
    for (((subject, alone), at_once), mut versions) in measured {
        versions.sort_unstable();
        let figures = [alone.add, alone.del, at_once.add, at_once.del];
        let figures = figures.map(|mut took| {
            took.sort_unstable();
            let (p50, p99) = (quantile(&took, 0.5), quantile(&took, 0.99));
            format!("{} | {}", time(p50), time(p99))
        });
        let version = time(quantile(&versions, 0.5));
        println!("| {} | {} | {version} |", subject.name, figures.join(" | "));
    }
    let (attached, detached) = over_the_socket(&agent, &attachments)?;
    println!(
        "\nOver the agent's socket, {CLIENTS} clients: {attached:.0} attached a second, {detached:.0} detached\n"
    );
    Ok(())
}

fn weft<'a>(host: &'a Host, agent: &Agent, directory: &Path) -> Result<Subject<'a>> {
    let (conf, bin) = (directory.join("net.d"), directory.join("bin"));
    let mut install = Place::Here.command(process::weft("weft-cni")?);
    install.arg("install").arg("--conf-dir").arg(&conf);
    install.arg("--bin-dir").arg(&bin);
    install.arg("--socket").arg(agent.socket());
    let said = process::said(install)?;
    ensure!(said.code == 0, "{said:?}");
    Ok(Subject {
        name: "weft",
        runtime: Runtime::new(Place::Here, &[&bin], &directory.join("weft")),
        list: List::read(&conf.join("10-weft.conflist"), &["1.0.0"])?,
        host,
    })
}

fn reference<'a>(host: &'a Host, directory: &Path) -> Result<Subject<'a>> {
    let data = directory.join("host-local");
    let bridge = json!({
        "type": "bridge", "bridge": "cni0", "isGateway": true, "isDefaultGateway": true,
        "ipam": {
            "type": "host-local", "dataDir": data,
            "ranges": [[{ "subnet": "10.41.0.0/24" }]],
        },
    });
    Ok(Subject {
        name: "bridge and host-local",
        runtime: Runtime::new(
            Place::Here,
            &[REFERENCE.as_ref()],
            &directory.join("bridge"),
        ),
        list: List::new("bench", "1.0.0", &[bridge]),
        host,
    })
}

impl Subject<'_> {
    /// From the start of the process to its end.
    fn timed(&self, verb: &str, attachment: &Attachment) -> Result<Duration> {
        self.host.inside(|| self.start(verb, attachment))
    }

    fn all_timed(&self, verb: &str, attachments: &[Attachment]) -> Result<Vec<Duration>> {
        thread::scope(|scope| {
            let one = |attachment| scope.spawn(move || self.timed(verb, attachment));
            let all: Vec<_> = attachments.iter().map(one).collect();
            let all = all.into_iter();
            all.map(|one| one.join().expect("no panic")).collect()
        })
    }

    fn start(&self, verb: &str, attachment: &Attachment) -> Result<Duration> {
        let plugin = &self.list.plugins[0];
        let conf = self.list.conf(plugin, Some(attachment), &[]).to_string();
        let program = plugin["type"].as_str().context("the type of a plugin")?;
        let mut command = self.runtime.command(verb, program, Some(attachment))?;
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let began = Instant::now();
        let mut child = command.spawn()?;
        let mut stdin = child.stdin.take().context("a pipe")?;
        stdin.write_all(conf.as_bytes())?;
        drop(stdin);
        let output = child.wait_with_output()?;
        let took = began.elapsed();
        let said = String::from_utf8_lossy(&output.stdout);
        ensure!(output.status.success(), "{} {verb}: {said}", self.name);
        Ok(took)
    }
}

/// How many a second, without a process for each.
fn over_the_socket(agent: &Agent, attachments: &[Attachment]) -> Result<(f64, f64)> {
    let network: overlay::name::NetworkName = "default".parse()?;
    let client = Client::new(agent.socket(), WITHIN);
    let (mut attaching, mut detaching) = (Duration::ZERO, Duration::ZERO);
    let all = |act: &(dyn Fn(&Attachment) -> Result<()> + Sync)| {
        let began = Instant::now();
        let done: Result<()> = thread::scope(|scope| {
            let shares = attachments.chunks(attachments.len().div_ceil(CLIENTS));
            let one = |share: &'_ [Attachment]| share.iter().try_for_each(act);
            let workers: Vec<_> = shares
                .map(|share| scope.spawn(move || one(share)))
                .collect();
            let mut done = workers.into_iter().map(|one| one.join().expect("no panic"));
            done.try_for_each(|one| one)
        });
        done.map(|()| began.elapsed())
    };
    for _ in 0..ROUNDS {
        attaching += all(&|attachment| {
            let attach: Attach = serde_json::from_value(json!({
                "network": network, "key": format!("bench/{}", attachment.id),
                "netns": attachment.netns, "interface": "eth0",
            }))?;
            let _: Attached = client.ask("POST", "/endpoints", Some(&attach))?;
            Ok(())
        })?;
        detaching += all(&|attachment| {
            let detach = Detach {
                network: network.clone(),
                key: format!("bench/{}", attachment.id).parse()?,
                seq: None,
            };
            let _: Value = client.ask("DELETE", "/endpoints", Some(&detach))?;
            Ok(())
        })?;
    }
    let count = (attachments.len() * ROUNDS) as f64;
    let rate = |time: Duration| count / time.as_secs_f64();
    Ok((rate(attaching), rate(detaching)))
}
