//! What is asked of a node's agent goes through the controller that has its session.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use overlay::afar::LONGEST_ANSWER;
use proto::{decode::ASK, v1};
use tests::{agent::Agent, client::Client, controller::Controller, lab::Lab, wait::patiently};
use tokio::task::JoinHandle;
use tonic::{Code, Status};

const PART: usize = 64 << 10;

#[test]
fn wherever_their_sessions_are() -> Result<()> {
    let mut lab = Lab::new(3)?;
    lab.start_controllers(3, &[])?;
    let mut agents = lab.agents(&[])?;
    for (agent, host) in agents.iter().zip(lab.hosts()) {
        let said = lab.weft(&["node", "ask", host.node(), "/status"])?;
        let own = agent.status()?;
        for field in ["node", "id"] {
            assert_eq!(said[field], own[field], "{said}");
            assert!(said[field].is_string(), "{said}");
        }
    }

    // One controller alone says where the others' sessions are.
    let mut elsewhere = 0;
    for host in lab.hosts() {
        let said = lab.controllers[0].weft(&["node", "ask", host.node(), "/readyz"])?;
        if said.code == 0 {
            assert_eq!(said.stdout, "ready\n");
            continue;
        }
        elsewhere += 1;
        assert_eq!(said.code, 1, "{said:?}");
        let others = &lab.controllers[1..];
        let named = others.iter().any(|other| {
            let url = other.url().expect("a controller has a URL");
            said.stderr.contains(url.trim_start_matches("http://"))
        });
        assert!(named, "{said:?}");
    }
    assert!(elsewhere > 0, "all agents went to one of three controllers");

    let closed = lab.weft_said(&["node", "ask", "h1", "/ipam/repair", "--method", "POST"])?;
    assert_eq!(closed.code, 2, "{closed:?}");
    assert!(closed.stderr.contains("not open from afar"), "{closed:?}");
    let nobody = lab.weft_said(&["node", "ask", "h9", "/status"])?;
    assert_eq!(nobody.code, 1, "{nobody:?}");
    assert!(nobody.stderr.contains("there is no node h9"), "{nobody:?}");

    agents[1].kill()?;
    patiently("who is not there is said not to be there", || {
        let said = lab.weft_said(&["node", "ask", "h2", "/status"])?;
        ensure!(said.code == 3, "{said:?}");
        ensure!(said.stderr.contains("node h2 is not connected"), "{said:?}");
        Ok(())
    })
}

/// A controller, and an agent that leaves its answers to the test.
async fn pair(features: &[&str]) -> Result<(Controller, Client, Agent)> {
    let controller = Controller::embedded(&[])?;
    let client = Client::new(controller.channel()?);
    let mut agent = Agent::new(1);
    agent.features = features.iter().map(ToString::to_string).collect();
    agent.connect(controller.channel()?).await?;
    agent.joined().await?;
    Ok((controller, client, agent))
}

fn ask(client: &Client, within_ms: u64) -> JoinHandle<Result<v1::AskResponse, Status>> {
    let client = client.clone();
    tokio::spawn(async move { client.ask("host-1", "/status", within_ms).await })
}

fn refusal(answer: Result<v1::AskResponse, Status>) -> Result<Status> {
    answer.err().context("it was answered")
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_of_before_cannot_be_asked_and_says_so() -> Result<()> {
    let (controller, client, _agent) = pair(&[]).await?;
    let status = refusal(client.ask("host-1", "/status", 0).await)?;
    assert_eq!(status.code(), Code::Unimplemented, "{status:?}");
    let said = controller.weft(&["node", "ask", "host-1", "/status"])?;
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.stderr.contains("upgrade it"), "{said:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_of_answers_are_put_together_in_any_order_of_questions() -> Result<()> {
    let (_controller, client, mut agent) = pair(&[ASK]).await?;
    let first = ask(&client, 0);
    let one = agent.asked().await?;
    let second = ask(&client, 0);
    let other = agent.asked().await?;
    assert_eq!((one.method.as_str(), one.path.as_str()), ("GET", "/status"));
    agent.answer(other.id, vec![b'b'; PART], false).await?;
    agent.answer(one.id, b"a".to_vec(), true).await?;
    agent.answer(other.id, vec![b'c'; 1], true).await?;
    // For nobody.
    agent.answer(other.id, vec![b'd'; 1], true).await?;
    agent.answer(77, vec![b'e'; 1], true).await?;
    assert_eq!(first.await??.body, &b"a"[..]);
    let body = second.await??.body;
    assert_eq!((body.len(), body[0], body[PART]), (PART + 1, b'b', b'c'));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_late_too_much_or_too_long_is_refused() -> Result<()> {
    let (_controller, client, mut agent) = pair(&[ASK]).await?;
    let status = refusal(client.ask("host-1", "/status", 200).await)?;
    assert_eq!(status.code(), Code::DeadlineExceeded, "{status:?}");
    let late = agent.asked().await?;
    assert_eq!(late.within_ms, 200);

    let mut waiting = Vec::new();
    let mut ids = Vec::new();
    for _ in 0..8 {
        waiting.push(ask(&client, 60_000));
        ids.push(agent.asked().await?.id);
    }
    let status = refusal(client.ask("host-1", "/status", 0).await)?;
    assert_eq!(status.code(), Code::ResourceExhausted, "{status:?}");

    let (long, id) = (waiting.remove(0), ids.remove(0));
    for _ in 0..=LONGEST_ANSWER / PART {
        agent.answer(id, vec![b'x'; PART], false).await?;
    }
    let status = refusal(long.await?)?;
    assert_eq!(status.code(), Code::OutOfRange, "{status:?}");
    // There is room for one again.
    let again = ask(&client, 0);
    let asked = agent.asked().await?;
    agent.answer(asked.id, b"yes".to_vec(), true).await?;
    assert_eq!(again.await??.body, &b"yes"[..]);

    agent.disconnect();
    for one in waiting {
        let status = refusal(tokio::time::timeout(Duration::from_secs(10), one).await??)?;
        assert_eq!(status.code(), Code::Unavailable, "{status:?}");
    }
    Ok(())
}
