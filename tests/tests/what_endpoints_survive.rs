//! What containers have is kept: while the disk is full, when the list of them is torn
//! and when the agent is killed at any moment.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    net::IpAddr,
    ops::Range,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use socket::{
    Client,
    words::{Attached as Words, Detach, Shown},
};
use tests::{
    dice::Dice,
    lab::{Agent, Attached, Lab, Namespace, Picture, Pinger, SmallDisk, ping, wish},
    wait::patiently,
};

const POOLS: &str = "10.40.0.0/16,fd77:40::/48";
const LOOK: [&str; 2] = ["--look-every", "1s"];

fn lab(hosts: u32) -> Result<Lab> {
    let mut lab = Lab::new(hosts)?;
    lab.start_controller(&["--default-network", POOLS])?;
    Ok(lab)
}

/// All devices of containers.
fn devices(host: &Namespace) -> Result<BTreeSet<String>> {
    let links = host.json(&["ip", "-j", "link"])?;
    let links = links.as_array().context("a list of links")?;
    let names = links.iter().filter_map(|link| link["ifname"].as_str());
    let names = names.filter(|name| name.starts_with('w') && *name != "weft1");
    Ok(names.map(str::to_owned).collect())
}

fn findings(agent: &Agent) -> Result<Vec<Value>> {
    Ok(agent.client().ask("POST", "/ipam/check", None::<&()>)?)
}

fn is_clean(agent: &Agent) -> Result<()> {
    patiently("nothing is wrong", || {
        let findings = findings(agent)?;
        ensure!(findings.is_empty(), "{findings:?}");
        Ok(())
    })
}

fn has_nothing(container: &Namespace) -> Result<()> {
    let links = container.json(&["ip", "-j", "link"])?;
    ensure!(links.as_array().map(Vec::len) == Some(1), "{links}");
    Ok(())
}

/// In one sentence.
fn refused(agent: &Agent, container: &Namespace) -> Result<String> {
    let asked = agent.attach_words(&wish(container, container.name(), |_| {})?);
    let text = asked
        .err()
        .context("it is refused")?
        .root_cause()
        .to_string();
    ensure!(!text.contains('\n'), "{text}");
    Ok(text)
}

#[test]
fn a_full_disk() -> Result<()> {
    let lab = lab(1)?;
    let host = lab.host(1);
    let disk = SmallDisk::of(host)?;
    let mut agent = lab.agent(1, &LOOK)?;
    let one = agent.attached("one")?;
    let two = agent.attached("two")?;
    let gone = agent.attached("gone")?;
    let pinger = Pinger::start(&one, two.addresses()[0])?;
    disk.fill()?;
    // There is room for some more lines in what the list has of the disk.
    let mut more = Vec::new();
    let late = loop {
        ensure!(more.len() < 20, "the disk is never full");
        let late = Namespace::new(format!("more{}", more.len()))?;
        match agent.attach_words(&wish(&late, late.name(), |_| {})?) {
            Ok(_) => more.push(late),
            Err(_) => break late,
        }
    };
    let before = (devices(host)?, agent.endpoints()?);
    ensure!(before.0.len() == before.1.len(), "{before:?}");
    ensure!(before.1.len() == 3 + more.len(), "{before:?}");
    let text = refused(&agent, &late)?;
    ensure!(text.contains("No space left"), "{text}");
    has_nothing(&late)?;
    assert_eq!((devices(host)?, agent.endpoints()?), before);
    // What could be written of the last line is a torn end now.
    agent.kill()?;
    agent.launch()?;
    patiently("it knows its containers", || {
        ensure!(agent.endpoints()? == before.1, "{:?}", agent.endpoints()?);
        Ok(())
    })?;
    agent.detach(&gone)?;
    has_nothing(&gone)?;
    ensure!(!devices(host)?.contains(&gone.words.device));
    ensure!(!findings(&agent)?.is_empty(), "it is not on disk");
    disk.empty()?;
    agent.ready()?;
    is_clean(&agent)?;
    agent.kill()?;
    agent.start()?;
    let without = |shown: &Shown| shown.endpoint != gone.words.endpoint;
    let expected: Vec<Shown> = before.1.into_iter().filter(without).collect();
    assert_eq!(agent.endpoints()?, expected);
    let pinged = pinger.finish()?;
    assert_eq!(pinged.lost(), 0, "{pinged:?}");
    agent.attach_words(&wish(&late, "late", |_| {})?)?;
    is_clean(&agent)
}

type Damage = fn(&mut Vec<u8>);

#[test]
fn a_torn_list() -> Result<()> {
    let damages: [(&str, Damage); 4] = [
        ("cut", |list| list.truncate(list.len() - 3)),
        ("flipped at its end", |list| {
            *list.last_mut().expect("a byte") ^= 1;
        }),
        ("flipped in its middle", |list| {
            let middle = list.len() / 2;
            list[middle] ^= 0x80;
        }),
        ("empty", Vec::clear),
    ];
    for (name, damage) in damages {
        torn(damage).context(name)?;
    }
    Ok(())
}

fn torn(damage: Damage) -> Result<()> {
    let lab = lab(1)?;
    let host = lab.host(1);
    let list = host.directory().join("state/endpoints");
    let mut agent = lab.agent(1, &LOOK)?;
    // The first is written with the whole list, the others at its end.
    let names = ["first", "second", "third"];
    let all: Vec<Attached> = names
        .iter()
        .map(|name| agent.attached(name))
        .collect::<Result<_>>()?;
    let before = (devices(host)?, agent.endpoints()?);
    let pinger = Pinger::start(&all[0], all[2].addresses()[0])?;
    agent.kill()?;
    let mut bytes = fs::read(&list)?;
    damage(&mut bytes);
    fs::write(&list, bytes)?;
    agent.start()?;
    let known = agent.endpoints()?;
    ensure!(known.len() < before.1.len(), "{known:?}");
    ensure!(
        known.iter().all(|known| before.1.contains(known)),
        "{known:?}"
    );
    let said = agent.weft(&["ipam", "check"])?;
    ensure!(said.code == 1, "{said:?}");
    ensure!(said.stdout.contains("could not be read"), "{said:?}");
    for lost in before.1.iter().filter(|one| !known.contains(one)) {
        ensure!(said.stdout.contains(&lost.device), "{said:?}");
    }
    let new = Namespace::new("new".into())?;
    let text = refused(&agent, &new)?;
    ensure!(text.contains("could not be read"), "{text}");
    ensure!(text.contains("`weft ipam repair`"), "{text}");
    has_nothing(&new)?;
    // A restart is no remedy.
    agent.kill()?;
    agent.start()?;
    assert_eq!(
        (devices(host)?, agent.endpoints()?),
        (before.0, known.clone())
    );
    let pinged = pinger.finish()?;
    ensure!(pinged.lost() == 0, "{pinged:?}");

    let said = agent.weft(&["ipam", "repair"])?;
    ensure!(said.code == 0, "{said:?}");
    patiently("what is unknown is gone", || {
        let left = devices(host)?;
        let known: BTreeSet<String> = known.iter().map(|known| known.device.clone()).collect();
        ensure!(left == known, "{left:?} instead of {known:?}");
        Ok(())
    })?;
    let said = agent.weft(&["ipam", "check"])?;
    ensure!(said.code == 0, "{said:?}");
    for one in &all {
        agent.attach_words(&wish(one, one.name(), |_| {})?)?;
    }
    let whole = agent.endpoints()?;
    agent.kill()?;
    agent.start()?;
    assert_eq!(agent.endpoints()?, whole);
    is_clean(&agent)
}

#[test]
fn a_list_that_is_none() -> Result<()> {
    let lab = lab(2)?;
    let mut agents = lab.agents(&LOOK)?;
    let near = agents[0].attached("near")?;
    let far = agents[1].attached("far")?;
    let host = lab.host(1);
    patiently("they reach each other", || {
        ensure!(ping(&near, far.addresses()[0], 1)?.lost() == 0);
        Ok(())
    })?;
    let before = (Picture::of(host, "weft1")?, devices(host)?);
    let endpoints = agents[0].endpoints()?;
    let pinger = Pinger::start(&near, far.addresses()[0])?;
    agents[0].kill()?;
    let list = host.directory().join("state/endpoints");
    let good = fs::read(&list)?;
    fs::write(&list, "precious\n")?;
    agents[0].launch()?;
    assert_eq!(agents[0].ended()?.code(), Some(1), "{}", agents[0].log());
    let log = agents[0].log();
    let last = log.lines().next_back().unwrap_or_default();
    let told = format!("{} is no list of endpoints of this version", list.display());
    ensure!(last.contains(&told), "{log}");
    ensure!(last.contains("move it away if no container"), "{log}");
    assert_eq!(fs::read_to_string(&list)?, "precious\n");
    Picture::of(host, "weft1")?.ensure_same(&before.0)?;
    assert_eq!(devices(host)?, before.1);
    fs::write(&list, good)?;
    agents[0].start()?;
    assert_eq!(agents[0].endpoints()?, endpoints);
    let pinged = pinger.finish()?;
    assert_eq!(pinged.lost(), 0, "{pinged:?}");
    is_clean(&agents[0])
}

const KILLS: usize = 24;
const WORKERS: usize = 4;
const BETWEEN_KILLS: Range<Duration> = Duration::from_millis(20)..Duration::from_millis(500);
const BETWEEN_TRIES: Range<Duration> = Duration::from_millis(2)..Duration::from_millis(20);

/// What those who attach containers know.
#[derive(Default)]
struct Known {
    over: AtomicBool,
    done: AtomicU32,
    holders: Mutex<BTreeMap<IpAddr, String>>,
}

impl Known {
    /// Attached and detached again and again; returns whether it is attached at last.
    fn work(&self, client: &Client, container: &Namespace, dice: &mut Dice) -> Result<bool> {
        let name = container.name();
        loop {
            let asked = wish(container, name, |asked| {
                if name.ends_with("bounded") {
                    asked.bandwidth = "100M".parse().expect("a rate");
                }
            })?;
            let words: Words = until_done(dice, || client.ask("POST", "/endpoints", Some(&asked)))?;
            let addresses = words.endpoint.addresses;
            let mut holders = self.holders.lock().expect("nobody panics with it");
            for &address in &addresses {
                let other = holders.insert(address, name.to_owned());
                ensure!(other.is_none(), "{address}: {name} and {other:?}");
            }
            drop(holders);
            self.done.fetch_add(1, Ordering::Relaxed);
            let over = self.over.load(Ordering::Relaxed);
            if over && dice.below(4) > 0 {
                return Ok(true);
            }
            let mut holders = self.holders.lock().expect("nobody panics with it");
            holders.retain(|_, holder| holder != name);
            drop(holders);
            let detach = Detach {
                network: asked.network,
                key: asked.key,
                seq: None,
            };
            until_done::<()>(dice, || client.ask("DELETE", "/endpoints", Some(&detach)))?;
            if over {
                return Ok(false);
            }
        }
    }
}

/// As an engine tries again.
fn until_done<T>(dice: &mut Dice, act: impl Fn() -> Result<T, socket::AskError>) -> Result<T> {
    let start = Instant::now();
    loop {
        match act() {
            Ok(done) => return Ok(done),
            Err(error) if start.elapsed() > Duration::from_secs(30) => bail!(error),
            Err(_) => thread::sleep(dice.time(&BETWEEN_TRIES)),
        }
    }
}

fn killed_at_any_moment(form: &[&str]) -> Result<()> {
    let seed = Dice::seed();
    println!("seed {seed}");
    let mut dice = Dice::new(seed);
    let lab = lab(1)?;
    let host = lab.host(1);
    let mut agent = lab.agent(1, &[form, &LOOK].concat())?;
    let names = (0..WORKERS * 2).map(|n| match n % 2 {
        0 => format!("c{n}"),
        _ => format!("c{n}-bounded"),
    });
    let containers = Namespace::several(names)?;
    let known = Known::default();
    let client = agent.client();
    let attached: Vec<bool> = thread::scope(|scope| {
        let workers: Vec<_> = containers
            .iter()
            .enumerate()
            .map(|(n, container)| {
                let (known, client) = (&known, &client);
                let mut dice = Dice::new(seed.wrapping_add(1 + n as u64));
                scope.spawn(move || known.work(client, container, &mut dice))
            })
            .collect();
        let killing = (0..KILLS).try_for_each(|_| {
            thread::sleep(dice.time(&BETWEEN_KILLS));
            agent.kill()?;
            agent.launch()
        });
        known.over.store(true, Ordering::Relaxed);
        let joined = workers.into_iter().map(|one| one.join().expect("no panic"));
        let attached = joined.collect::<Result<Vec<_>>>();
        killing.and(attached)
    })?;
    agent.ready()?;
    is_clean(&agent)?;
    let done = known.done.load(Ordering::Relaxed);
    ensure!(done as usize > KILLS, "attached {done} times only");
    let listed = agent.endpoints()?;
    let keys: BTreeSet<String> = listed
        .iter()
        .map(|one| one.endpoint.key.to_string())
        .collect();
    let mut expected = BTreeSet::new();
    for (container, attached) in containers.iter().zip(attached) {
        if attached {
            expected.insert(format!("test/{}", container.name()));
        } else {
            has_nothing(container)?;
        }
    }
    assert_eq!(keys, expected);
    let mut addresses = BTreeSet::new();
    let mut expected = BTreeSet::new();
    for one in &listed {
        expected.insert(one.device.clone());
        if one.endpoint.bandwidth.egress.is_some() {
            expected.insert(format!("wb{}", one.id));
        }
        for &address in &one.endpoint.addresses {
            ensure!(addresses.insert(address), "{address} twice: {listed:?}");
            let pings = ping(host, address, 2)?;
            ensure!(pings.lost() == 0, "{one:?}: {}", pings.said.stdout);
        }
    }
    let there = devices(host)?;
    let there: BTreeSet<String> = there
        .into_iter()
        .filter(|one| !one.starts_with("weftbr"))
        .collect();
    assert_eq!(there, expected);
    Ok(())
}

#[test]
fn kills_at_any_moment_routed() -> Result<()> {
    killed_at_any_moment(&[])
}

#[test]
fn kills_at_any_moment_behind_a_bridge() -> Result<()> {
    killed_at_any_moment(&["--bridge", "default"])
}
