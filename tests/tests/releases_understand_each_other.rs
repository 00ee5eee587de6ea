//! What earlier releases said and kept (`tests/recorded/`) is understood by this build, on both
//! sides, and so is what only a later one may say.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    sync::{Arc, Mutex},
    thread,
};

use anyhow::{Context, Result, ensure};
use prost::{
    Message as _,
    bytes::Bytes,
    encoding::{WireType, encode_key, encode_varint},
};
use proto::v1::{self, agent_message, controller_message};
use serde_json::Value;
use socket::words::Attached;
use tests::{
    carried,
    controller::Controller,
    lab::{Agent, Lab, Namespace, Place},
    recorded::{self, Asked, From, LEASES, SOCKET, STATE, STORE},
    wait::{DEADLINE, patiently},
    wire,
};
use tokio::{sync::mpsc, time::timeout};
use tokio_stream::wrappers::ReceiverStream;

/// In the agent's own namespace.
const OLD: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 7447);

/// Its store is restored, its agent's words are said again, byte by byte.
#[tokio::test(flavor = "multi_thread")]
async fn an_old_agent_and_this_controller() -> Result<()> {
    for recording in recorded::all()? {
        println!("{}", recording.display());
        let controller = restored(&recording)?;
        let meant: Value = serde_json::from_str(&fs::read_to_string(recording.join(LEASES))?)?;
        patiently("every record is understood", || {
            let status = controller.weft_json(&["status"])?;
            ensure!(status["set_aside"] == serde_json::json!([]), "{status}");
            let leases = controller.weft_json(&["lease", "list"])?;
            for (is, was) in rows(&leases)?.zip(rows(&meant)?) {
                for field in ["network", "node", "subnets", "life", "underlay", "mac"] {
                    ensure!(is[field] == was[field], "{field}: {is} was {was}");
                }
            }
            ensure!(rows(&leases)?.count() == rows(&meant)?.count(), "{leases}");
            Ok(())
        })?;
        let subnets = rows(&meant)?
            .find(|lease| lease["node"] == "h1")
            .map(|lease| lease["subnets"].clone())
            .context("h1's lease")?;

        let sessions = recorded::sessions(&recording)?;
        ensure!(sessions.len() > 1, "it has a session that resumes");
        for session in &sessions {
            let said = session.iter().filter(|(from, _)| *from == From::Agent);
            let said: Vec<Bytes> = said.map(|(_, bytes)| bytes.clone()).collect();
            for bytes in &said {
                let message = v1::AgentMessage::decode(bytes.clone())?.message;
                ensure!(message.is_some(), "{}", bytes.escape_ascii());
            }
            let heard = talk(&controller, said).await?;
            let joined = heard.iter().find_map(|message| match message {
                controller_message::Message::Joined(joined) => joined.lease.clone(),
                _ => None,
            });
            let lease = joined.context("it is told its lease")?;
            ensure!(serde_json::json!(lease.subnets) == subnets, "{lease:?}");
        }
    }
    Ok(())
}

/// What its controller said is said to an agent of this build, in a kernel.
#[test]
fn an_old_controller_and_this_agent() -> Result<()> {
    for recording in recorded::all()? {
        println!("{}", recording.display());
        let lab = Lab::new(1)?;
        let mut sessions = recorded::sessions(&recording)?.into_iter();
        let first = sessions.next().context("a session")?;
        let words = first
            .into_iter()
            .filter(|(from, _)| *from == From::Controller);
        let words: Vec<Bytes> = words.map(|(_, bytes)| bytes).collect();
        let kinds = words.iter().map(|bytes| {
            let message = v1::ControllerMessage::decode(bytes.clone())?.message;
            message.with_context(|| bytes.escape_ascii().to_string())
        });
        kinds.collect::<Result<Vec<_>>>()?;
        let heard = stand_in(&lab, words)?;
        let mut agent = Agent::new(lab.host(1), &format!("http://{OLD}"), &[])?;
        agent.launch()?;
        patiently("it has programmed the peer that stayed", || {
            let status = agent.status()?;
            let peers = &status["networks"][0]["peers"];
            let peer = peers.as_array().and_then(|peers| peers.first());
            let peer = peer.with_context(|| status.to_string())?;
            ensure!(
                peer["node"] == "h2" && peer["state"] == "programmed",
                "{status}"
            );
            Ok(())
        })?;
        let routes = lab
            .host(1)
            .json(&["ip", "-j", "route", "show", "proto", "77", "dev", "weft1"])?;
        ensure!(rows(&routes)?.count() == 1, "{routes}");
        // It answers, and the unknown word at the end has not sent it away.
        patiently("it reports", || {
            let heard = heard.lock().expect("nobody panics with it");
            let reports = heard
                .iter()
                .any(|message| matches!(message, Some(agent_message::Message::Report(_))));
            ensure!(reports, "{heard:?}");
            let hellos = heard
                .iter()
                .filter(|message| matches!(message, Some(agent_message::Message::Hello(_))));
            ensure!(hellos.count() == 1, "{heard:?}");
            Ok(())
        })?;
        agent.hush();
    }
    Ok(())
}

#[test]
fn the_files_of_an_old_agent() -> Result<()> {
    for recording in recorded::all()? {
        println!("{}", recording.display());
        let lab = Lab::new(1)?;
        let state = lab.host(1).directory().join("state");
        fs::create_dir_all(&state)?;
        for entry in fs::read_dir(recording.join(STATE))? {
            let entry = entry?;
            fs::copy(entry.path(), state.join(entry.file_name()))?;
        }
        let mut agent = Agent::new(lab.host(1), &format!("http://{OLD}"), &[])?;
        agent.launch()?;
        patiently("the overlay is restored", || {
            let status = agent.status()?;
            let network = &status["networks"][0];
            ensure!(network["state"] == "programmed", "{status}");
            ensure!(network["peers"][0]["node"] == "h2", "{status}");
            Ok(())
        })?;
        let complaints = agent.complaints()?;
        let unread = complaints
            .iter()
            .find(|line| line.contains("cannot be read"));
        ensure!(unread.is_none(), "{unread:?}");
        agent.hush();
    }
    Ok(())
}

/// A tool of this build reads what an old agent answers.
#[test]
fn the_answers_of_an_old_agent() -> Result<()> {
    for recording in recorded::all()? {
        let text = fs::read_to_string(recording.join(SOCKET))?;
        for line in text.lines() {
            let Asked { asked, answered } = serde_json::from_str(line)?;
            match asked.as_str() {
                "POST /endpoints" => drop(serde_json::from_value::<Attached>(answered)?),
                _ => ensure!(!answered.is_null(), "{asked}"),
            }
        }
    }
    Ok(())
}

/// Fields that this build does not know, and messages that it has no name for.
#[tokio::test(flavor = "multi_thread")]
async fn words_of_a_later_release() -> Result<()> {
    let controller = Controller::embedded(&[])?;
    let hello = v1::Hello {
        node: "later".into(),
        node_id: uuid::Uuid::new_v4().to_string(),
        session: uuid::Uuid::new_v4().to_string(),
        networks: vec![v1::Join {
            network: "default".into(),
            ..v1::Join::default()
        }],
        ..v1::Hello::default()
    };
    let mut inner = hello.encode_to_vec();
    inner.extend(unknown());
    let mut first = Vec::new();
    encode_key(1, WireType::LengthDelimited, &mut first);
    encode_varint(inner.len() as u64, &mut first);
    first.extend(inner);
    first.extend(unknown());
    let report = v1::AgentMessage {
        message: Some(agent_message::Message::Report(v1::Report {
            ready: true,
            ..v1::Report::default()
        })),
    };
    let words = vec![
        first.into(),
        unknown().into(),
        report.encode_to_vec().into(),
    ];
    let heard = talk(&controller, words).await?;
    let snapshot = |message: &_| matches!(message, controller_message::Message::Snapshot(_));
    assert!(heard.iter().any(snapshot), "{heard:?}");
    Ok(())
}

/// A controller on a recorded store.
fn restored(recording: &Path) -> Result<Controller> {
    let mut controller = Controller::embedded(&[])?;
    controller.kill()?;
    let data = controller.data().display().to_string();
    let store = recording.join(STORE).display().to_string();
    carried::done(
        &Place::Here,
        &["restore", &store, "--force", "--data-dir", &data],
    )?;
    controller.start()?;
    Ok(controller)
}

/// Says all of it, and hears until the first network was told whole.
async fn talk(
    controller: &Controller,
    said: Vec<Bytes>,
) -> Result<Vec<controller_message::Message>> {
    let (say, words) = mpsc::channel(said.len() + 1);
    for word in said {
        say.send(word).await?;
    }
    let mut heard = Vec::new();
    let talk = async {
        let mut stream = wire::open(controller.channel()?, words).await?;
        loop {
            let bytes = stream.message().await?.context("the session ended")?;
            heard.extend(v1::ControllerMessage::decode(bytes)?.message);
            let whole = heard.last().is_some_and(|message| match message {
                controller_message::Message::Snapshot(part) => part.last,
                controller_message::Message::Bookmark(_) => true,
                _ => false,
            });
            if whole {
                return anyhow::Ok(());
            }
        }
    };
    timeout(DEADLINE, talk).await.context("it is not told")??;
    Ok(heard)
}

/// Says these words to whoever opens a session on the first host, and then one that nobody
/// knows; what is said to it is kept.
fn stand_in(
    lab: &Lab,
    words: Vec<Bytes>,
) -> Result<Arc<Mutex<Vec<Option<agent_message::Message>>>>> {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let kept = heard.clone();
    let answer: wire::Answer = Arc::new(move |mut said| {
        let (kept, words) = (kept.clone(), words.clone());
        let (answer, answers) = mpsc::channel(words.len() + 1);
        Box::pin(async move {
            tokio::spawn(async move {
                for word in words.into_iter().chain([unknown().into()]) {
                    if answer.send(Ok(word)).await.is_err() {
                        return;
                    }
                }
                while let Ok(Some(word)) = said.message().await {
                    let word = v1::AgentMessage::decode(word).expect("a message");
                    kept.lock().expect("nobody panics").push(word.message);
                }
                drop(answer);
            });
            Ok(ReceiverStream::new(answers))
        })
    });
    let namespace: Namespace = (**lab.host(1)).clone();
    let listener = namespace.inside(|| Ok(std::net::TcpListener::bind(OLD)?))?;
    listener.set_nonblocking(true)?;
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener)?;
            wire::serve(listener, answer).await
        })
    });
    Ok(heard)
}

/// A field that no message has.
fn unknown() -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_key(1999, WireType::LengthDelimited, &mut bytes);
    encode_varint(5, &mut bytes);
    bytes.extend(b"later");
    bytes
}

fn rows(list: &Value) -> Result<impl Iterator<Item = &Value>> {
    Ok(list.as_array().with_context(|| list.to_string())?.iter())
}
