//! Whatever arrives at an agent's unix socket is answered, or the connection is closed;
//! the agent goes on.

use std::{
    io::{Read, Write},
    net::Shutdown,
    os::unix::net::UnixStream,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use tests::lab::{Agent, Lab, ping};

const PATIENCE: Duration = Duration::from_secs(5);
/// Paths that read words, and the methods that do.
const DOORS: [(&str, &str); 6] = [
    ("POST", "/endpoints"),
    ("DELETE", "/endpoints"),
    ("POST", "/endpoints/check"),
    ("POST", "/holds"),
    ("DELETE", "/holds"),
    ("PUT", "/networks/Not%20a%20name"),
];

/// All that comes back for these bytes.
fn said(agent: &Agent, bytes: &[u8]) -> Result<String> {
    exchange(agent, bytes, false)
}

/// And nothing more is sent, as by one who died.
fn said_to_the_dying(agent: &Agent, bytes: &[u8]) -> Result<String> {
    exchange(agent, bytes, true)
}

fn exchange(agent: &Agent, bytes: &[u8], dies: bool) -> Result<String> {
    let mut stream = UnixStream::connect(agent.socket())?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    // It may be closed before all is sent.
    let _ = stream.write_all(bytes);
    if dies {
        let _ = stream.shutdown(Shutdown::Write);
    }
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
            Err(error).context("neither answered nor closed")
        }
        _ => Ok(String::from_utf8_lossy(&answer).into()),
    }
}

fn request(method: &str, path: &str, length: usize, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: weft\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n"
    );
    [head.as_bytes(), body].concat()
}

/// What is no list of words that any door reads.
fn bodies() -> Vec<Vec<u8>> {
    let mut bodies: Vec<Vec<u8>> = [
        "",
        "{",
        "null",
        "[]",
        "7",
        "{}",
        r#"{"unknown": true}"#,
        r#"{"network": "default", "key": 7}"#,
        r#"{"network": "default", "key": "", "netns": "", "interface": ""}"#,
        r#"{"network": "../..", "key": "a/b", "address": "no"}"#,
        r#"{"network": "default", "key": ["a/b"], "address": "10.40.0.300"}"#,
        "{\"network\": \"default\", \"key\": \"a/b\u{0}\", \"seq\": -1}",
    ]
    .map(|text| text.into())
    .into();
    bodies.push(b"\xff\xfe\x00".to_vec());
    bodies.push(vec![b'['; 100_000]);
    bodies.push(br#"{"a":"#.repeat(20_000));
    bodies
}

#[test]
fn it_is_answered_and_the_agent_goes_on() -> Result<()> {
    let mut lab = Lab::new(1)?;
    lab.start_controller(&["--default-network", "10.40.0.0/16,fd77:40::/48"])?;
    let mut agents = lab.agents(&[])?;
    let agent = &agents[0];
    let container = agent.attached("there")?;
    let before = agent.endpoints()?;
    let goes_on = |what: &str| -> Result<()> {
        ensure!(agent.endpoints()? == before, "after {what}");
        Ok(())
    };
    for (method, path) in DOORS {
        for body in bodies() {
            let answer = said(agent, &request(method, path, body.len(), &body))?;
            let start = String::from_utf8_lossy(&body[..body.len().min(60)]);
            ensure!(
                answer.starts_with("HTTP/1.1 4"),
                "{method} {path} {start}: {answer}"
            );
            let short = request(method, path, body.len() + 1000, &body);
            said_to_the_dying(agent, &short)?;
        }
        let huge = vec![b' '; 3 << 20];
        let answer = said(agent, &request(method, path, huge.len(), &huge))?;
        ensure!(
            answer.is_empty() || answer.starts_with("HTTP/1.1 4"),
            "{answer}"
        );
        goes_on(path)?;
    }
    for (method, path, code) in [
        ("PATCH", "/endpoints", "405"),
        ("GET", "/holds", "405"),
        ("GET", "/ipam/repair", "405"),
        ("GET", "/nowhere", "404"),
        ("POST", "/", "404"),
        ("GET", "/../../etc/passwd", "404"),
    ] {
        let answer = said(agent, &request(method, path, 2, b"{}"))?;
        let expected = format!("HTTP/1.1 {code}");
        ensure!(answer.starts_with(&expected), "{method} {path}: {answer}");
    }
    let long = format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(200_000));
    let many = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(50_000));
    let nonsense: [&[u8]; 6] = [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00",
        b"POST /endpoints HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nffffffffffffffffff\r\n{",
        &[0; 10_000],
        long.as_bytes(),
        many.as_bytes(),
    ];
    for bytes in nonsense {
        said_to_the_dying(agent, bytes)?;
    }
    goes_on("nonsense")?;
    // Some stay, and say nothing or half of something.
    let open = (0..200).map(|n| {
        let mut stream = UnixStream::connect(agent.socket())?;
        let half = request("POST", "/endpoints", 100, br#"{"network""#);
        stream.write_all(&half[..half.len() * (n % 3) / 2])?;
        Ok(stream)
    });
    let open = open.collect::<Result<Vec<_>>>()?;
    goes_on("many are open")?;
    drop(open);
    goes_on("many are closed")?;
    for &address in container.addresses() {
        ensure!(ping(lab.host(1), address, 2)?.lost() == 0);
    }
    let ended = agents[0].has_ended()?;
    ensure!(ended.is_none(), "{ended:?}");
    Ok(())
}
