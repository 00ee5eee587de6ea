use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;

use tokio::net::UnixListener;

use super::*;

const SOON: Duration = Duration::from_secs(10);

/// What one gets who asks somebody that answers with these pieces, and hangs up.
async fn answered_with(pieces: &[&str]) -> Result<Reply, AskError> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("agent.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let answer = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut asked = vec![0; 1024];
        let length = stream.read(&mut asked).await.unwrap();
        assert_eq!(&asked[..length], b"GET /status HTTP/1.0\r\n\r\n");
        for piece in pieces {
            stream.write_all(piece.as_bytes()).await.unwrap();
            tokio::task::yield_now().await;
        }
    };
    let ((), reply) = tokio::join!(answer, ask(&path, "GET", "/status", SOON));
    reply
}

#[tokio::test]
async fn an_answer_in_pieces_is_one() {
    let pieces = [
        "HTTP/1.1 2",
        "00 OK\r\nContent-Length: 4\r\n\r",
        "\n{ ",
        "}\n",
    ];
    let reply = answered_with(&pieces).await.unwrap();
    assert_eq!((reply.code, reply.body.as_str()), (200, "{ }\n"));
    let reply = answered_with(&["HTTP/1.0 204 No Content\r\n\r\n"]).await;
    assert_eq!(reply.unwrap().code, 204);
}

#[tokio::test]
async fn half_an_answer_is_none() {
    for torn in [
        "",
        "HTTP/1.1 200 OK\r\nContent-",
        "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n{ }\n",
    ] {
        let error = answered_with(&[torn]).await.unwrap_err();
        assert!(matches!(error, AskError::Broken { .. }), "{torn}: {error}");
    }
}

#[tokio::test]
async fn somebody_else_answers() {
    let error = answered_with(&["220 mail ESMTP\r\n"]).await.unwrap_err();
    assert!(matches!(error, AskError::Nonsense { .. }), "{error}");
}

#[tokio::test]
async fn nobody_answers() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("agent.sock");
    let asked = || ask(&path, "GET", "/status", SOON);
    let expected = format!(
        "no weft-agent answers at {}; is it running, and is --socket the same?",
        path.display()
    );
    assert_eq!(asked().await.unwrap_err().to_string(), expected);
    // One that was left behind.
    drop(UnixListener::bind(&path).unwrap());
    assert_eq!(asked().await.unwrap_err().to_string(), expected);
}

#[tokio::test]
async fn who_is_silent_is_not_waited_for_for_ever() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("agent.sock");
    let _listener = UnixListener::bind(&path).unwrap();
    let within = Duration::from_millis(20);
    let error = ask(&path, "GET", "/status", within).await.unwrap_err();
    assert!(
        error.to_string().ends_with("has not answered within 20ms"),
        "{error}"
    );
}

/// Root may connect to whatever it likes: then there is nothing to see here.
#[tokio::test]
async fn a_socket_of_somebody_else() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("agent.sock");
    let _listener = UnixListener::bind(&path).unwrap();
    std::fs::set_permissions(&path, Permissions::from_mode(0o000)).unwrap();
    if let Err(error) = UnixStream::connect(&path).await {
        assert_eq!(error.kind(), ErrorKind::PermissionDenied);
        let error = ask(&path, "GET", "/status", SOON).await.unwrap_err();
        assert!(matches!(error, AskError::Forbidden { .. }), "{error}");
    }
}
