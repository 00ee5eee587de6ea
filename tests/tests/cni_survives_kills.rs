//! Two hundred containers come and go at once, while the agent and the plugin are killed:
//! no address is given twice, whoever tries again succeeds, and nothing stays.

use std::{
    collections::{BTreeMap, BTreeSet},
    env,
    io::Write,
    ops::Range,
    process::Stdio,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use tests::{
    cni::{Attachment, List, Runtime, addresses},
    dice::Dice,
    lab::{Agent, Host, Lab, Namespace, Place},
    process,
    wait::patiently,
};

const CONTAINERS: usize = 200;
const WORKERS: usize = 16;
/// Of each verb, one in so many is killed half-way.
const KILLED: usize = 4;
const BETWEEN_KILLS: Range<Duration> = Duration::from_millis(200)..Duration::from_millis(1500);
/// An engine tries for much longer.
const PATIENCE: Duration = Duration::from_secs(40);
const POOLS: &str = "10.40.0.0/16,fd77:40::/48";

/// Who has which address now, as engines know it.
#[derive(Default)]
struct Given {
    holders: Mutex<BTreeMap<String, String>>,
    twice: Mutex<Vec<String>>,
    tries: AtomicU64,
    kills: AtomicU64,
}

struct Engine<'a> {
    runtime: Runtime,
    list: List,
    given: &'a Given,
}

impl Engine<'_> {
    /// Until it succeeds, killed now and then.
    fn until_done(
        &self,
        dice: &mut Dice,
        what: &str,
        mut act: impl FnMut() -> Result<()>,
    ) -> Result<()> {
        let start = Instant::now();
        loop {
            self.given.tries.fetch_add(1, Ordering::Relaxed);
            let Err(error) = act() else {
                return Ok(());
            };
            if start.elapsed() > PATIENCE {
                return Err(error.context(format!("{what}: still not after {PATIENCE:?}")));
            }
            thread::sleep(dice.time(&(Duration::from_millis(5)..Duration::from_millis(50))));
        }
    }

    /// The plugin dies half-way, and nobody hears what it says.
    fn killed(&self, verb: &str, attachment: &Attachment, dice: &mut Dice) -> Result<()> {
        let mut command = self.runtime.command(verb, "weft", Some(attachment))?;
        command.stdin(Stdio::piped());
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn()?;
        let conf = self.list.conf(&self.list.plugins[0], Some(attachment), &[]);
        let mut stdin = child.stdin.take().context("a pipe")?;
        drop(stdin.write_all(conf.to_string().as_bytes()));
        drop(stdin);
        thread::sleep(dice.time(&(Duration::ZERO..Duration::from_millis(8))));
        child.kill()?;
        child.wait()?;
        self.given.kills.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn come(&self, attachment: &Attachment, dice: &mut Dice) -> Result<()> {
        if dice.below(KILLED) == 0 {
            self.killed("ADD", attachment, dice)?;
        }
        self.until_done(dice, &format!("ADD {}", attachment.id), || {
            let result = self.runtime.add(&self.list, attachment)?;
            let mut holders = self.given.holders.lock().expect("nobody panics with it");
            for address in addresses(&result) {
                let before = holders.insert(address.clone(), attachment.id.clone());
                if let Some(before) = before.filter(|before| *before != attachment.id) {
                    let twice = format!("{address}: {before} and {}", attachment.id);
                    self.given.twice.lock().expect("nor with this").push(twice);
                }
            }
            Ok(())
        })
    }

    fn go(&self, attachment: &Attachment, dice: &mut Dice) -> Result<()> {
        // From here on the address may be somebody else's.
        let mut holders = self.given.holders.lock().expect("nobody panics with it");
        holders.retain(|_, holder| *holder != attachment.id);
        drop(holders);
        if dice.below(KILLED) == 0 {
            self.killed("DEL", attachment, dice)?;
        }
        self.until_done(dice, &format!("DEL {}", attachment.id), || {
            self.runtime.del(&self.list, attachment)
        })
    }
}

/// Workers share the containers; the agent dies again and again until they are done.
fn under_kills(
    agent: &mut Agent,
    seed: u64,
    attachments: &[Attachment],
    work: impl Fn(&[Attachment], &mut Dice) -> Result<()> + Sync,
) -> Result<()> {
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let killer = scope.spawn(|| -> Result<usize> {
            let mut dice = Dice::new(seed);
            let mut kills = 0;
            while !over.load(Ordering::Relaxed) {
                agent.kill()?;
                kills += 1;
                agent.launch()?;
                // It may not even be ready before the next.
                thread::sleep(dice.time(&BETWEEN_KILLS));
            }
            agent.ready()?;
            Ok(kills)
        });
        let workers = attachments
            .chunks(attachments.len().div_ceil(WORKERS))
            .zip(1..);
        let workers: Vec<_> = workers
            .map(|(mine, number)| {
                let work = &work;
                scope.spawn(move || work(mine, &mut Dice::new(seed ^ number)))
            })
            .collect();
        let done: Vec<Result<()>> = workers
            .into_iter()
            .map(|worker| worker.join().expect("no panic"))
            .collect();
        over.store(true, Ordering::Relaxed);
        let kills = killer.join().expect("no panic")?;
        println!("the agent was killed {kills} times");
        done.into_iter().collect()
    })
}

fn everything(agent: &Agent, path: &str) -> Result<Value> {
    let client = socket::Client::new(agent.socket(), Duration::from_secs(10));
    Ok(client.ask("GET", path, None::<&()>)?)
}

/// Devices, routes and neighbours of containers.
fn left(host: &Host) -> Result<Vec<String>> {
    let commands = [
        &["ip", "-o", "link"][..],
        &["ip", "-o", "-4", "route"],
        &["ip", "-o", "-6", "route"],
        &["ip", "-o", "neigh", "show", "nud", "permanent"],
    ];
    let said: Result<Vec<String>> = commands.iter().map(|words| host.done(words)).collect();
    let said = said?.concat();
    let lines = said.lines().filter(|line| line.contains("wv"));
    Ok(lines.map(str::to_owned).collect())
}

#[test]
fn two_hundred_come_and_go_while_everything_is_killed() -> Result<()> {
    let began = Instant::now();
    let seed = match env::var("WEFT_SEED") {
        Ok(seed) => seed.parse().context("WEFT_SEED is a number")?,
        Err(_) => Dice::seed(),
    };
    let mut lab = Lab::new(1)?;
    lab.start_controller(&["--default-network", POOLS])?;
    let mut agent = lab.agent(1, &[])?;
    let directory = tempfile::Builder::new().prefix("weft-cni-").tempdir()?;
    let [conf, bin, cache] = ["net.d", "bin", "cache"].map(|name| directory.path().join(name));
    let place = Place::In((**lab.host(1)).clone());
    let mut install = place.command(process::weft("weft-cni")?);
    install.arg("install").arg("--conf-dir").arg(&conf);
    install.arg("--bin-dir").arg(&bin);
    install.arg("--socket").arg(agent.socket());
    let said = process::said(install)?;
    ensure!(said.code == 0, "{said:?}");

    let given = Given::default();
    let engine = Engine {
        list: List::read(&conf.join("10-weft.conflist"), &["1.1.0"])?,
        runtime: Runtime::new(place, &[&bin], &cache),
        given: &given,
    };
    let names = (0..CONTAINERS).map(|number| format!("k{number}"));
    let namespaces = Namespace::several(names)?;
    let attachments: Vec<Attachment> = namespaces
        .iter()
        .map(|namespace| {
            let netns = format!("/proc/{}/ns/net", namespace.pid());
            Attachment::new(namespace.name(), netns)
        })
        .collect();

    under_kills(&mut agent, seed, &attachments, |mine, dice| {
        for attachment in mine {
            engine.come(attachment, dice)?;
        }
        // Half of them go and come again.
        for attachment in mine.iter().step_by(2) {
            engine.go(attachment, dice)?;
            engine.come(attachment, dice)?;
        }
        Ok(())
    })?;

    let twice = given.twice.lock().expect("nobody panicked");
    assert!(twice.is_empty(), "seed {seed}: {twice:#?}");
    let holders = given.holders.lock().expect("nobody panicked").clone();
    assert_eq!(holders.len(), 2 * CONTAINERS, "seed {seed}");
    // What engines were told is what containers have.
    for namespace in namespaces.iter().step_by(10) {
        let said = namespace.done(&["ip", "-o", "addr", "show", "dev", "eth0"])?;
        let mine = holders.iter().filter(|(_, id)| *id == namespace.name());
        for (address, _) in mine {
            assert!(
                said.contains(&format!(" {address}/")),
                "seed {seed}: {said}"
            );
        }
    }

    under_kills(&mut agent, seed, &attachments, |mine, dice| {
        mine.iter()
            .try_for_each(|attachment| engine.go(attachment, dice))
    })?;
    patiently("nothing is left", || {
        let endpoints = everything(&agent, "/endpoints")?;
        ensure!(
            endpoints.as_array().is_some_and(Vec::is_empty),
            "{endpoints}"
        );
        let left = left(lab.host(1))?;
        ensure!(left.is_empty(), "{left:#?}");
        Ok(())
    })?;
    let findings = socket::Client::new(agent.socket(), Duration::from_secs(10));
    let findings: Value = findings.ask("POST", "/ipam/check", None::<&()>)?;
    assert_eq!(findings, serde_json::json!([]), "seed {seed}");
    let interfaces: BTreeSet<String> = namespaces
        .iter()
        .map(|namespace| namespace.done(&["ip", "-o", "link"]))
        .collect::<Result<_>>()?;
    if interfaces.iter().any(|links| links.contains("eth0")) {
        bail!("seed {seed}: {interfaces:#?}");
    }
    println!(
        "{CONTAINERS} containers, {} tries, {} plugins killed, {:?}",
        given.tries.load(Ordering::Relaxed),
        given.kills.load(Ordering::Relaxed),
        began.elapsed()
    );
    Ok(())
}
