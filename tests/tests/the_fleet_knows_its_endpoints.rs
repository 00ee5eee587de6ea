//! What nodes have attached is kept, listed and watched everywhere, for as long as the
//! leases that it belongs to.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use proto::v1;
use serde_json::{Value, json};
use tests::{
    agent::{Agent, endpoint},
    client::Client,
    controller::Controller,
    etcd::Etcd,
    wait::{eventually, patiently, within},
};
use tonic::Streaming;

const QUICK: [&str; 8] = [
    "--session-ttl",
    "2s",
    "--grace",
    "1s",
    "--clock-skew",
    "1s",
    "--reclaim-hold",
    "1s",
];

#[tokio::test(flavor = "multi_thread")]
async fn in_etcd() -> Result<()> {
    let etcd = Etcd::start()?;
    let mut one = Controller::etcd(&etcd, &[])?;
    let other = Controller::etcd(&etcd, &[])?;
    a_story(&mut one, Some(&other)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn in_one_file() -> Result<()> {
    a_story(&mut Controller::embedded(&[])?, None).await
}

/// They come, change and go, and outlive their controller.
async fn a_story(one: &mut Controller, other: Option<&Controller>) -> Result<()> {
    let mut agent = joined(one, 1).await?;
    assert_eq!(agent.had(), Some(0));
    let all = agent.containers(0..3)?;
    kept(&agent.has(all.clone()).await?);
    let everywhere = |here: &Controller, names: &[&str]| -> Result<()> {
        for controller in [Some(here), other].into_iter().flatten() {
            listed(controller, names)?;
        }
        Ok(())
    };
    everywhere(one, &["host-1-c0", "host-1-c1", "host-1-c2"])?;
    let row = &rows(one, &[])?[1];
    let lease = agent.lease.clone().context("a lease")?;
    let expected = json!({
        "network": "default",
        "node": "host-1",
        "name": row["name"],
        "addresses": row["addresses"],
        "mac": row["mac"],
        "ports": row["ports"],
        "aliases": row["aliases"],
        "labels": row["labels"],
        "container": row["container"],
        "key": row["key"],
        "id": row["id"],
        "state": "alive",
        "since": "2023-11-14T22:13:20Z",
        "revision": row["revision"],
    });
    assert_eq!(*row, expected);
    for (number, told) in all.iter().enumerate() {
        found_by_each_of_its_names(one, number, told)?;
    }

    // One is another now, one is gone, and one is new.
    let mut renamed = all[0].clone();
    renamed.name = "renamed".into();
    let new = endpoint(&lease, 7)?;
    let gone = vec![all[1].id.clone()];
    kept(
        &agent
            .changed(vec![renamed.clone(), new.clone()], gone)
            .await?,
    );
    everywhere(one, &["host-1-c2", "host-1-c7", "renamed"])?;

    one.kill()?;
    one.start()?;
    agent.connect(one.channel()?).await?;
    agent.joined().await?;
    assert_eq!(agent.had(), Some(3));
    everywhere(one, &["host-1-c2", "host-1-c7", "renamed"])?;
    // The same again is not written again.
    let before = rows(one, &[])?;
    kept(&agent.has(vec![renamed, all[2].clone(), new]).await?);
    assert_eq!(rows(one, &[])?, before);
    // What went away meanwhile is told by what is there.
    kept(&agent.has(vec![all[2].clone()]).await?);
    everywhere(one, &["host-1-c2"])?;

    agent.leave().await?;
    everywhere(one, &[])?;
    Ok(())
}

fn found_by_each_of_its_names(
    controller: &Controller,
    number: usize,
    told: &v1::Endpoint,
) -> Result<()> {
    let alias = format!("alias-{number}");
    let short = &told.container[..12];
    let names = [&told.name, &alias, &told.id, &told.key, short];
    let addresses = told.addresses.iter().map(String::as_str);
    for name in names.into_iter().chain(addresses) {
        let shown = controller.weft_json(&["endpoint", "show", name])?;
        assert_eq!(shown["id"], told.id, "{name}");
    }
    let said = controller.weft(&["endpoint", "show", "nobody"])?;
    assert_eq!((said.code, said.stdout.as_str()), (1, ""));
    assert!(said.stderr.contains("no endpoint nobody"), "{said:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lapsed_nodes_are_kept_and_marked_and_end_with_the_lease() -> Result<()> {
    let controller = Controller::embedded(&QUICK)?;
    let create = ["network", "create", "short", "--pool", "10.77.0.0/20"];
    let said = controller.weft(&[&create[..], &["--lapse", "4s"]].concat())?;
    ensure!(said.code == 0, "{said:?}");
    let mut stays = joined(&controller, 1).await?;
    let all = stays.containers(0..2)?;
    kept(&stays.has(all).await?);
    let mut goes = Agent::new(2);
    goes.network = "short".into();
    goes.connect(controller.channel()?).await?;
    goes.joined().await?;
    // More than go with the lease in one transaction.
    let many = goes.containers(0..200)?;
    kept(&goes.has(many).await?);
    let mut watch = Watch::begin(&controller).await?;
    watch
        .until("all are there", |seen| seen.len() == 202)
        .await?;

    stays.disconnect();
    goes.disconnect();
    let lapsed = |network: &str, seen: &Seen| {
        let of = seen.values().filter(|one| one.network == network);
        of.filter(|one| one.state() == v1::LeaseState::Lapsed)
            .count()
    };
    let all_lapsed = |seen: &Seen| (lapsed("default", seen), lapsed("short", seen)) == (2, 200);
    watch.until("both have lapsed", all_lapsed).await?;
    let rows = rows(&controller, &["--node", "host-1"])?;
    assert!(rows.iter().all(|row| row["state"] == "lapsed"), "{rows:?}");

    // One comes back, the other's lease is reclaimed.
    stays.connect(controller.channel()?).await?;
    stays.joined().await?;
    assert_eq!(stays.had(), Some(2));
    watch
        .until("one is back, the other gone", |seen| {
            seen.len() == 2 && lapsed("default", seen) == 0
        })
        .await?;
    // Nothing of it is left behind: its network can be deleted.
    patiently("the network is gone", || {
        controller.weft(&["network", "delete", "short"])?;
        let networks = controller.weft_json(&["network", "list"])?;
        let names = networks.as_array().context("a list")?.iter();
        let names: Vec<&Value> = names.map(|network| &network["name"]).collect();
        ensure!(names == ["default"], "{names:?}");
        Ok(())
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_nodes_go_with_it() -> Result<()> {
    let etcd = Etcd::start()?;
    let controller = Controller::etcd(&etcd, &[])?;
    let mut agent = joined(&controller, 1).await?;
    let all = agent.containers(0..200)?;
    kept(&agent.has(all).await?);
    let said = controller.weft(&["node", "remove", "host-1"])?;
    ensure!(said.code == 0, "{said:?}");
    listed(&controller, &[])?;
    let left = etcd.etcdctl(["get", "--prefix", "/weft/endpoint/", "--keys-only"])?;
    assert_eq!(left.trim(), "");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_is_set_aside_and_told_anew() -> Result<()> {
    let etcd = Etcd::start()?;
    let mut controller = Controller::etcd(&etcd, &[])?;
    let mut agent = joined(&controller, 1).await?;
    let all = agent.containers(0..2)?;
    kept(&agent.has(all.clone()).await?);
    let key = format!("endpoint/default/host-1/{}", all[0].id);
    let names = ["host-1-c0", "host-1-c1"];
    etcd.put(&format!("/weft/{key}"), "{")?;
    set_aside(&controller, &[&key])?;
    listed(&controller, &names)?;

    // One that starts now cannot know it, and has all others.
    controller.kill()?;
    controller.start()?;
    set_aside(&controller, &[&key])?;
    listed(&controller, &names[1..])?;
    agent.connect(controller.channel()?).await?;
    agent.joined().await?;
    kept(&agent.has(all).await?);
    set_aside(&controller, &[])?;
    listed(&controller, &names)
}

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

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_is_resumed_anywhere() -> Result<()> {
    let etcd = Etcd::start()?;
    let one = Controller::etcd(&etcd, &[])?;
    let other = Controller::etcd(&etcd, &[])?;
    let mut agent = joined(&one, 1).await?;
    let all = agent.containers(0..4)?;
    kept(&agent.has(all[..2].to_vec()).await?);
    let mut watch = Watch::begin(&one).await?;
    watch
        .until("both are there", |seen| seen.len() == 2)
        .await?;
    let Watch {
        cluster, revision, ..
    } = watch;

    kept(
        &agent
            .changed(all[2..].to_vec(), vec![all[0].id.clone()])
            .await?,
    );
    let mut resumed = Watch::open(&other, &cluster, revision).await?;
    resumed.until("two more", |seen| seen.len() == 2).await?;
    assert!(!resumed.snapshot, "only what was missed");
    assert_eq!(resumed.gone, [all[0].id.clone()]);

    // Where nothing happens to endpoints, it is told how far the store has come.
    Client::new(one.channel()?).acquire("another").await?;
    let (before, count) = (resumed.revision, resumed.told);
    resumed
        .hear_until("a bookmark", |watch| watch.revision > before)
        .await?;
    assert_eq!(resumed.told, count, "nothing but a bookmark");

    // A revision of another store is none.
    let anew = Watch::open(&other, "somewhere-else", revision).await?;
    let mut anew = anew;
    anew.until("all of them", |seen| seen.len() == 3).await?;
    assert!(anew.snapshot);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_of_a_hundred_nodes() -> Result<()> {
    const NODES: u32 = 100;
    const EACH: u16 = 100;
    let etcd = Etcd::start()?;
    let one = Controller::etcd(&etcd, &[])?;
    let other = Controller::etcd(&etcd, &[])?;
    let mut watch = Watch::begin(&other).await?;
    let mut agents = Vec::new();
    for number in 1..=NODES {
        agents.push(joined(&one, number).await?);
    }
    let began = Instant::now();
    let mut telling = tokio::task::JoinSet::new();
    for mut agent in agents {
        telling.spawn(async move {
            let all = agent.containers(0..EACH)?;
            kept(&agent.has(all).await?);
            anyhow::Ok(agent)
        });
    }
    let mut agents = Vec::new();
    while let Some(told) = telling.join_next().await {
        agents.push(told??);
    }
    let told = began.elapsed();
    let count = NODES as usize * usize::from(EACH);
    watch
        .until("all are seen", |seen| seen.len() == count)
        .await?;
    println!(
        "{count} endpoints: kept in {told:?}, seen by a watch elsewhere after {:?}",
        began.elapsed()
    );

    let began = Instant::now();
    let listed = rows(&other, &[])?;
    println!("listed by weft in {:?}", began.elapsed());
    assert_eq!(listed.len(), count);
    let began = Instant::now();
    let mut late = Watch::begin(&other).await?;
    late.until("a snapshot", |seen| seen.len() == count).await?;
    println!("a watch that begins now has all in {:?}", began.elapsed());
    assert_eq!(late.seen, watch.seen);

    let agent = &mut agents[0];
    let gone = agent.containers(3..4)?[0].id.clone();
    let began = Instant::now();
    kept(&agent.changed(Vec::new(), vec![gone]).await?);
    watch
        .until("one is gone", |seen| seen.len() == count - 1)
        .await?;
    println!("one change is seen elsewhere after {:?}", began.elapsed());
    // Told what it has already, a controller writes nothing.
    let head = watch.revision;
    let mut all = agent.containers(0..EACH)?;
    all.remove(3);
    kept(&agent.has(all).await?);
    let mut client = Client::new(other.channel()?).endpoints();
    let list = client.list(v1::ListEndpointsRequest::default()).await?;
    assert_eq!(list.into_inner().revision, head);
    Ok(())
}

async fn joined(controller: &Controller, number: u32) -> Result<Agent> {
    let mut agent = Agent::new(number);
    agent.connect(controller.channel()?).await?;
    agent.joined().await?;
    Ok(agent)
}

fn kept(answer: &v1::EndpointsKept) {
    assert_eq!(
        (answer.problem.as_str(), answer.refused.len()),
        ("", 0),
        "{answer:?}"
    );
    assert!(answer.revision > 0);
}

fn rows(controller: &Controller, arguments: &[&str]) -> Result<Vec<Value>> {
    let listed = controller.weft_json(&[&["endpoint", "list"], arguments].concat())?;
    Ok(listed.as_array().context("a list")?.clone())
}

/// Waits until exactly these are listed.
fn listed(controller: &Controller, names: &[&str]) -> Result<()> {
    patiently(&format!("{names:?} are listed"), || {
        let rows = rows(controller, &[])?;
        let mut known: Vec<&str> = rows.iter().filter_map(|row| row["name"].as_str()).collect();
        known.sort_unstable();
        ensure!(known == names, "{known:?}");
        Ok(())
    })
}

fn set_aside(controller: &Controller, keys: &[&str]) -> Result<()> {
    patiently("what cannot be read is named", || {
        let status = controller.weft_json(&["status"])?;
        let named = status["set_aside"].as_array().context("a list")?;
        let named: Vec<&str> = named.iter().filter_map(|one| one["key"].as_str()).collect();
        ensure!(named == keys, "{named:?}");
        Ok(())
    })
}

type Seen = BTreeMap<(String, String, String), v1::Endpoint>;

/// Somebody who watches, as DNS would.
struct Watch {
    stream: Streaming<v1::WatchEndpointsResponse>,
    cluster: String,
    revision: u64,
    snapshot: bool,
    seen: Seen,
    gone: Vec<String>,
    /// How many endpoints were told of.
    told: usize,
}

impl Watch {
    async fn begin(controller: &Controller) -> Result<Self> {
        Self::open(controller, "", 0).await
    }

    async fn open(controller: &Controller, cluster: &str, revision: u64) -> Result<Self> {
        let request = v1::WatchEndpointsRequest {
            network: String::new(),
            cluster: cluster.into(),
            revision,
        };
        let mut client = Client::new(controller.channel()?).endpoints();
        let stream = eventually("a watch begins", async || {
            Ok(client.watch(request.clone()).await?.into_inner())
        });
        Ok(Self {
            stream: stream.await?,
            cluster: String::new(),
            revision,
            snapshot: false,
            seen: Seen::new(),
            gone: Vec::new(),
            told: 0,
        })
    }

    async fn until(&mut self, what: &str, holds: impl Fn(&Seen) -> bool) -> Result<()> {
        self.hear_until(what, |watch| holds(&watch.seen)).await
    }

    async fn hear_until(&mut self, what: &str, holds: impl Fn(&Self) -> bool) -> Result<()> {
        let began = Instant::now();
        while !holds(self) {
            ensure!(
                began.elapsed() < Duration::from_secs(60),
                "{what}: {} seen",
                self.seen.len()
            );
            let told = within(what, self.stream.message()).await;
            let told =
                told.with_context(|| format!("{} seen at {}", self.seen.len(), self.revision))?;
            self.take(told?.context("the watch ended")?);
        }
        Ok(())
    }

    fn take(&mut self, told: v1::WatchEndpointsResponse) {
        assert!(told.revision >= self.revision || self.cluster.is_empty());
        if told.snapshot && !self.snapshot {
            self.seen.clear();
            self.snapshot = true;
        }
        self.told += told.endpoints.len() + told.gone.len();
        for endpoint in told.endpoints {
            let key = (
                endpoint.network.clone(),
                endpoint.node.clone(),
                endpoint.id.clone(),
            );
            self.seen.insert(key, endpoint);
        }
        for gone in told.gone {
            self.gone.push(gone.id.clone());
            self.seen.remove(&(gone.network, gone.node, gone.id));
        }
        (self.cluster, self.revision) = (told.cluster, told.revision);
    }
}
