//! What goes wrong with controllers and their store.

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tests::process;
use uuid::Uuid;

use super::Watched;

pub const TRIED: &[&str] = &[
    "WeftRecordSetAside",
    "WeftClocksDisagree",
    "WeftPoolNearlyFull",
    "WeftPeersLost",
    "WeftFeedBehind",
    "WeftControllerDown",
    "WeftStoreAway",
    "WeftCallsRefused",
];

#[test]
fn each_fault_of_the_fleet_is_told() -> Result<()> {
    let mut watched = Watched::new(2, 2, &["--hold-losses", "3s"])?;
    set_aside(&mut watched)?;
    clocks(&mut watched)?;
    pool_and_losses(&mut watched)?;
    behind(&mut watched)?;
    watched.fires("WeftControllerDown", |it| it.lab.controllers[1].kill())?;
    watched.lab.controllers[1].start()?;
    watched.silent(&["WeftControllerDown"])?;
    watched.fires("WeftStoreAway", |it| {
        it.lab.etcd.as_mut().context("etcd")?.kill()
    })?;
    watched.lab.etcd.as_mut().context("etcd")?.restart()?;
    watched.silent(&["WeftStoreAway"])?;
    strangers(&mut watched)
}

fn set_aside(watched: &mut Watched) -> Result<()> {
    let key = "/weft/net/ghost";
    watched.fires("WeftRecordSetAside", |it| {
        it.lab.etcd.as_ref().context("etcd")?.put(key, "{")
    })?;
    watched.lab.etcd.as_ref().context("etcd")?.delete(key)?;
    watched.silent(&["WeftRecordSetAside"])
}

/// A controller writes its time; one whose clock is an hour ahead wrote this.
fn clocks(watched: &mut Watched) -> Result<()> {
    let key = format!("/weft/ctl/{}", Uuid::new_v4());
    watched.fires("WeftClocksDisagree", |it| {
        let etcd = it.lab.etcd.as_ref().context("etcd")?;
        let theirs = etcd.etcdctl(["get", "--prefix", "--print-value-only", "/weft/ctl/"])?;
        let first = theirs.lines().next().context("a controller's record")?;
        let mut record: Value = serde_json::from_str(first)?;
        let now = record["wall_ms"].as_u64().context("its time")?;
        record["wall_ms"] = (now + 3_600_000).into();
        etcd.put(&key, &record.to_string())
    })?;
    watched.lab.etcd.as_ref().context("etcd")?.delete(&key)?;
    watched.silent(&["WeftClocksDisagree"])
}

/// Nodes without an agent take what is left; then somebody deletes their leases at once.
fn pool_and_losses(watched: &mut Watched) -> Result<()> {
    watched.fires("WeftPoolNearlyFull", |it| {
        for number in 61..67 {
            let (node, underlay) = (format!("n{number}"), format!("192.0.2.{number}"));
            let mac = format!("02:00:00:00:00:{number}");
            let whose = ["--node", &node, "--underlay", &underlay, "--mac", &mac];
            it.lab.weft(&[&["lease", "acquire"], &whose[..]].concat())?;
        }
        Ok(())
    })?;
    watched.fires("WeftPeersLost", |it| {
        let etcd = it.lab.etcd.as_ref().context("etcd")?;
        let leases = ["del", "--prefix", "/weft/lease/default/n"];
        etcd.etcdctl(leases).map(drop)
    })?;
    // The claims are given back by a controller, and the entries let go after their time.
    watched.silent(&["WeftPoolNearlyFull", "WeftPeersLost"])
}

/// An agent that stands still does not hear of a new peer.
fn behind(watched: &mut Watched) -> Result<()> {
    watched.fires("WeftFeedBehind", |it| {
        it.agents[1].pause()?;
        let new = ["--node", "new", "--underlay", "192.0.2.70"];
        let lease = ["lease", "acquire", "--mac", "02:00:00:00:00:70"];
        it.lab.weft(&[&lease[..], &new].concat()).map(drop)
    })?;
    watched.agents[1].resume()?;
    watched.silent(&["WeftFeedBehind", "WeftAgentDown", "WeftNodeNotReady"])
}

/// Somebody asks again and again, and has no certificate.
fn strangers(watched: &mut Watched) -> Result<()> {
    watched.fires("WeftCallsRefused", |it| {
        let controller = &it.lab.controllers[0];
        let plain = controller.url()?.replace("https://", "http://");
        for _ in 0..20 {
            let mut command = controller.place().command(process::weft("weft")?);
            command.args(["lease", "list", "--controller", &plain]);
            let said = process::said(command)?;
            ensure!(said.code == 1, "{said:?}");
        }
        Ok(())
    })
}
