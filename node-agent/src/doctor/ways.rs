//! Whether packets pass between this host and each of its peers, small ones and full ones.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use overlay::{
    datapath::{device, uplink::overhead},
    doctor::{Below, Way},
    probe::{
        PORT,
        window::{Outcome, Size},
    },
    subnet::Family,
};
use tokio::{
    sync::Semaphore,
    task::JoinSet,
    time::{Instant, timeout_at},
};
use uuid::Uuid;

use super::ground::{Ground, Peer};
use crate::{
    kernel::path::Paths,
    knock::{SMALL, knock},
    probe::Question,
};

/// Tried at once; a peer that is well takes a few milliseconds, one that is not seconds.
const AT_ONCE: usize = 128;
/// What an uplink carries, where no device shows it.
const USUAL: u32 = 1500;
/// Who has not had a turn by then has none.
const WITHIN: Duration = Duration::from_secs(12);

/// Those that were tried, and how many were not.
pub async fn tried(grounds: &[Ground]) -> (Vec<Way>, usize) {
    let end = Instant::now() + WITHIN;
    let turns = Arc::new(Semaphore::new(AT_ONCE));
    let mut trying = JoinSet::new();
    for ground in grounds {
        let inner = mtu(ground).unwrap_or(USUAL - overhead(ground.underlay));
        for (peer, to) in addresses(ground) {
            let Some(own) = ground.address(Family::of(to)) else {
                continue;
            };
            let way = Way {
                network: ground.name.clone(),
                node: peer.node.clone(),
                small: Outcome::Lost,
                full: Outcome::Lost,
                inner,
                outer: inner + overhead(ground.underlay),
                port: ground.port,
                underlay: peer.underlay,
                below: None,
            };
            let turns = turns.clone();
            trying.spawn(timeout_at(end, async move {
                let _turn = turns.acquire_owned().await;
                one(way, own, to).await
            }));
        }
    }
    let all = trying.len();
    let mut ways: Vec<Way> = trying.join_all().await.into_iter().flatten().collect();
    ways.sort_by(|a, b| (&a.network, &a.node).cmp(&(&b.network, &b.node)));
    let untried = all - ways.len();
    (ways, untried)
}

fn addresses(ground: &Ground) -> impl Iterator<Item = (&Peer, IpAddr)> {
    ground
        .peers
        .iter()
        .flat_map(|peer| peer.addresses.iter().map(move |to| (peer, *to)))
}

async fn one(mut way: Way, own: IpAddr, to: IpAddr) -> Way {
    let ask = |size| {
        let question = Question::between(own, SocketAddr::new(to, PORT), size, way.inner);
        question.ask(Uuid::new_v4().as_u64_pair().0)
    };
    (way.small, way.full) = tokio::join!(ask(Size::Small), ask(Size::Full));
    if way.small == Outcome::Lost || way.full == Outcome::Lost {
        let (peer, size) = (way.underlay, way.outer);
        let below = tokio::task::spawn_blocking(move || Below {
            small: knock(None, peer, SMALL),
            full: knock(None, peer, size),
        });
        way.below = below.await.ok();
    }
    way
}

/// The network's, by its device in the kernel.
fn mtu(ground: &Ground) -> Option<u32> {
    let found = Paths::open().and_then(|mut paths| paths.named(&device::name(ground.vni)));
    found.ok().flatten().map(|device| device.mtu)
}
