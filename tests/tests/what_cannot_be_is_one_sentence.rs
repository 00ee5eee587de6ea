//! Bad flags, bad subnets, pools that overlap or are full: a sentence that says what,
//! a code that is not 0, and nothing half made.

use std::{path::Path, thread};

use anyhow::{Context, Result, ensure};
use tests::{
    controller::Controller,
    etcd::Etcd,
    process::{self, Said},
};

/// As all of our programs mean them.
const FAILED: i32 = 1;
const BAD_USAGE: i32 = 2;

fn run(program: &str, arguments: &[&str]) -> Result<Said> {
    let mut command = process::mortal(process::weft(program)?);
    command.args(arguments);
    process::said(command)
}

/// The first paragraph is the sentence; what follows is how the program is used.
fn sentence(said: &Said) -> String {
    let first = said.stderr.split("\n\n").next().unwrap_or_default();
    first.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn is_told(said: &Said, code: i32, words: &[&str]) -> Result<()> {
    let sentence = sentence(said);
    ensure!(said.code == code, "{said:?}");
    ensure!(said.stdout.is_empty(), "{said:?}");
    ensure!(sentence.len() < 300, "{said:?}");
    for word in words {
        ensure!(sentence.contains(word), "{word} is not said: {said:?}");
    }
    Ok(())
}

/// A line as it is typed, and what its refusal says.
type Typed<'a> = (&'a str, &'a [&'a str]);

fn words(line: &str) -> Vec<&str> {
    line.split(' ').collect()
}

#[test]
fn what_was_typed_to_a_daemon() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let place = directory.path().join("made");
    let made = place.to_str().context("a path")?;
    let config = directory.path().join("config.toml");
    std::fs::write(&config, "nodee = \"a\"\n")?;
    let config = format!("--config {}", config.display());
    let agent: [Typed<'_>; 9] = [
        ("--nonsense", &["--nonsense"]),
        ("--controller here", &["here", "say https://here"]),
        (
            "--controller http://10.0.0.2:7440",
            &["plain text", "--insecure"],
        ),
        ("--networks Blue!", &["--networks", "a-z, 0-9 and -"]),
        ("--node Web!", &["--node", "Web!"]),
        ("--node-ip 10.0.0.300", &["--node-ip", "10.0.0.300"]),
        ("--look-every soon", &["--look-every", "soon"]),
        ("--log-format xml", &["xml", "json"]),
        (&config, &["nodee", ":1: unknown option"]),
    ];
    for (line, said) in agent {
        let told = run(
            "weft-agent",
            &[words(line), vec!["--state-dir", made]].concat(),
        )?;
        is_told(&told, BAD_USAGE, said).with_context(|| format!("weft-agent {line}"))?;
    }
    let controller: [Typed<'_>; 8] = [
        ("--nonsense", &["--nonsense"]),
        ("--store paper", &["paper", "embedded, etcd"]),
        (
            "--default-network 10.0.0.0/33",
            &["10.0.0.0/33", "write one as"],
        ),
        (
            "--default-network 10.32.0.1/12",
            &["host bits", "10.32.0.0/12"],
        ),
        (
            "--default-network 10.0.0.0/16,10.1.0.0/16",
            &["more than one v4 pool"],
        ),
        ("--listen 0.0.0.0:0", &["plain text", "--insecure"]),
        (
            "--store etcd --etcd-endpoints http://10.0.0.5:2379 --seal-file seal",
            &["http://10.0.0.5:2379", "plain text", "https://"],
        ),
        ("--session-ttl 1s", &["--session-ttl", "2s is the least"]),
    ];
    for (line, said) in controller {
        let told = run(
            "weft-controller",
            &[words(line), vec!["--data-dir", made]].concat(),
        )?;
        is_told(&told, BAD_USAGE, said).with_context(|| format!("weft-controller {line}"))?;
    }
    ensure!(!Path::new(made).exists(), "half made");
    Ok(())
}

#[test]
fn what_was_typed_to_a_controller() -> Result<()> {
    let controller = Controller::embedded(&[])?;
    let before = controller.weft_json(&["status"])?;
    // On its face; no controller is asked.
    let usage: [Typed<'_>; 7] = [
        ("nonsense", &["nonsense"]),
        ("lease acquire", &["--node"]),
        (
            "network create a --pool 10.0.0.0/33",
            &["10.0.0.0/33", "write one as"],
        ),
        (
            "network create a --pool 10.0.0.1/16",
            &["host bits", "10.0.0.0/16"],
        ),
        (
            "network create A! --pool 10.0.0.0/16",
            &["A!", "a-z, 0-9 and -"],
        ),
        (
            "network create a --pool 10.0.0.0/16 --vni 16777216",
            &["--vni", "16777216"],
        ),
        (
            "subnet reserve --node a --subnet 10.32.1.1/24",
            &["host bits"],
        ),
    ];
    // By what there is; the controller refuses.
    let fields: [Typed<'_>; 4] = [
        (
            "network create twin --pool 10.40.0.0/16",
            &["10.40.0.0/16", "default", "10.32.0.0/12"],
        ),
        ("network create a --pool 10.99.0.0/25", &["/25"]),
        (
            "subnet reserve --node a --subnet 10.99.1.0/24",
            &["10.99.1.0/24", "default"],
        ),
        (
            "lease acquire --node a --underlay 10.32.0.1",
            &["10.32.0.1", "default"],
        ),
    ];
    let others: [Typed<'_>; 3] = [
        ("network create default --pool 10.99.0.0/16", &["default"]),
        (
            "lease acquire --node a --network none",
            &["no network none"],
        ),
        ("lease release --node nobody", &["nobody"]),
    ];
    let bad = usage
        .into_iter()
        .chain(fields)
        .map(|typed| (typed, BAD_USAGE));
    for ((line, said), code) in bad.chain(others.map(|typed| (typed, FAILED))) {
        let told = controller.weft(&words(line))?;
        is_told(&told, code, said).with_context(|| format!("weft {line}"))?;
    }
    let after = controller.weft_json(&["status"])?;
    assert_eq!(after["revision"], before["revision"], "half made: {after}");
    assert!(after["revision"].as_u64().is_some(), "{after}");
    Ok(())
}

/// The first family has room, the second has none: neither is taken.
#[test]
fn one_family_too_few() -> Result<()> {
    let controller = Controller::embedded(&["--default-network", "10.99.0.0/18,fd99::/62"])?;
    for number in 0..4 {
        controller.weft_json(&["lease", "acquire", "--node", &format!("n{number}")])?;
    }
    let before = controller.weft_json(&["status"])?;
    for _ in 0..3 {
        let said = controller.weft(&["lease", "acquire", "--node", "late"])?;
        is_told(
            &said,
            FAILED,
            &["default", "fd99::/62", "of 4", "network grow"],
        )?;
    }
    let after = controller.weft_json(&["status"])?;
    assert_eq!(after["revision"], before["revision"], "half made: {after}");
    assert_eq!(controller.weft(&["node", "show", "late"])?.code, 1);
    let grown = controller.weft(&["network", "grow", "default", "--pool", "fd99::/61"])?;
    assert_eq!(grown.code, 0, "{grown:?}");
    // The next of both, as if nobody had asked before.
    let lease = controller.weft_json(&["lease", "acquire", "--node", "late"])?;
    assert_eq!(
        lease["subnets"],
        serde_json::json!(["10.99.4.0/24", "fd99:0:0:4::/64"])
    );
    Ok(())
}

/// Of networks that overlap, made through two controllers at one time, one is made.
#[test]
fn pools_that_overlap_at_the_same_moment() -> Result<()> {
    let etcd = Etcd::start()?;
    let controllers = [Controller::etcd(&etcd, &[])?, Controller::etcd(&etcd, &[])?];
    for number in 0..8 {
        let names = [format!("a{number}"), format!("b{number}")];
        let pools = [
            format!("10.{}.0.0/16", 100 + number),
            format!("10.{}.128.0/17", 100 + number),
        ];
        let said: Vec<Result<Said>> = thread::scope(|scope| {
            let asked: Vec<_> = (0..2)
                .map(|which| {
                    let (controller, name, pool) =
                        (&controllers[which], &names[which], &pools[which]);
                    scope.spawn(move || {
                        controller.weft(&["network", "create", name, "--pool", pool])
                    })
                })
                .collect();
            asked
                .into_iter()
                .map(|one| one.join().expect("no panic"))
                .collect()
        });
        let said: Vec<Said> = said.into_iter().collect::<Result<_>>()?;
        let mut codes: Vec<i32> = said.iter().map(|said| said.code).collect();
        codes.sort_unstable();
        ensure!(codes == [0, BAD_USAGE], "{said:?}");
        let loser = said
            .iter()
            .position(|said| said.code != 0)
            .context("a loser")?;
        is_told(&said[loser], BAD_USAGE, &[&names[1 - loser]])?;
        let listed = controllers[loser].weft_json(&["network", "list"])?;
        let named = |name: &str| {
            listed
                .as_array()
                .into_iter()
                .flatten()
                .any(|network| network["name"] == name)
        };
        ensure!(
            named(&names[1 - loser]) && !named(&names[loser]),
            "{listed}"
        );
    }
    Ok(())
}
