//! Namespaces for tests: the test runs again as a child in one of its own.

use std::{
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// A new namespace is made ready; an address of IPv6 is to be there at once.
const FRESH: &str = "ip link set lo up
    sysctl -qw net.ipv6.conf.default.accept_dad=0 net.ipv6.conf.default.dad_transmits=0";

const INSIDE: &str = "WEFT_TEST_IN_NAMESPACE";

/// Runs this test of the module `tests` in a new network namespace. The name is the
/// path of the test below that module.
pub fn alone(test: &str, body: impl FnOnce()) {
    alone_in("kernel::nft::tests", test, body);
}

/// The same for a test of another module.
pub fn alone_in(module: &str, test: &str, body: impl FnOnce()) {
    if std::env::var_os(INSIDE).is_some() {
        run(FRESH);
        return body();
    }
    let child = Command::new("unshare")
        .args(["--net", "--"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "--nocapture"])
        .arg(format!("{module}::{test}"))
        .env(INSIDE, "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&child.stdout);
    assert!(
        child.status.success() && said.contains("1 passed"),
        "{test} in its namespace (root is needed):\n{said}\n{}",
        String::from_utf8_lossy(&child.stderr)
    );
    for line in said.lines().filter(|line| line.contains("took")) {
        println!("{line}");
    }
}

/// What this shell script prints. It must succeed.
pub fn run(script: &str) -> String {
    let output = shell(script).output().unwrap();
    assert!(
        output.status.success(),
        "{script}\n{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

fn shell(script: &str) -> Command {
    let mut command = Command::new("bash");
    command.args(["-ec", script]);
    command
}

/// Waits until a condition holds; says what there is if it does not within 5 s.
pub fn until(what: &str, mut holds: impl FnMut() -> bool, state: impl Fn() -> String) {
    let end = Instant::now() + Duration::from_secs(5);
    while !holds() {
        assert!(Instant::now() < end, "not {what}:\n{}", state());
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Another host: a namespace that lives as long as this.
pub struct Host(Child);

impl Host {
    pub fn start() -> Self {
        let own = run("readlink /proc/self/ns/net");
        let child = Command::new("unshare")
            .args(["--net", "--", "sleep", "600"])
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let host = Self(child);
        let path = format!("readlink /proc/{}/ns/net", host.pid());
        until("in its namespace", || run(&path) != own, String::new);
        host.run(FRESH);
        host
    }

    pub fn pid(&self) -> u32 {
        self.0.id()
    }

    pub fn run(&self, script: &str) -> String {
        let script = script.replace('\'', r"'\''");
        run(&format!(
            "nsenter --net --target {} bash -ec '{script}'",
            self.pid()
        ))
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
