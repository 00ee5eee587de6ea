//! What a node says that is not its own to say.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use proto::v1;
use tests::{
    agent::{Agent, endpoint},
    controller::Controller,
};

use super::{joined, kept, listed};

#[tokio::test(flavor = "multi_thread")]
async fn a_node_says_only_what_is_its_own() -> Result<()> {
    let controller = Controller::embedded(&[])?;
    let one = joined(&controller, 1).await?;
    let mut other = joined(&controller, 2).await?;
    let theirs = one.containers(0..1)?;
    let mut mixed = other.containers(1..2)?;
    mixed.extend(theirs.clone());
    let mut nonsense = mixed[0].clone();
    (nonsense.id, nonsense.mac) = ("00000000000ff".into(), "nonsense".into());
    mixed.push(nonsense);
    let answer = other.has(mixed).await?;
    assert_eq!(answer.problem, "");
    let refused: BTreeMap<&str, &str> = answer
        .refused
        .iter()
        .map(|one| (one.id.as_str(), one.reason.as_str()))
        .collect();
    let stranger = refused[theirs[0].id.as_str()];
    assert!(
        stranger.contains("is not in a subnet of its node"),
        "{stranger}"
    );
    assert!(refused["00000000000ff"].starts_with("mac:"), "{refused:?}");
    listed(&controller, &["host-2-c1"])?;

    // Another life of its lease, a network that it has not joined, and too many.
    let lease = other.lease.clone();
    let life = |agent: &mut Agent, life: &str| {
        let lease = agent.lease.as_mut().expect("a lease");
        lease.life = life.into();
    };
    life(&mut other, "00000000-0000-0000-0000-000000000001");
    let answer = other.has(Vec::new()).await?;
    assert!(answer.problem.contains("lives its life"), "{answer:?}");
    life(&mut other, "nonsense");
    let answer = other.has(Vec::new()).await?;
    assert!(answer.problem.starts_with("life:"), "{answer:?}");
    other.lease.clone_from(&lease);
    other.network = "elsewhere".into();
    let answer = other.has(Vec::new()).await?;
    assert!(
        answer.problem.contains("no network elsewhere"),
        "{answer:?}"
    );
    other.network = "default".into();
    let model = endpoint(&lease.context("a lease")?, 1)?;
    let many = (0..4097_u64).map(|number| v1::Endpoint {
        id: format!("{number:013x}"),
        ..model.clone()
    });
    let answer = other.has(many.collect()).await?;
    assert!(
        answer.problem.contains("more than 4096 endpoints"),
        "{answer:?}"
    );
    // The session went on all the while, and says in the end how it is.
    kept(&other.has(vec![model]).await?);
    listed(&controller, &["host-2-c1"])
}
