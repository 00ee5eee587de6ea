use super::*;

fn telling(path: &str) -> Notify {
    Notify {
        socket: connect(path),
        watchdog: None,
        said: String::new(),
    }
}

/// A listener at a path, and who tells it.
fn listening() -> (tempfile::TempDir, UnixDatagram, Notify) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("notify");
    let listener = UnixDatagram::bind(&path).unwrap();
    let notify = telling(path.to_str().unwrap());
    (directory, listener, notify)
}

/// Everything that has been said so far.
fn heard(listener: &UnixDatagram) -> Vec<String> {
    listener.set_nonblocking(true).unwrap();
    let mut said = Vec::new();
    let mut bytes = [0; 1024];
    while let Ok(length) = listener.recv(&mut bytes) {
        said.push(String::from_utf8(bytes[..length].to_vec()).unwrap());
    }
    said
}

#[test]
fn a_listener_at_a_path() {
    let (_directory, listener, mut notify) = listening();
    notify.ready();
    notify.stopping();
    assert_eq!(heard(&listener), ["READY=1", "STOPPING=1"]);
}

#[test]
fn a_listener_without_a_file() {
    let name = format!("weft-notify-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(&name).unwrap();
    let listener = UnixDatagram::bind_addr(&address).unwrap();
    telling(&format!("@{name}")).ready();
    assert_eq!(heard(&listener), ["READY=1"]);
}

#[test]
fn only_what_is_new_is_said() {
    let (_directory, listener, mut notify) = listening();
    for status in ["not ready", "not ready", "ready", "ready", "not ready"] {
        notify.status(status);
    }
    assert_eq!(
        heard(&listener),
        ["STATUS=not ready", "STATUS=ready", "STATUS=not ready"]
    );
}

#[test]
fn a_status_says_nothing_but_a_status() {
    let (_directory, listener, mut notify) = listening();
    notify.status("refused\nREADY=1");
    assert_eq!(heard(&listener), ["STATUS=refused READY=1"]);
}

#[tokio::test]
async fn signs_of_life_come_when_they_are_due() {
    let (_directory, listener, mut notify) = listening();
    assert_eq!(notify.next(), None);
    notify.alive();
    assert_eq!(heard(&listener), [""; 0]);

    let (every, now) = (Duration::from_secs(3600), Instant::now());
    notify.watchdog = Some((every, now));
    assert_eq!(notify.next(), Some(now));
    notify.alive();
    notify.alive();
    assert_eq!(heard(&listener), ["WATCHDOG=1"]);
    assert!(notify.next() >= Some(now + every));
}

#[test]
fn nobody_listens() {
    let mut notify = telling("/nowhere/at/all");
    notify.ready();
    notify.status("ready");
    notify.alive();
    assert_eq!(notify.next(), None);
}

#[test]
fn a_listener_that_went_away_is_not_our_trouble() {
    let (_directory, listener, mut notify) = listening();
    drop(listener);
    notify.ready();
}
