//! The script that makes a node of each machine of examples/vagrant, and the one that
//! tries them, on hosts with a root of their own: this machine's below, what they
//! write on top. systemd does not run there; what it would start is started here.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::SystemTime,
};

use anyhow::{Context, Result, ensure};
use tests::{
    lab::{Host, Lab, Running},
    ops,
    process::{self, Said},
    wait::patiently,
};

/// A root that is gone with the host's mounts.
const ROOT: &str = r#"
    mkdir -p "$1" && mount -t tmpfs tmpfs "$1" && cd "$1" && mkdir top work root
    mount -t overlay overlay -o lowerdir=/,upperdir=top,workdir=work root
    mount -t proc proc root/proc
    mount --rbind /sys root/sys
    mount --rbind /dev root/dev
    mount -t tmpfs tmpfs root/run
    mount -t tmpfs tmpfs root/tmp
    mkdir -p root/weft/examples root/weft/target/release
    mount --bind "$2" root/weft/examples
    mount --bind "$3" root/weft/target/release
"#;
/// What provisioning writes, and what runs afterwards.
const WRITTEN: [&str; 12] = [
    "/etc/weft",
    "/etc/systemd/system/weft-agent.service",
    "/etc/systemd/system/weft-controller.service",
    "/etc/systemd/system/multi-user.target.wants/weft-agent.service",
    "/etc/systemd/system/multi-user.target.wants/weft-controller.service",
    "/usr/bin/weft",
    "/usr/bin/weft-agent",
    "/usr/bin/weft-controller",
    "/usr/local/bin/sudo",
    "/var/lib/weft",
    "/var/lib/weft-agent",
    "/run/weft",
];
const CONTROLLER: &str = "192.0.2.1";

/// A machine as Vagrant makes it, on a host of the lab.
struct Machine<'a> {
    host: &'a Host,
    root: PathBuf,
    name: String,
}

impl<'a> Machine<'a> {
    fn new(host: &'a Host) -> Result<Self> {
        let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples");
        let binaries = process::weft("weft-agent")?;
        let binaries = binaries.parent().context("where it is")?;
        let place = host.directory().join("disk");
        let arguments = [place.as_path(), &examples, binaries];
        let arguments = arguments.map(|path| path.to_string_lossy());
        let [place_text, examples, binaries] = &arguments;
        let made = ["sh", "-ec", ROOT, "root", place_text, examples, binaries];
        host.done(&made)?;
        let name = format!("n{}", host.number);
        let root = place.join("root");
        Ok(Self { host, root, name })
    }

    /// The words of a command that runs in here, under the machine's own name.
    fn words(&self, script: &str) -> Vec<String> {
        let script = format!("hostname {}; {script}", self.name);
        let root = self.root.to_string_lossy();
        let words = ["chroot", &root, "unshare", "--uts", "sh", "-ec", &script];
        words.map(str::to_owned).into()
    }

    fn run(&self, script: &str) -> Result<Said> {
        let words = self.words(script);
        self.host
            .run(&words.iter().map(String::as_str).collect::<Vec<_>>())
    }

    fn done(&self, script: &str) -> Result<String> {
        let said = self.run(script)?;
        ensure!(said.code == 0, "{script} on {}: {said:?}", self.name);
        Ok(said.stdout)
    }

    fn provision(&self) -> Result<String> {
        let address = self.host.v4();
        self.done(&format!(
            "/weft/examples/vagrant/provision {address} {CONTROLLER}"
        ))
    }

    /// What systemd would do, of what makes a difference here.
    fn start(&self, service: &str) -> Result<Running> {
        let unit = self.done(&format!("cat /etc/systemd/system/{service}.service"))?;
        let setting = |name: &str| {
            let lines = unit.lines().map(|line| line.split_once('='));
            let mut values = lines.flatten().filter(|(key, _)| *key == name);
            values.next().map(|(_, value)| value.to_owned())
        };
        let program = setting("ExecStart").with_context(|| format!("ExecStart in {unit}"))?;
        let state = setting("StateDirectory").map(|name| format!("/var/lib/{name}"));
        let runtime = setting("RuntimeDirectory").map(|name| format!("/run/{name}"));
        let directories: Vec<String> = state.into_iter().chain(runtime).collect();
        let words = self.words(&format!(
            "mkdir -p {}; exec {program} 2>>/tmp/{service}.log",
            directories.join(" ")
        ));
        self.host
            .spawn(&words.iter().map(String::as_str).collect::<Vec<_>>())
    }

    fn ready(&self, service: &str, ops: &str) -> Result<()> {
        let ops = ops.parse()?;
        let waited = patiently(&format!("{service} on {} is ready", self.name), || {
            let answer = self.host.inside(|| ops::get(ops, "/readyz"))?;
            ensure!(answer.status == 200, "{}", answer.body);
            Ok(())
        });
        waited.with_context(|| {
            let log = self.run(&format!("cat /tmp/{service}.log"));
            log.map_or_else(|error| format!("{error:#}"), |said| said.stdout)
        })
    }
}

/// Which of it this machine has, and since when.
fn here() -> Vec<Option<SystemTime>> {
    let since = |path| fs::symlink_metadata(path).ok()?.modified().ok();
    WRITTEN.into_iter().map(since).collect()
}

/// What stands for Vagrant: it knows the machines and nothing else.
fn vagrant(lab: &Lab, machines: &[Machine<'_>]) -> Result<PathBuf> {
    let directory = lab.directory().join("bin");
    fs::create_dir(&directory)?;
    let mut script = "#!/bin/sh\n# vagrant ssh NAME --no-tty -c COMMAND\ncase $2 in\n".to_owned();
    for machine in machines {
        let (name, pid) = (&machine.name, machine.host.pid());
        let root = machine.root.display();
        script += &format!("{name}) pid={pid} root={root};;\n");
    }
    script += "esac\nexec nsenter -t $pid -n -m chroot $root sh -c \"$5\"\n";
    let path = directory.join("vagrant");
    fs::write(&path, script)?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
    Ok(directory)
}

#[test]
fn three_machines_become_one_network() -> Result<()> {
    let before = here();
    let lab = Lab::new(3)?;
    let machines: Vec<Machine<'_>> = lab
        .hosts()
        .iter()
        .map(Machine::new)
        .collect::<Result<_>>()?;
    for machine in &machines {
        let said = machine.provision()?;
        ensure!(said.contains("nothing was started"), "{said}");
        let wants = machine.done("ls /etc/systemd/system/multi-user.target.wants")?;
        let wants: Vec<&str> = wants
            .lines()
            .filter(|name| name.starts_with("weft"))
            .collect();
        let expected: &[&str] = match machine.name.as_str() {
            "n1" => &["weft-agent.service", "weft-controller.service"],
            _ => &["weft-agent.service"],
        };
        assert_eq!(wants, expected);
    }
    // To do it again changes nothing.
    let files = "cd /etc && cat weft/* systemd/system/weft-*";
    let first = machines[0].done(files)?;
    machines[0].provision()?;
    assert_eq!(machines[0].done(files)?, first);

    let _controller = machines[0].start("weft-controller")?;
    machines[0].ready("weft-controller", "127.0.0.1:7441")?;
    let agents = machines.iter().map(|machine| machine.start("weft-agent"));
    let _agents: Vec<Running> = agents.collect::<Result<_>>()?;
    for machine in &machines {
        machine.ready("weft-agent", "127.0.0.1:7442")?;
    }

    let said = tried(&lab, &machines)?;
    println!("{}", said.stdout);
    ensure!(said.code == 0, "{said:?}");
    ensure!(!said.stdout.contains("lost"), "{said:?}");
    for machine in &machines {
        let left = machine.done("ip netns list; ip -br link")?;
        ensure!(!left.contains("try"), "{left}");
    }
    let nodes = format!("weft node list -o json --controller http://{CONTROLLER}:7440");
    let nodes: serde_json::Value = serde_json::from_str(&machines[2].done(&nodes)?)?;
    let names = nodes.as_array().into_iter().flatten();
    let names: Vec<&str> = names.filter_map(|node| node["name"].as_str()).collect();
    assert_eq!(names, ["n1", "n2", "n3"], "{nodes}");

    assert_eq!(here(), before, "this machine was changed: {WRITTEN:?}");
    machines[0].done(&format!("ls -d {}", WRITTEN.join(" ")))?;
    let mounts = fs::read_to_string("/proc/self/mountinfo")?;
    let ours = lab.directory().to_string_lossy().into_owned();
    ensure!(!mounts.contains(&ours), "{mounts}");
    Ok(())
}

#[test]
fn what_it_cannot_do_it_says_in_a_line() -> Result<()> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/vagrant/provision");
    let said = process::said(process::mortal(script))?;
    assert_eq!(said.code, 2, "{said:?}");
    assert_eq!(said.stderr, "usage: provision ADDRESS CONTROLLER\n");
    Ok(())
}

fn tried(lab: &Lab, machines: &[Machine<'_>]) -> Result<Said> {
    for machine in machines {
        // On those of Vagrant it is there.
        machine.done("printf '#!/bin/sh\\nexec \"$@\"\\n' >/usr/local/bin/sudo; chmod +x /usr/local/bin/sudo")?;
    }
    let stand_in = vagrant(lab, machines)?;
    let path = std::env::var("PATH").context("PATH")?;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/vagrant/try");
    let mut command = process::mortal(script);
    command.env("PATH", format!("{}:{path}", stand_in.display()));
    process::said(command)
}
