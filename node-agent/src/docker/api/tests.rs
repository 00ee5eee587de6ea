use tempfile::tempdir;
use tokio::net::UnixListener;

use super::*;

/// Answers one connection with this, and ends it.
async fn said(answer: &'static str) -> io::Result<Vec<u8>> {
    let directory = tempdir().unwrap();
    let path = directory.path().join("docker.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let speak = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = vec![0; 1024];
        let read = stream.read(&mut request).await.unwrap();
        let request = String::from_utf8_lossy(&request[..read]).into_owned();
        stream.write_all(answer.as_bytes()).await.unwrap();
        request
    };
    let (answer, request) = tokio::join!(ask(&path, "/containers/json"), speak);
    assert!(
        request.starts_with("GET /containers/json HTTP/1.0\r\n"),
        "{request}"
    );
    answer
}

#[tokio::test]
async fn answers_are_read_to_their_end() {
    let listed = said("HTTP/1.0 200 OK\r\nA: b\r\n\r\n[5, 6]").await;
    assert_eq!(listed.unwrap(), [5, 6]);
    let gone = said("HTTP/1.0 404 Not Found\r\n\r\n{}").await;
    assert_eq!(gone.unwrap_err().kind(), ErrorKind::NotFound);
    for broken in ["", "HTTP/1.0 200 OK\r\n", "HTTP/1.0 500 Oh\r\n\r\n[]", "x"] {
        assert!(said(broken).await.is_err(), "{broken:?}");
    }
}
