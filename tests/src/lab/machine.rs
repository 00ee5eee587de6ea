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

/// Its files are those of this machine, or of another system, with layers that are its
/// own. Engines keep their layers where no other layer is below. Programs of ours and
/// what tests write are where they are everywhere.
const HOLD: &str = r#"
disk=$1 name=$2 system=$3 programs=$4 temporary=$5 top=
read -r pid rest </proc/self/stat
layered() {
    mkdir -p "$disk/layers/$1" "$disk/scratch/$1"
    layers="lowerdir=$2,upperdir=$disk/layers/$1,workdir=$disk/scratch/$1"
    mount -t overlay -o "$layers" overlay "$3"
}
mkdir -p "$disk/cgroup" "$disk/top"
mount --rbind /sys/fs/cgroup "$disk/cgroup"
if [ -n "$system" ]; then
    top=$disk/top
    layered system "$system" "$top"
    mkdir -p "$top$programs" "$top$temporary"
    mount --rbind /dev "$top/dev"
    mount --bind "$programs" "$top$programs"
    mount --bind "$temporary" "$top$temporary"
else
    for place in etc opt var/lib; do
        layered "$place" "/$place" "/$place"
    done
fi
mount -t sysfs sysfs "$top/sys"
mount --move "$disk/cgroup" "$top/sys/fs/cgroup"
mount -t proc proc "$top/proc"
mount -t tmpfs -o mode=755 tmpfs "$top/run"
for engine in docker containers containerd lxc; do
    mkdir -p "$disk/$engine" "$top/var/lib/$engine"
    mount --bind "$disk/$engine" "$top/var/lib/$engine"
done
mkdir -p "$top/run/netns" "$top/run/lock"
mount -t tmpfs tmpfs "$top/run/netns"
mount --make-shared "$top/run/netns"
if [ -n "$system" ]; then
    cd "$top"
    pivot_root . .
    umount -l .
fi
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
    /// Whose files it has; none: this one's.
    system: Option<PathBuf>,
    /// The sweeper removes it.
    disk: PathBuf,
    sweeper: Child,
    namespace: Namespace,
}

impl Lab {
    /// Hosts that are whole machines.
    pub fn of_machines(hosts: u32) -> Result<Self> {
        Self::of_systems(&vec![None; hosts as usize])
    }

    /// Each with the files of another system, found in a directory, or of this one.
    pub fn of_systems(systems: &[Option<&Path>]) -> Result<Self> {
        let hosts = u32::try_from(systems.len())?;
        let plan = Plan::new(hosts, Ground::Switched)?;
        let directory = tempfile::Builder::new().prefix("weft-lab-").tempdir()?;
        let switch = Switch::new(Namespace::new("switch".to_owned())?, plan)?;
        let machine = |(number, system): (u32, &Option<&Path>)| {
            let machine = Machine::new(format!("h{number}"), *system, directory.path())?;
            Ok((number, machine))
        };
        let numbered = (1..).zip(systems);
        let machines: Vec<(u32, Machine)> = numbered.map(machine).collect::<Result<_>>()?;
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
            trusted: None,
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
    fn new(name: String, system: Option<&Path>, lab: &Path) -> Result<Self> {
        let disk = tempfile::Builder::new().prefix("weft-machine-").tempdir()?;
        let group = disk.path().file_name().context("it has a name")?.to_owned();
        let mut sweeper = Command::new("setsid");
        sweeper.args(["sh", "-c", SWEEP, "sweep"]);
        sweeper.arg(group).arg(disk.path()).arg(UNGROUP).arg(lab);
        sweeper.stdin(Stdio::piped());
        sweeper.stdout(Stdio::null()).stderr(Stdio::null());
        let sweeper = sweeper.spawn().context("start setsid")?;
        let disk = disk.keep();
        let namespace = boot(&name, system, &disk)?;
        Ok(Self {
            name,
            system: system.map(Path::to_owned),
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
        self.namespace = boot(&self.name, self.system.as_deref(), &self.disk)?;
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

fn boot(name: &str, system: Option<&Path>, disk: &Path) -> Result<Namespace> {
    let agent = process::weft("weft-agent")?;
    let programs = agent.parent().context("a program is in a directory")?;
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
    hold.arg(system.unwrap_or(Path::new("")));
    hold.arg(programs).arg(std::env::temp_dir());
    Namespace::machine(name.to_owned(), hold)
}
