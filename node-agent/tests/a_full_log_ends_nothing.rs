//! A log that nobody can write to costs the log and nothing else.

use std::{
    fs::File,
    net::TcpListener,
    path::Path,
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

fn agent(state: &Path, url: &str) -> Child {
    let full = File::options()
        .write(true)
        .open("/dev/full")
        .expect("Linux");
    Command::new(env!("CARGO_BIN_EXE_weft-agent"))
        .args(["--node", "a", "--controller", url, "--state-dir"])
        .arg(state)
        .env_remove("WEFT_LOG")
        .stderr(Stdio::from(full))
        .spawn()
        .expect("the agent starts")
}

#[test]
fn an_agent_whose_log_is_full_goes_on() {
    let directory = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    listener.set_nonblocking(true).unwrap();
    let mut first = agent(directory.path(), &url);
    // It has logged that it starts when it comes, and that there is no session when
    // it comes again.
    let deadline = Instant::now() + Duration::from_secs(30);
    let mut came = 0;
    while came < 3 {
        came += u32::from(listener.accept().is_ok());
        assert_eq!(
            first.try_wait().unwrap(),
            None,
            "it ended; it came {came} times"
        );
        assert!(Instant::now() < deadline, "it came {came} times");
        sleep(Duration::from_millis(5));
    }

    // The last words of a process are no different.
    let second = agent(directory.path(), &url).wait().unwrap();
    assert_eq!(second.code(), Some(1));

    first.kill().unwrap();
    first.wait().unwrap();
}
