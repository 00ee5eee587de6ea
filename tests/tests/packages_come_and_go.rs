//! The Debian packages on a Debian that boots, with a systemd that starts, watches and
//! stops what they bring: installed, upgraded, removed, purged, under running pings.

use std::{env, net::IpAddr, path::PathBuf};

use anyhow::{Context, Result, ensure};
use overlay::trial::{Open, Opened, Place};
use tests::{
    engine::Booted,
    lab::{Lab, Pinger},
    wait::patiently,
};

const DAEMONS: [&str; 2] = ["weft-controller", "weft-agent"];
/// What packages of ours have on a disk.
const OURS: &str = "find /etc /usr /lib/systemd /var/lib /opt -name '*weft*' \
    ! -path '/var/lib/dpkg/*' ! -path '/usr/share/doc/*' | sort";

fn place(variable: &str) -> Result<PathBuf> {
    let path = env::var_os(variable);
    path.map(PathBuf::from)
        .with_context(|| format!("{variable} is not set: run `make test-packages`"))
}

fn active(debian: &Booted<'_>, unit: &str) -> Result<()> {
    let state = debian.property(unit, "ActiveState")?;
    ensure!(
        state == "active",
        "{unit} is {state}: {}",
        log(debian, unit)
    );
    Ok(())
}

fn log(debian: &Booted<'_>, unit: &str) -> String {
    let journal = debian.run(&format!("journalctl --no-pager -n 50 -u {unit}"));
    journal.map_or_else(|error| format!("{error:#}"), |said| said.stdout)
}

/// The agent is ready, and tells systemd so.
fn ready(debian: &Booted<'_>) -> Result<()> {
    patiently("the agent is ready", || {
        for daemon in DAEMONS {
            active(debian, daemon)?;
            let said = debian.property(daemon, "StatusText")?;
            ensure!(said.starts_with("ready"), "{daemon} says {said:?}");
        }
        debian.done("weft-agent status").map(drop)
    })
}

/// Attaches `web1` and `web2`, and pings the one from the other.
fn attach(debian: &Booted<'_>) -> Result<Pinger> {
    for name in ["web1", "web2"] {
        debian.done(&format!("ip netns add {name}"))?;
        debian.done(&format!("weft attach --netns {name} --name {name}"))?;
    }
    pinger(debian)
}

fn pinger(debian: &Booted<'_>) -> Result<Pinger> {
    let shown = debian.done("weft endpoint show web2 -o json")?;
    let shown: serde_json::Value = serde_json::from_str(&shown)?;
    let address = shown["addresses"][0]
        .as_str()
        .with_context(|| format!("{shown}"))?;
    let address: IpAddr = address.split('/').next().unwrap_or(address).parse()?;
    Pinger::start(&debian.netns("web1")?, address)
}

fn nothing_lost(pinger: Pinger, while_what: &str) -> Result<()> {
    let pinged = pinger.finish()?;
    ensure!(pinged.received > 100, "{while_what}: {pinged:?}");
    ensure!(pinged.losses.is_empty(), "{while_what}: {pinged:?}");
    Ok(())
}

#[test]
#[ignore = "needs a Debian and packages: make test-packages"]
fn installed_watched_upgraded_removed_and_purged() -> Result<()> {
    let lab = Lab::of_machines(1)?;
    let host = lab.host(1);
    let debian = Booted::new(host, &place("WEFT_DEBIAN")?, &place("WEFT_DEBS")?)?;

    // Installed, all of it runs; an agent that was told nothing waits.
    debian.done("dpkg --install /debs/old/*.deb")?;
    for daemon in DAEMONS {
        active(&debian, daemon)?;
        let enabled = debian.done(&format!("systemctl is-enabled {daemon}"))?;
        assert_eq!(enabled, "enabled\n");
    }
    let user = debian.property("weft-controller", "User")?;
    let owner = debian.done("stat -c %U:%a /var/lib/weft")?;
    assert_eq!((user.as_str(), owner.as_str()), ("weft", "weft:700\n"));
    debian.done(&format!(
        "sed -i 's/^#node = .*/node = \"h1\"/; s/^#node-ip = .*/node-ip = \"{}\"/' /etc/weft/agent.toml",
        host.v4()
    ))?;
    debian.done("systemctl restart weft-agent")?;
    ready(&debian)?;
    let in_force = debian.done("weft-agent --print-config")?;
    ensure!(in_force.contains("/etc/weft/agent.toml:"), "{in_force}");
    let pings = attach(&debian)?;
    let named = debian.done("ip route show proto weft")?;
    ensure!(named.contains("unreachable"), "{named}");
    // With the few rights that it has there it finds all well, and makes namespaces.
    debian.done("weft doctor")?;
    let open = Open {
        network: "default".parse()?,
        place: Place::Endpoint,
        life_ms: 5_000,
    };
    let opened: Opened = debian.client().ask("POST", "/trials", Some(&open))?;
    ensure!(opened.targets.len() == 1, "{opened:?}");
    let complaints =
        debian.done("journalctl --no-pager -o cat -u weft-agent -u weft-controller")?;
    for refusal in ["not permitted", "denied", "Read-only"] {
        ensure!(!complaints.contains(refusal), "{complaints}");
    }

    // Frozen, they are ended and started again; nobody notices.
    for daemon in DAEMONS {
        debian.done(&format!(
            "mkdir -p /run/systemd/system/{daemon}.service.d
             printf '[Service]\\nWatchdogSec=2\\n' >/run/systemd/system/{daemon}.service.d/soon.conf
             systemctl daemon-reload
             systemctl restart {daemon}"
        ))?;
        let process = debian.property(daemon, "MainPID")?;
        debian.done(&format!("kill -STOP {process}"))?;
        patiently(&format!("a frozen {daemon} is started again"), || {
            let other = debian.property(daemon, "MainPID")?;
            ensure!(![process.as_str(), "0"].contains(&other.as_str()));
            active(&debian, daemon)
        })?;
        assert_eq!(debian.property(daemon, "NRestarts")?, "1");
        ensure!(
            log(&debian, daemon).contains("Watchdog timeout"),
            "{daemon}"
        );
    }
    ready(&debian)?;
    nothing_lost(pings, "daemons were frozen")?;

    // Upgraded: what was changed stays, containers do not notice.
    let pings = pinger(&debian)?;
    let device = debian.done("cat /sys/class/net/weft1/ifindex")?;
    let before = debian.property("weft-agent", "MainPID")?;
    debian.done("dpkg --install /debs/new/*.deb")?;
    ready(&debian)?;
    ensure!(
        debian.property("weft-agent", "MainPID")? != before,
        "the old one runs"
    );
    assert_eq!(debian.done("cat /sys/class/net/weft1/ifindex")?, device);
    let changed = debian.done("grep -c ^node /etc/weft/agent.toml")?;
    assert_eq!(changed, "2\n");
    nothing_lost(pings, "packages were upgraded")?;

    // What somebody disabled is not started by an upgrade.
    debian.done("systemctl disable --now weft-controller")?;
    debian.done("dpkg --install /debs/new/weft-controller_*.deb")?;
    assert_eq!(
        debian.property("weft-controller", "ActiveState")?,
        "inactive"
    );
    debian.done("systemctl enable --now weft-controller")?;

    // Removed, it is stopped; the networks stay, as do files and identity.
    let pings = pinger(&debian)?;
    let identity = "sed 's/,.previous.*//' /var/lib/weft-agent/identity.json";
    let node = debian.done(identity)?;
    debian.done("dpkg --remove weft-agent")?;
    assert_eq!(debian.property("weft-agent", "ActiveState")?, "inactive");
    debian.done("test ! -e /usr/bin/weft-agent -a -e /etc/weft/agent.toml")?;
    assert_eq!(debian.done("cat /sys/class/net/weft1/ifindex")?, device);
    debian.done("dpkg --install /debs/new/weft-agent_*.deb")?;
    ready(&debian)?;
    assert_eq!(debian.done(identity)?, node);
    nothing_lost(pings, "the agent was removed and came back")?;

    // Purged, nothing is left: of the agent in the kernel, of all of them on the disk.
    debian.done("dpkg --purge weft-agent")?;
    let left = "ip -o link | grep -E ': (weft|wv)' || true; ip route show table all proto 77";
    assert_eq!(debian.done(left)?, "");
    debian.done("dpkg --purge weft-controller weft")?;
    // The user stays, as users do in Debian.
    assert_eq!(debian.done(OURS)?, "");
    let failed =
        debian.done("systemctl --failed --no-legend; ls -A /etc/weft 2>/dev/null || true")?;
    assert_eq!(failed, "");
    Ok(())
}
