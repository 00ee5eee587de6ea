//! `weft events`: what happened in a fleet, in its order, also over restarts; and what keeps
//! it takes nothing from anybody.

use std::{
    collections::BTreeSet,
    fs::{self, File},
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tests::{
    lab::{Lab, SmallDisk},
    process::{self, keep},
    wait::patiently,
};

const BACK: &str = "somebody changed what is ours: putting it back";

/// What `weft events` tells, oldest first.
fn told(lab: &Lab, flags: &[&str]) -> Result<Vec<Value>> {
    let told = lab.weft(&[&["events"], flags].concat())?;
    Ok(told.as_array().context("a list")?.clone())
}

/// From whom (the end of it: a controller has an address), what, and a field of it.
type Wanted<'a> = (&'a str, &'a str, Option<(&'a str, &'a str)>);

fn is(event: &Value, (from, what, field): &Wanted<'_>) -> bool {
    let is_from = match *from {
        "controller" => event["kind"] == "controller",
        node => event["kind"] == "node" && event["from"] == node,
    };
    is_from
        && event["what"] == *what
        && field.is_none_or(|(name, value)| event["fields"][name] == value)
}

/// All of these, each after the one before it.
fn in_order(events: &[Value], wanted: &[Wanted<'_>]) -> Result<()> {
    let mut rest = events.iter();
    for one in wanted {
        let found = rest.any(|event| is(event, one));
        ensure!(found, "no {one:?} after those before it in {events:#?}");
    }
    Ok(())
}

fn happened(lab: &Lab, wanted: &[Wanted<'_>]) -> Result<()> {
    let what = format!("{:?} is told", wanted.last());
    patiently(&what, || in_order(&told(lab, &[])?, wanted))
}

#[test]
fn in_the_order_in_which_it_happened_also_over_restarts() -> Result<()> {
    let mut lab = Lab::new(3)?;
    lab.start_controller(&[])?;
    let mut agents = lab.agents(&[])?;
    let mut all: Vec<Wanted<'_>> = vec![
        ("controller", "starting", None),
        (
            "controller",
            "made the first network",
            Some(("network", "default")),
        ),
        ("controller", "agent connected", Some(("node", "h1"))),
        ("h1", "leased", Some(("network", "default"))),
        ("h1", "in sync", None),
    ];
    happened(&lab, &all)?;
    let connected = ("controller", "agent connected", Some(("node", "h3")));
    let first = told(&lab, &[])?;
    let first = first.iter().find(|event| is(event, &connected)).cloned();
    let first = first.context("h3 has connected")?;
    ensure!(first["fields"]["leased"].is_string(), "{first}");

    lab.host(1).ip(&["link del weft1"])?;
    all.push(("h1", BACK, None));
    happened(&lab, &all)?;

    agents[1].kill()?;
    all.push(("controller", "agent disconnected", Some(("node", "h2"))));
    happened(&lab, &all)?;
    let said = lab.weft_said(&["events"])?;
    ensure!(
        said.code == 0 && said.stderr.contains("node h2 is not connected"),
        "{said:?}"
    );
    agents[1].start()?;
    all.push(("h2", "starting", None));
    all.push(("controller", "agent connected", Some(("node", "h2"))));
    all.push(("h2", "session open", None));
    happened(&lab, &all)?;

    lab.weft(&["network", "create", "blue", "--pool", "10.99.0.0/16"])?;
    lab.weft_said(&["network", "delete", "blue"])?;
    all.push((
        "controller",
        "a network was made",
        Some(("pools", "10.99.0.0/16")),
    ));
    all.push((
        "controller",
        "a network is deleted",
        Some(("network", "blue")),
    ));
    happened(&lab, &all)?;

    lab.controllers[0].kill()?;
    lab.controllers[0].start()?;
    all.push(("h1", "the session ended; opening another", None));
    all.push(("controller", "starting", None));
    all.push(("h1", "session open", None));
    happened(&lab, &all)?;

    let said = lab.weft_said(&["node", "remove", "h3"])?;
    ensure!(said.code == 0, "{said:?}");
    all.push(("controller", "a node was removed", Some(("node", "h3"))));
    all.push(("h2", "peers changed", Some(("gone", "1"))));
    happened(&lab, &all)?;
    assert_eq!(agents[2].ended()?.code(), Some(1));
    let own = fs::read_to_string(lab.host(3).directory().join("state/events.jsonl"))?;
    let last = own.lines().next_back().context("its last")?;
    ensure!(last.contains("\"ended\"") && last.contains("h3"), "{last}");

    // All of it, of whoever was killed and started again.
    agents[0].kill()?;
    agents[0].start()?;
    happened(&lab, &[&all[..], &[("h1", "session open", None)]].concat())?;

    let warnings = told(&lab, &["--level", "warn"])?;
    let quiet = warnings.iter().filter(|event| event["level"] == "info");
    assert_eq!(quiet.count(), 0, "{warnings:#?}");
    // The controller serves plain text, and says so.
    ensure!(!warnings.is_empty());
    let newest = told(&lab, &["--limit", "3"])?;
    let events = told(&lab, &[])?;
    assert_eq!(newest.len(), 3);
    ensure!(events.ends_with(&newest), "{newest:#?} {events:#?}");
    for event in told(&lab, &["--node", "h2"])? {
        let of = [&event["from"], &event["fields"]["node"]];
        ensure!(of.contains(&&Value::from("h2")), "{event}");
    }
    assert_eq!(told(&lab, &["--since", "0s"])?, Vec::<Value>::new());
    Ok(())
}

#[test]
fn a_watch_goes_on_with_what_happens() -> Result<()> {
    let mut lab = Lab::new(1)?;
    lab.start_controller(&[])?;
    let _agents = lab.agents(&[])?;
    let path = lab.directory().join("watched");
    let controller = &lab.controllers[0];
    let mut command = controller.place().mortal(process::weft("weft")?);
    command.args(["events", "--watch", "-o", "json", "--controller"]);
    command.arg(controller.url()?).stdout(File::create(&path)?);
    let mut watching = keep(command)?;
    let watched = |what: &str, times: usize| {
        patiently(&format!("{what} is watched"), || {
            let text = fs::read_to_string(&path)?;
            let lines = text
                .lines()
                .filter_map(|line| serde_json::from_str(line).ok());
            let seen = lines.filter(|event: &Value| event["what"] == *what).count();
            ensure!(seen == times, "{text}");
            Ok(())
        })
    };
    let done = (|| {
        watched("made the first network", 1)?;
        lab.host(1).ip(&["link del weft1"])?;
        watched(BACK, 1)?;
        lab.weft(&["network", "create", "blue", "--pool", "10.99.0.0/16"])?;
        watched("a network was made", 1)?;
        // Once each.
        watched("made the first network", 1)?;
        watched(BACK, 1)
    })();
    process::kill(&mut watching)?;
    done
}

#[test]
fn a_torn_file_and_a_full_disk_take_nothing() -> Result<()> {
    const GONE: &str = "what happens is not on disk";
    let mut lab = Lab::new(1)?;
    lab.start_controller(&[])?;
    let host = lab.host(1);
    let disk = SmallDisk::of(host)?;
    let mut agent = lab.agent(1, &[])?;
    happened(&lab, &[("h1", "in sync", None)])?;
    agent.kill()?;
    // Its disk is the host's alone.
    let path = host.directory().join("state/events.jsonl");
    let path = path.to_str().context("a path")?;
    let tear = r#"test -s "$1" && printf '{"seq":12,"what":"torn' >>"$1""#;
    host.done(&["sh", "-c", tear, "sh", path])?;
    agent.start()?;
    happened(&lab, &[("h1", "in sync", None), ("h1", "starting", None)])?;

    disk.fill()?;
    patiently("the disk is full", || {
        host.ip(&["link del weft1"])?;
        ensure!(agent.log().contains(GONE), "{}", agent.log());
        Ok(())
    })?;
    host.ip(&["link set weft1 mtu 1300"])?;
    // In memory there is room.
    let full = [("h1", GONE, None), ("h1", BACK, None)];
    happened(&lab, &full)?;
    assert_eq!(agent.log().matches(GONE).count(), 1, "{}", agent.log());
    let before = told(&lab, &["--node", "h1"])?;

    disk.empty()?;
    host.ip(&["link set weft1 mtu 1301"])?;
    let again = ("h1", "what happens is on disk again", None);
    happened(&lab, &[full[0], again])?;
    agent.kill()?;
    agent.start()?;
    happened(&lab, &[full[0], full[1], again, ("h1", "starting", None)])?;
    let after = told(&lab, &["--node", "h1"])?;
    let of_agent = |events: &[Value]| -> Vec<Value> {
        let of = events.iter().filter(|event| event["kind"] == "node");
        of.cloned().collect()
    };
    let (before, after) = (of_agent(&before), of_agent(&after));
    ensure!(after.starts_with(&before), "{before:#?} {after:#?}");
    Ok(())
}

#[test]
fn of_every_controller_with_who_did_what_and_no_secret() -> Result<()> {
    let mut lab = Lab::new(2)?;
    lab.trust()?;
    lab.start_controllers(2, &[])?;
    let _agents = lab.agents(&[])?;
    let secret = lab.token(&["--node", "h9"])?;
    let made = lab.weft_said(&["operator", "create", "eve"])?;
    ensure!(made.code == 0, "{made:?}");
    happened(
        &lab,
        &[
            (
                "controller",
                "an operator logged in",
                Some(("operator", "admin")),
            ),
            ("controller", "a token was made", Some(("for", "node h1"))),
            ("controller", "a node joined", Some(("node", "h1"))),
            ("controller", "a token was made", Some(("for", "node h9"))),
            ("controller", "a token was made", Some(("by", "admin"))),
        ],
    )?;
    let events = told(&lab, &[])?;
    let from = |event: &Value| event["from"].as_str().map(ToOwned::to_owned);
    let places: BTreeSet<_> = events.iter().filter_map(from).collect();
    assert_eq!(places.len(), 4, "{places:?}");
    let mut kept = serde_json::to_string(&events)?;
    for controller in &lab.controllers {
        kept.push_str(&fs::read_to_string(controller.data().join("events.jsonl"))?);
    }
    for host in lab.hosts() {
        kept.push_str(&fs::read_to_string(
            host.directory().join("state/events.jsonl"),
        )?);
    }
    ensure!(
        !kept.contains("weft1-") && !kept.contains(&secret),
        "{kept}"
    );

    lab.controllers[1].kill()?;
    let place = lab.controllers[1].url()?;
    let said = lab.weft_said(&["events"])?;
    ensure!(said.code == 0 && said.stderr.contains(&place), "{said:?}");
    lab.controllers[1].start()?;
    patiently("its events are there again", || {
        let place = place.trim_start_matches("https://");
        let started = ("controller", "starting", None);
        let events = told(&lab, &[])?;
        let of = events.iter().filter(|event| event["from"] == place);
        let starts = of.filter(|event| is(event, &started)).count();
        ensure!(starts == 2, "{starts}: {events:#?}");
        Ok(())
    })
}
