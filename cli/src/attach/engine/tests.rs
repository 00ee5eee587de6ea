use std::{
    fs,
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use super::*;

/// The files of a host, removed with it, and a process that runs on it.
struct Host {
    root: PathBuf,
    process: Child,
}

impl Host {
    fn new(name: &str) -> Self {
        let root = std::env::temp_dir().join(format!("weft-engine-{name}-{}", std::process::id()));
        fs::create_dir(&root).unwrap();
        let process = Command::new("sleep")
            .arg("60")
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        Self { root, process }
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn runc(&self, root: &str, id: &str, start: u64) {
        let pid = self.process.id();
        let state =
            format!(r#"{{"id":"{id}","init_process_pid":{pid},"init_process_start":{start}}}"#);
        self.write(&format!("{root}/{id}/state.json"), &state);
    }

    fn start(&self) -> u64 {
        state::started(self.process.id()).unwrap()
    }

    fn find(&self, name: &str) -> Result<Known, EngineError> {
        find_below(&self.root, &name.parse().unwrap(), Duration::from_secs(1))
    }

    fn known(&self, id: &str, name: Option<&str>) -> Known {
        Known {
            pid: self.process.id(),
            id: id.into(),
            name: name.map(Into::into),
        }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
        drop(fs::remove_dir_all(&self.root));
    }
}

#[test]
fn by_an_id_its_beginning_and_podmans_name() {
    let host = Host::new("ids");
    host.runc("run/runc", "4f2a7c", host.start());
    host.runc("run/containerd/runc/k8s.io", "4f99", host.start());
    host.write(
        "var/lib/containers/storage/overlay-containers/containers.json",
        r#"[{"id":"4f2a7c","names":["web"],"layer":"x"},{"id":"0","names":["web2"]}]"#,
    );
    let web = host.known("4f2a7c", Some("web"));
    for name in ["4f2a7c", "4f2a", "web"] {
        assert_eq!(host.find(name), Ok(web.clone()), "{name}");
    }
    assert_eq!(host.find("4f9"), Ok(host.known("4f99", None)));
    assert_eq!(
        host.find("4f"),
        Err(EngineError::Several("4f".parse().unwrap()))
    );
    let error = host.find("5").unwrap_err();
    assert_eq!(
        error.to_string(),
        "container 5 is not known to runc; name it by --pid or --netns"
    );
}

#[test]
fn a_number_that_is_another_process_by_now_is_not_the_container() {
    let host = Host::new("stale");
    host.runc("run/runc", "old", host.start() + 1);
    let error = host.find("old").unwrap_err();
    assert_eq!(error.to_string(), "container old of runc is not running");
}

#[test]
fn one_that_has_ended_and_nobody_noticed_does_not_run() {
    let mut host = Host::new("ended");
    host.runc("run/runc", "dead", host.start());
    let stat = format!("/proc/{}/stat", host.process.id());
    host.process.kill().unwrap();
    // Until it is waited for it is there.
    while !fs::read_to_string(&stat).unwrap().contains(") Z ") {
        std::thread::yield_now();
    }
    let error = host.find("dead").unwrap_err();
    assert_eq!(error.to_string(), "container dead of runc is not running");
}

#[test]
fn crun_and_systemd_know_theirs() {
    let host = Host::new("others");
    let (pid, start) = (host.process.id(), host.start());
    let status = format!(r#"{{"pid":{pid},"process-start-time":{start}}}"#);
    host.write("run/crun/abc/status", &status);
    host.write(
        "run/systemd/machines/debian",
        &format!("NAME=debian\nLEADER={pid}\n"),
    );
    assert_eq!(host.find("ab"), Ok(host.known("abc", None)));
    assert_eq!(
        host.find("debian"),
        Ok(host.known("debian", Some("debian")))
    );
    let error = host.find("deb").unwrap_err();
    let EngineError::Unknown { asked, .. } = error else {
        panic!("{error}");
    };
    assert_eq!(asked, ["crun", "systemd-nspawn"]);
}

#[test]
fn where_there_is_no_engine_that_is_said() {
    let host = Host::new("none");
    let error = host.find("web").unwrap_err();
    assert_eq!(
        error.to_string(),
        "there is no container engine on this host to ask for web; name it by --pid or --netns"
    );
    // A socket that nobody listens at.
    host.write("run/docker.sock", "");
    let error = host.find("web").unwrap_err();
    assert_eq!(
        error.to_string(),
        "container web is not known to docker (it does not run); name it by --pid or --netns"
    );
}
