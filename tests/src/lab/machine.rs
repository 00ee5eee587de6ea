//! A host that is a whole machine: its processes, its /run, /etc and /var/lib are its
//! own too, so that container engines run on it as they do on a real one. All of its
//! processes end with its first one, whoever started them.

use std::{
    io::Write,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::AtomicU32,
};

use anyhow::{Context, Result, ensure};

use super::{Ground, Host, Lab, Namespace, Plan, Switch};
use crate::process;

/// The file system is the real one, with layers that are the machine's own. Engines
/// keep their layers where no other layer is below.
const HOLD: &str = r#"
disk=$1 name=$2
read -r pid rest </proc/self/stat
mkdir -p "$disk/cgroup"
mount --rbind /sys/fs/cgroup "$disk/cgroup"
mount -t sysfs sysfs /sys
mount --move "$disk/cgroup" /sys/fs/cgroup
mount -t proc proc /proc
mount -t tmpfs -o mode=755 tmpfs /run
for place in etc opt var/lib; do
    mkdir -p "$disk/$place" "$disk/work/$place"
    layers="lowerdir=/$place,upperdir=$disk/$place,workdir=$disk/work/$place"
    mount -t overlay -o "$layers" overlay "/$place"
done
for engine in docker containers containerd lxc; do
    mkdir -p "$disk/$engine" "/var/lib/$engine"
    mount --bind "$disk/$engine" "/var/lib/$engine"
done
mkdir -p /run/netns /run/lock
mount -t tmpfs tmpfs /run/netns
mount --make-shared /run/netns
hostname "$name"
ip link set lo up
echo "held $pid"
exec tini -- sleep infinity >/dev/null 2>&1"#;

/// Removes the groups of processes that ended. What has just been killed is still
/// there for a moment.
const UNGROUP: &str = r#"
for try in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15; do
    # Some engines put theirs below the one that they are in themselves.
    left=$(find /sys/fs/cgroup -maxdepth 5 -type d -name "$1" -prune)
    [ -z "$left" ] && break
    find $left -depth -type d -exec rmdir {} + 2>/dev/null || sleep 0.1
done
[ -z "$left" ]"#;
/// When a pipe ends that this process alone has open; without a word in it this
/// process was killed, and the directory of its lab is left too.
const SWEEP: &str = r#"read -r dropped
sh -c "$3" ungroup "$1"
[ -n "$dropped" ] || set -- "$1" "$2" "$3" "$4" "$4"
for try in 1 2 3 4 5 6 7 8 9; do
    rm -rf "$2" "$5" 2>/dev/null && break
    sleep 0.2
done"#;

/// What of it outlives a reboot.
pub(super) struct Machine {
    name: String,
    /// The sweeper removes it.
    disk: PathBuf,
    sweeper: Child,
    namespace: Namespace,
}

impl Lab {
    /// Hosts that are whole machines.
    pub fn of_machines(hosts: u32) -> Result<Self> {
        let plan = Plan::new(hosts, Ground::Switched)?;
        let directory = tempfile::Builder::new().prefix("weft-lab-").tempdir()?;
        let switch = Switch::new(Namespace::new("switch".to_owned())?, plan)?;
        let machine = |number| {
            let machine = Machine::new(format!("h{number}"), directory.path())?;
            Ok((number, machine))
        };
        let machines: Vec<(u32, Machine)> = (1..=hosts).map(machine).collect::<Result<_>>()?;
        let namespaces = machines
            .iter()
            .map(|(number, machine)| (*number, machine.namespace.clone()));
        switch.attach(&namespaces.collect::<Vec<_>>())?;
        let host = |(number, machine): (u32, Machine)| Host {
            number,
            namespace: machine.namespace.clone(),
            plan,
            directory: directory.path().join(format!("h{number}")),
            containers: AtomicU32::new(0),
            machine: Some(machine),
        };
        Ok(Self {
            plan,
            hosts: machines.into_iter().map(host).collect(),
            switch,
            controllers: Vec::new(),
            etcd: None,
            directory,
        })
    }

    /// The power of a machine fails and comes back: its disk is as it was, and all else
    /// is new.
    pub fn reboot(&mut self, number: u32) -> Result<()> {
        let index = number.checked_sub(1).context("numbers begin at 1")? as usize;
        let host = self.hosts.get_mut(index).context("there is no such host")?;
        let machine = host.machine.as_mut().context("it is no whole machine")?;
        machine.reboot()?;
        host.namespace = machine.namespace.clone();
        self.switch.forget(number)?;
        self.switch.attach(&[(number, host.namespace.clone())])
    }
}

impl Host {
    /// Where its engines are to put the groups of their processes; of a machine.
    pub fn group(&self) -> Result<&str> {
        let group = self
            .machine()?
            .disk
            .file_name()
            .and_then(|name| name.to_str());
        group.context("the name of a directory")
    }

    fn machine(&self) -> Result<&Machine> {
        let machine = self.machine.as_ref();
        machine.with_context(|| format!("{} is no whole machine", self.node()))
    }
}

impl Machine {
    fn new(name: String, lab: &Path) -> Result<Self> {
        let disk = tempfile::Builder::new().prefix("weft-machine-").tempdir()?;
        let group = disk.path().file_name().context("it has a name")?.to_owned();
        let mut sweeper = Command::new("setsid");
        sweeper.args(["sh", "-c", SWEEP, "sweep"]);
        sweeper.arg(group).arg(disk.path()).arg(UNGROUP).arg(lab);
        sweeper.stdin(Stdio::piped());
        sweeper.stdout(Stdio::null()).stderr(Stdio::null());
        let sweeper = sweeper.spawn().context("start setsid")?;
        let disk = disk.keep();
        let namespace = boot(&name, &disk)?;
        Ok(Self {
            name,
            disk,
            sweeper,
            namespace,
        })
    }

    fn reboot(&mut self) -> Result<()> {
        self.namespace.end();
        let mut ungroup = Command::new("sh");
        ungroup.args(["-c", UNGROUP, "ungroup"]);
        ungroup.arg(self.disk.file_name().context("it has a name")?);
        let said = process::said(ungroup)?;
        ensure!(said.code == 0, "groups are left: {said:?}");
        self.namespace = boot(&self.name, &self.disk)?;
        Ok(())
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.namespace.end();
        if let Some(mut pipe) = self.sweeper.stdin.take() {
            drop(pipe.write_all(b"dropped\n"));
        }
        drop(self.sweeper.wait());
    }
}

fn boot(name: &str, disk: &Path) -> Result<Namespace> {
    let mut hold = process::mortal("unshare");
    hold.args([
        "--net",
        "--mount",
        "--uts",
        "--ipc",
        "--pid",
        "--fork",
        "--kill-child",
        "--",
    ]);
    hold.args(["sh", "-ec", HOLD, "hold"]).arg(disk).arg(name);
    Namespace::machine(name.to_owned(), hold)
}
