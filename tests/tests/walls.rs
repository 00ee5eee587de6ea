//! The walls of the house, as the build sees them: who depends on what, under which
//! licence, and what the pure crate does not reach for.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

/// All that the pure crate is built from.
const OVERLAY: [&str; 5] = ["ipnetwork", "serde", "serde_json", "thiserror", "uuid"];

/// All that a program is built from that starts for every container, and what it asks by.
const SHIM: [(&str, &[&str]); 2] = [
    (
        "cni",
        &["overlay", "serde", "serde_json", "socket", "thiserror"],
    ),
    (
        "socket",
        &["overlay", "rustix", "serde", "serde_json", "thiserror"],
    ),
];

/// Which of our crates may use what for its daily work.
const ONLY: [(&str, &[&str]); 3] = [
    ("controller", &["etcd-client", "redb"]),
    ("node-agent", &["rtnetlink", "neli"]),
    // A first part of a name ends with a dash.
    ("node-agent", &["netlink-"]),
];

/// Licences that ask for no more than their text.
const LICENCES: [&str; 13] = [
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "ISC",
    "MIT",
    "MIT-0",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

/// What a crate without IO, clock, async and chance has no word for.
const WORDS: [&str; 13] = [
    ".await",
    "async fn",
    "Instant",
    "SystemTime",
    "std::fs",
    "std::env",
    "std::process",
    "std::thread",
    "TcpStream",
    "UdpSocket",
    "tokio",
    "rand::",
    "new_v4",
];

#[test]
fn overlay_is_built_from_values_alone() -> Result<()> {
    let house = House::look()?;
    let used = house.dependencies("overlay")?;
    let more: Vec<_> = used
        .iter()
        .filter(|name| !OVERLAY.contains(&name.as_str()))
        .collect();
    assert!(more.is_empty(), "overlay depends on {more:?} as well");
    Ok(())
}

#[test]
fn what_starts_for_every_container_is_built_from_little() -> Result<()> {
    let house = House::look()?;
    for (member, little) in SHIM {
        let used = house.dependencies(member)?;
        let mut more = used.iter().filter(|name| !little.contains(&name.as_str()));
        assert_eq!(more.next(), None, "{member} depends on that as well");
    }
    Ok(())
}

#[test]
fn stores_are_the_controllers_and_netlink_is_the_agents() -> Result<()> {
    let house = House::look()?;
    for member in house.members()? {
        for used in house.dependencies(&member)? {
            for (owner, kept) in ONLY {
                let theirs = kept
                    .iter()
                    .any(|kept| used == *kept || (kept.ends_with('-') && used.starts_with(kept)));
                assert!(
                    !theirs || member == owner,
                    "{member} depends on {used}, which only {owner} may"
                );
            }
        }
    }
    Ok(())
}

#[test]
fn every_licence_is_one_we_can_keep() -> Result<()> {
    let house = House::look()?;
    assert!(house.packages.len() > 100, "is that the whole graph?");
    let mut strange = BTreeMap::new();
    for package in &house.packages {
        let name = text(package, "name")?;
        let licence = package["license"].as_str().unwrap_or("none at all");
        if !allowed(licence) {
            strange.insert(name, licence.to_owned());
        }
    }
    assert!(strange.is_empty(), "{strange:#?}");
    Ok(())
}

#[test]
fn a_licence_is_read_as_it_is_meant() {
    for licence in [
        "MIT",
        "MIT OR GPL-3.0",
        "GPL-3.0 OR MIT",
        "MIT/Apache-2.0",
        "(MIT OR Apache-2.0) AND Unicode-3.0",
        "Apache-2.0 WITH LLVM-exception OR Apache-2.0 OR MIT",
    ] {
        assert!(allowed(licence), "{licence}");
    }
    for licence in [
        "GPL-3.0",
        "MIT AND GPL-3.0",
        "(MIT OR Apache-2.0) AND GPL-3.0",
        "MIT OR Apache-2.0 AND",
        "none at all",
        "",
    ] {
        assert!(!allowed(licence), "{licence}");
    }
}

#[test]
fn overlay_has_no_word_for_the_world() -> Result<()> {
    let mut found = Vec::new();
    let files = sources(&root().join("overlay/src"))?;
    assert!(files.len() > 10, "is that the whole crate? {files:?}");
    for file in files {
        let source = fs::read_to_string(&file)?;
        for (number, line) in source.lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            let reached = WORDS.iter().filter(|word| code.contains(**word));
            found.extend(reached.map(|word| format!("{}:{}: {word}", file.display(), number + 1)));
        }
    }
    assert!(found.is_empty(), "{found:#?}");
    Ok(())
}

/// The workspace and everything it is built from.
struct House {
    packages: Vec<Value>,
    members: BTreeSet<String>,
}

impl House {
    fn look() -> Result<Self> {
        let platform = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
        let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
        let output = Command::new(cargo)
            .args(["metadata", "--format-version", "1", "--offline"])
            // What only other systems build with was not fetched.
            .args(["--filter-platform", &platform])
            .current_dir(root())
            .output()
            .context("cargo metadata")?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "cargo metadata: {said}");
        let metadata: Value = serde_json::from_slice(&output.stdout)?;
        let list = |key: &str| metadata[key].as_array().cloned().context("cargo's list");
        let members = list("workspace_members")?;
        Ok(Self {
            packages: list("packages")?,
            members: members
                .iter()
                .filter_map(|id| id.as_str().map(str::to_owned))
                .collect(),
        })
    }

    fn members(&self) -> Result<Vec<String>> {
        let ours = |package: &&Value| {
            package["id"]
                .as_str()
                .is_some_and(|id| self.members.contains(id))
        };
        let ours = self.packages.iter().filter(ours);
        ours.map(|package| text(package, "name")).collect()
    }

    /// What a crate of ours names in its manifest, but for its tests.
    fn dependencies(&self, member: &str) -> Result<BTreeSet<String>> {
        let package = self
            .packages
            .iter()
            .find(|package| package["name"] == member && package["source"].is_null())
            .with_context(|| format!("there is no crate {member}"))?;
        let named = package["dependencies"].as_array().context("dependencies")?;
        let daily = named.iter().filter(|named| named["kind"] != "dev");
        daily.map(|named| text(named, "name")).collect()
    }
}

/// An SPDX expression all of whose parts, or one of each choice, are allowed.
fn allowed(licence: &str) -> bool {
    let spaced = licence
        .replace('(', " ( ")
        .replace(')', " ) ")
        .replace('/', " OR ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    matches!(choice(&words), Some((true, [])))
}

/// `a OR b ...`: whether it is allowed, and what comes after it.
fn choice<'a>(words: &'a [&'a str]) -> Option<(bool, &'a [&'a str])> {
    let (mut fine, mut rest) = all(words)?;
    while let ["OR", more @ ..] = rest {
        let (other, after) = all(more)?;
        (fine, rest) = (fine || other, after);
    }
    Some((fine, rest))
}

/// `a AND b ...`, which binds more tightly.
fn all<'a>(words: &'a [&'a str]) -> Option<(bool, &'a [&'a str])> {
    let (mut fine, mut rest) = one(words)?;
    while let ["AND", more @ ..] = rest {
        let (other, after) = one(more)?;
        (fine, rest) = (fine && other, after);
    }
    Some((fine, rest))
}

fn one<'a>(words: &'a [&'a str]) -> Option<(bool, &'a [&'a str])> {
    match words {
        ["(", inner @ ..] => match choice(inner)? {
            (fine, [")", rest @ ..]) => Some((fine, rest)),
            _ => None,
        },
        [name, "WITH", exception, rest @ ..] => {
            let whole = format!("{name} WITH {exception}");
            Some((LICENCES.contains(&whole.as_str()), rest))
        }
        [name, rest @ ..] => Some((LICENCES.contains(name), rest)),
        [] => None,
    }
}

fn sources(directory: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).with_context(|| directory.display().to_string())? {
        let path = entry?.path();
        if path.is_dir() {
            files.extend(sources(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort_unstable();
    Ok(files)
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn text(value: &Value, key: &str) -> Result<String> {
    let text = value[key].as_str();
    Ok(text
        .with_context(|| format!("{key} in {value}"))?
        .to_owned())
}
