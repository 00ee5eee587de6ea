use std::{
    fs::{Permissions, set_permissions},
    os::unix::{fs::PermissionsExt, net::UnixListener},
    thread,
};

use super::*;

const SOON: Duration = Duration::from_secs(10);

/// What one gets who asks somebody that answers with these pieces, and hangs up.
fn answered_with(pieces: &[&str]) -> Result<Reply, AskError> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("agent.sock");
    let listener = UnixListener::bind(&path).unwrap();
    thread::scope(|scope| {
        scope.spawn(|| {
            let (mut stream, _) = listener.accept().unwrap();
            let mut asked = vec![0; 1024];
            let length = stream.read(&mut asked).unwrap();
            let asked = String::from_utf8_lossy(&asked[..length]).into_owned();
            assert!(asked.starts_with("GET /status HTTP/1.0\r\n"), "{asked}");
            assert!(asked.ends_with("content-length: 2\r\n\r\n{}"), "{asked}");
            for piece in pieces {
                stream.write_all(piece.as_bytes()).unwrap();
            }
        });
        Client::new(&path, SOON).send("GET", "/status", b"{}")
    })
}

#[test]
fn an_answer_in_pieces_is_one() {
    let pieces = [
        "HTTP/1.1 2",
        "00 OK\r\nContent-Length: 4\r\n\r",
        "\n{ ",
        "}\n",
    ];
    let reply = answered_with(&pieces).unwrap();
    assert_eq!((reply.code, reply.body.as_slice()), (200, &b"{ }\n"[..]));
    let reply = answered_with(&["HTTP/1.0 204 No Content\r\n\r\n"]);
    assert_eq!(reply.unwrap().code, 204);
}

#[test]
fn half_an_answer_is_none() {
    for torn in [
        "",
        "HTTP/1.1 200 OK\r\nContent-",
        "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n{ }\n",
    ] {
        let error = answered_with(&[torn]).unwrap_err();
        assert!(matches!(error, AskError::Broken { .. }), "{torn}: {error}");
    }
}

#[test]
fn somebody_else_answers() {
    let error = answered_with(&["220 mail ESMTP\r\n"]).unwrap_err();
    assert!(matches!(error, AskError::Nonsense { .. }), "{error}");
}

#[test]
fn nobody_answers() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("agent.sock");
    let asked = || Client::new(&path, SOON).send("GET", "/status", &[]);
    let expected = format!(
        "no weft-agent answers at {}; is it running, and is that its --socket?",
        path.display()
    );
    assert_eq!(asked().unwrap_err().to_string(), expected);
    // One that was left behind.
    drop(UnixListener::bind(&path).unwrap());
    assert_eq!(asked().unwrap_err().to_string(), expected);
}

#[test]
fn who_is_silent_is_not_waited_for_for_ever() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("agent.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let asked = || Client::new(&path, Duration::from_millis(20)).send("GET", "/status", &[]);
    let silent = |error: &AskError| error.to_string().ends_with("has not answered within 20ms");
    let error = asked().unwrap_err();
    assert!(silent(&error), "{error}");
    // Nor is one that takes no more connections.
    rustix::net::listen(&listener, 1).unwrap();
    let connect = || Client::new(&path, Duration::from_millis(20)).connect();
    let waiting: Vec<UnixStream> = (0..100).map_while(|_| connect().ok()).collect();
    assert!(waiting.len() < 100, "the queue has an end");
    let error = asked().unwrap_err();
    assert!(silent(&error), "{error}");
}

/// Root may connect to whatever it likes: then there is nothing to see here.
#[test]
fn a_socket_of_somebody_else() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("agent.sock");
    let _listener = UnixListener::bind(&path).unwrap();
    set_permissions(&path, Permissions::from_mode(0o000)).unwrap();
    if let Err(error) = UnixStream::connect(&path) {
        assert_eq!(error.kind(), ErrorKind::PermissionDenied);
        let error = Client::new(&path, SOON).send("GET", "/status", &[]);
        let error = error.unwrap_err();
        assert!(matches!(error, AskError::Forbidden { .. }), "{error}");
    }
}

#[test]
fn what_is_refused_is_an_error_in_the_agents_words() {
    let refusal = r#"{"reason":"taken","message":"test/a has 10.0.0.2 already"}"#;
    let answer = format!("HTTP/1.0 409 Conflict\r\n\r\n{refusal}");
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("agent.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let error = thread::scope(|scope| {
        scope.spawn(|| {
            let (mut stream, _) = listener.accept().unwrap();
            assert!(stream.read(&mut [0; 1024]).unwrap() > 0);
            stream.write_all(answer.as_bytes()).unwrap();
        });
        let asked: Result<(), AskError> =
            Client::new(&path, SOON).ask("POST", "/endpoints", Some(&"words"));
        asked.unwrap_err()
    });
    assert_eq!(error.to_string(), "test/a has 10.0.0.2 already");
}
