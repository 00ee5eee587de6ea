//! What joins a network namespace that is there already: runc, LXC, systemd-nspawn.

use std::{fs, path::Path};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::{Contained, Image, says};
use crate::{lab::Host, wait::patiently};

/// Runs the rest in a group: systemd-nspawn makes the groups of its processes beside its own.
pub(super) const GROUPED: &str = r#"group=$1; shift
for place in /sys/fs/cgroup /sys/fs/cgroup/unified /sys/fs/cgroup/systemd; do
    [ -e "$place/cgroup.procs" ] || continue
    mkdir -p "$place/$group" && echo $$ >"$place/$group/cgroup.procs"
done
exec "$@""#;

/// Makes a network namespace with a name; its path on the machine.
pub fn netns(host: &Host, name: &str) -> Result<String> {
    host.done(&["ip", "netns", "add", name])?;
    Ok(format!("/run/netns/{name}"))
}

pub fn runc(host: &Host, name: &str, netns: &str) -> Result<Contained> {
    let bundle = host.directory().join(name);
    fs::create_dir_all(&bundle)?;
    let path = bundle.to_string_lossy().into_owned();
    host.done(&["runc", "spec", "--bundle", &path])?;
    let config = bundle.join("config.json");
    let mut spec: Value = serde_json::from_slice(&fs::read(&config)?)?;
    spec["process"]["terminal"] = json!(false);
    spec["process"]["args"] = json!(["/bin/sh", "-c", says(name)]);
    // More than a root of a lab may have.
    spec["process"]["rlimits"] = json!([]);
    spec["root"] = json!({"path": Image::of(host)?.unpacked(name)?, "readonly": false});
    spec["linux"]["cgroupsPath"] = json!(format!("/{}/{name}", host.group()?));
    let spaces = spec["linux"]["namespaces"].as_array_mut();
    let network = spaces.and_then(|spaces| spaces.iter_mut().find(|one| one["type"] == "network"));
    network.context("a network namespace")?["path"] = json!(netns);
    fs::write(&config, spec.to_string())?;
    // It keeps what it is given to write to, and so would whoever waits for its end.
    let quiet = "exec runc run --detach --bundle \"$1\" \"$2\" </dev/null >/dev/null 2>\"$1/log\"";
    let said = host.run(&["sh", "-c", quiet, "run", &path, name])?;
    let log = fs::read_to_string(bundle.join("log"))?;
    ensure!(said.code == 0, "runc run {name}: {log}");
    let state: Value = host.json(&["runc", "state", name])?;
    let process = state["pid"].as_u64().context("a process")?;
    Contained::new(host, name, u32::try_from(process)?, &["runc", "exec", name])
}

pub fn lxc(host: &Host, name: &str, netns: &str) -> Result<Contained> {
    let shared = format!("lxc.namespace.share.net = {netns}");
    lxc_with(host, name, &shared, "PATH=/usr/sbin:/usr/bin:/sbin:/bin")
}

/// With this in its configuration, started in this environment.
pub fn lxc_with(host: &Host, name: &str, more: &str, environment: &str) -> Result<Contained> {
    let root = Image::of(host)?.unpacked(name)?;
    fs::write(root.join("start"), says(name))?;
    let config = format!(
        "lxc.uts.name = {name}
lxc.rootfs.path = dir:{root}
{more}
lxc.apparmor.profile = unconfined
lxc.cgroup.dir = {group}/{name}
lxc.init.cmd = /bin/sh /start
lxc.tty.max = 0
lxc.pty.max = 0
lxc.console.path = none
lxc.mount.auto = proc:mixed
",
        root = root.display(),
        group = host.group()?
    );
    host.write(&format!("/var/lib/lxc/{name}/config"), config)?;
    host.done(&["env", environment, "lxc-start", "--name", name])?;
    host.done(&[
        "lxc-wait",
        "--name",
        name,
        "--state",
        "RUNNING",
        "--timeout",
        "10",
    ])?;
    let process = host.done(&["lxc-info", "--name", name, "--no-humanize", "--pid"])?;
    let process = process.trim().parse().context("a process")?;
    Contained::new(host, name, process, &["lxc-attach", "--name", name, "--"])
}

pub fn nspawn(host: &Host, name: &str, netns: &str) -> Result<Contained> {
    let root = Image::of(host)?.unpacked(name)?;
    let (path, machine) = (root.display().to_string(), format!("--machine={name}"));
    let netns = format!("--network-namespace-path={netns}");
    let group = format!("{}/{name}", host.group()?);
    let enter = [
        "sh",
        "-c",
        GROUPED,
        "grouped",
        &group,
        "systemd-nspawn",
        "--quiet",
    ];
    let without = [
        "--register=no",
        "--keep-unit",
        "--as-pid2",
        "--console=pipe",
    ];
    let program = says(name);
    let run = ["-D", &path, &machine, &netns, "/bin/sh", "-c", &program];
    let log = host.directory().join(format!("{name}.log"));
    let running = host.spawn_into(&[&enter[..], &without, &run].concat(), &log)?;
    let process = patiently("nspawn runs its program", || {
        leader(host, &root).with_context(|| fs::read_to_string(&log).unwrap_or_default())
    })?;
    let target = process.to_string();
    let enter = ["nsenter", "-t", &target, "-m", "-n", "-p", "-r", "-w", "--"];
    let mut contained = Contained::new(host, name, process, &enter)?;
    contained._running = Some(running);
    Ok(contained)
}

/// No engine at all: a program in the namespace, with the files of its machine.
pub fn plain(host: &Host, name: &str, netns: &str) -> Result<Contained> {
    let directory = host.directory().join(name);
    fs::create_dir_all(&directory)?;
    fs::write(directory.join("index.html"), name)?;
    let (files, log) = (directory.display().to_string(), directory.join("log"));
    let netns = format!("--net={netns}");
    let serve = ["busybox", "httpd", "-f", "-p", "80", "-h", &files];
    let running = host.spawn_into(&[&["nsenter", &netns, "--"], &serve[..]].concat(), &log)?;
    // The path leads to the namespace while somebody has it mounted.
    let path = host.path(netns.trim_start_matches("--net="));
    let mut contained = Contained::within(host, name, &path, &["nsenter", &netns, "--"])?;
    contained._running = Some(running);
    Ok(contained)
}

/// The process whose root is this one, when it has become its program.
fn leader(host: &Host, root: &Path) -> Result<u32> {
    for entry in fs::read_dir(host.path("/proc"))? {
        let process = entry?.file_name().to_string_lossy().into_owned();
        let name = fs::read_to_string(host.path(&format!("/proc/{process}/comm")));
        let files = host.path(&format!("/proc/{process}/root/www/index.html"));
        if name.is_ok_and(|name| name == "httpd\n") && files.exists() {
            let said = fs::read_to_string(files)?;
            if root.ends_with(said.trim()) {
                return process.parse().context("a process");
            }
        }
    }
    anyhow::bail!("it does not run yet")
}
