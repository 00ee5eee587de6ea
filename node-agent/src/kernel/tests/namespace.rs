//! Tests that need a kernel of their own run in a fresh network namespace: the test's
//! process starts itself again, inside `unshare -n`, for this one test.

use std::{env, process::Command};

const INSIDE: &str = "WEFT_TEST_NAMESPACE";

/// Runs the test in a namespace with an underlay: `eth0` has 192.0.2.1/24 and
/// 2001:db8:50::1/64, and a cable to `far0`.
pub fn with_underlay<F: FnOnce()>(test: F) {
    inside(
        || {
            for line in [
                "ip link set lo up",
                "ip link add eth0 type veth peer name far0",
                "ip link set far0 up",
                "ip link set eth0 up",
                "ip addr add 192.0.2.1/24 dev eth0",
                "ip addr add 2001:db8:50::1/64 dev eth0 nodad",
            ] {
                run(line);
            }
            test();
        },
        std::any::type_name::<F>(),
    );
}

/// Runs the test in a namespace in which nothing was ever done.
pub fn bare<F: FnOnce()>(test: F) {
    inside(test, std::any::type_name::<F>());
}

fn inside(test: impl FnOnce(), type_name: &str) {
    if env::var_os(INSIDE).is_some() {
        return test();
    }
    // A closure is named after the function that it is in.
    let (_, name) = type_name.split_once("::").expect("a path");
    let name = name.trim_end_matches("::{{closure}}");
    let binary = env::current_exe().expect("a test has a binary");
    let status = Command::new("unshare")
        .args(["--net", "--"])
        .arg(binary)
        .args(["--exact", name, "--include-ignored", "--nocapture"])
        .env(INSIDE, "1")
        .status()
        .expect("unshare runs; it is part of util-linux");
    assert!(
        status.success(),
        "{name} failed in its namespace (are you root?)"
    );
}

/// Runs a command, which must succeed.
pub fn run(line: &str) -> String {
    let mut words = line.split_whitespace();
    let output = Command::new(words.next().expect("a command"))
        .args(words)
        .output()
        .unwrap_or_else(|error| panic!("{line}: {error}"));
    assert!(
        output.status.success(),
        "{line}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// What a command prints as JSON.
pub fn json(line: &str) -> Vec<serde_json::Value> {
    let printed = run(line);
    // `bridge` prints nothing where there is nothing.
    if printed.trim().is_empty() {
        return Vec::new();
    }
    serde_json::from_str(&printed).unwrap_or_else(|error| panic!("{line}: {error}: {printed}"))
}
