use overlay::{endpoint::Who, record::Mac, time::WallMs};

use super::{super::Joining, *};

const LIFE: &str = "00000000-0000-0000-0000-000000000002";

fn network() -> NetworkName {
    "n".parse().unwrap()
}

fn joins() -> Joins {
    [(network(), Joining::default())].into()
}

fn public(number: u8, name: &str) -> Arc<Public> {
    Arc::new(Public {
        key: format!("test/{number}").parse().unwrap(),
        addresses: vec![[10, 32, 1, number].into()],
        mac: Mac([2, 0, 0, 0, 0, number]),
        who: Who {
            name: Some(name.into()),
            ..Who::default()
        },
        publish: Vec::new(),
        since: WallMs(1),
    })
}

fn id(number: u8) -> EndpointId {
    EndpointId::of(&network(), &format!("test/{number}").parse().unwrap())
}

fn here(version: u64, numbers: &[u8]) -> Endpoints {
    let one = |number: &u8| (id(*number), public(*number, "c"));
    Endpoints {
        version,
        networks: [(network(), numbers.iter().map(one).collect())].into(),
    }
}

fn joined(endpoints: u64) -> v1::Joined {
    v1::Joined {
        network: Some(v1::Network {
            name: network().to_string(),
            ..v1::Network::default()
        }),
        lease: Some(v1::Lease {
            life: LIFE.into(),
            ..v1::Lease::default()
        }),
        endpoints,
    }
}

fn answer(number: u64, problem: &str) -> v1::EndpointsKept {
    v1::EndpointsKept {
        network: network().to_string(),
        number,
        problem: problem.into(),
        ..v1::EndpointsKept::default()
    }
}

/// The one message that is said.
fn word(telling: &mut Telling<'_>, endpoints: &Endpoints) -> v1::Endpoints {
    let mut words = telling.words(endpoints, &joins());
    assert_eq!(words.len(), 1, "{words:?}");
    words.remove(0)
}

fn silent(telling: &mut Telling<'_>, endpoints: &Endpoints) {
    assert_eq!(telling.words(endpoints, &joins()), []);
}

fn ids(endpoints: &[v1::Endpoint]) -> Vec<EndpointId> {
    endpoints
        .iter()
        .map(|one| one.id.parse().unwrap())
        .collect()
}

#[tokio::test(start_paused = true)]
async fn who_has_none_and_had_none_says_nothing() {
    let known = watch::Sender::new(Known::default());
    let mut telling = Telling::new(&known);
    telling.joined(&joined(0));
    silent(&mut telling, &here(3, &[]));
    assert!(known.borrow().has(&network(), 3));
    silent(
        &mut telling,
        &Endpoints {
            version: 4,
            ..Endpoints::default()
        },
    );
    assert!(known.borrow().has(&network(), 4));
}

#[tokio::test(start_paused = true)]
async fn that_none_are_left_is_said() {
    let known = watch::Sender::new(Known::default());
    let mut telling = Telling::new(&known);
    telling.joined(&joined(2));
    let said = word(&mut telling, &here(1, &[]));
    assert!(said.all && said.set.is_empty() && !said.partial);
    assert_eq!(said.life, LIFE);
    assert!(!known.borrow().has(&network(), 1));
    telling.kept(answer(said.number, ""), 0.5);
    assert!(known.borrow().has(&network(), 1));
}

#[tokio::test(start_paused = true)]
async fn all_after_a_join_and_differences_later() {
    let known = watch::Sender::new(Known::default());
    let mut telling = Telling::new(&known);
    telling.joined(&joined(1));
    let first = word(&mut telling, &here(1, &[1, 2]));
    assert!(first.all);
    assert_eq!(ids(&first.set).len(), 2);

    // Meanwhile there is more to say, and it waits for the answer.
    let mut now = here(2, &[2, 3]);
    silent(&mut telling, &now);
    telling.kept(answer(first.number, ""), 0.5);
    assert!(known.borrow().has(&network(), 1) && !known.borrow().has(&network(), 2));
    let second = word(&mut telling, &now);
    assert!(!second.all && second.number > first.number);
    assert_eq!(ids(&second.set), [id(3)]);
    assert_eq!(second.gone, [id(1).to_string()]);
    telling.kept(answer(second.number, ""), 0.5);

    let of = now.networks.get_mut(&network()).unwrap();
    of.insert(id(3), public(3, "renamed"));
    now.version = 3;
    let third = word(&mut telling, &now);
    assert_eq!((ids(&third.set), third.gone.len()), (vec![id(3)], 0));
    assert_eq!(third.set[0].name, "renamed");
}

#[tokio::test(start_paused = true)]
async fn what_happens_in_a_moment_is_said_together() {
    let known = watch::Sender::new(Known::default());
    let mut telling = Telling::new(&known);
    telling.joined(&joined(0));
    let said = word(&mut telling, &here(1, &[1]));
    assert_eq!(telling.next(), None);
    telling.kept(answer(said.number, ""), 0.5);
    assert_eq!(telling.next(), Some(Instant::now() + TOGETHER));
}

#[tokio::test(start_paused = true)]
async fn what_could_not_be_kept_is_said_again_as_a_whole() {
    let known = watch::Sender::new(Known::default());
    let mut telling = Telling::new(&known);
    telling.joined(&joined(0));
    let said = word(&mut telling, &here(1, &[1, 2]));
    assert!(!said.all);
    telling.kept(answer(said.number, "the store is away"), 1.0);
    let problem = known.borrow().networks[&network()].problem.clone();
    assert_eq!(problem.as_deref(), Some("the store is away"));
    silent(&mut telling, &here(1, &[1, 2]));
    let at = telling.next().unwrap();
    assert!(at > Instant::now());
    tokio::time::advance(at - Instant::now()).await;
    let again = word(&mut telling, &here(1, &[1, 2]));
    assert!(again.all && again.set.len() == 2);
    telling.kept(answer(again.number, ""), 0.5);
    let now = known.borrow();
    assert_eq!(now.networks[&network()].problem, None);
    assert!(now.has(&network(), 1));
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_is_not_said_again_until_it_is_another() {
    let known = watch::Sender::new(Known::default());
    let mut telling = Telling::new(&known);
    telling.joined(&joined(0));
    let mut now = here(1, &[1, 2]);
    let said = word(&mut telling, &now);
    let refused = v1::EndpointRefused {
        id: id(2).to_string(),
        reason: "10.32.1.2 is not in a subnet of its node".into(),
    };
    let kept = v1::EndpointsKept {
        refused: vec![refused],
        ..answer(said.number, "")
    };
    telling.kept(kept, 0.5);
    assert!(
        known.borrow().networks[&network()]
            .refused
            .contains_key(&id(2))
    );
    silent(&mut telling, &now);
    let of = now.networks.get_mut(&network()).unwrap();
    of.insert(id(2), public(2, "another"));
    let said = word(&mut telling, &now);
    telling.kept(answer(said.number, ""), 0.5);
    assert!(known.borrow().networks[&network()].refused.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_late_answer_is_no_answer() {
    let known = watch::Sender::new(Known::default());
    let mut telling = Telling::new(&known);
    telling.joined(&joined(0));
    let said = word(&mut telling, &here(1, &[1]));
    telling.joined(&joined(0));
    telling.kept(answer(said.number, ""), 0.5);
    assert!(!known.borrow().has(&network(), 1));
    let again = word(&mut telling, &here(1, &[1]));
    telling.left(&network());
    telling.kept(answer(again.number, ""), 0.5);
    assert!(known.borrow().networks.is_empty());
    silent(&mut telling, &here(2, &[1]));
}

#[tokio::test(start_paused = true)]
async fn a_network_that_is_not_joined_is_not_talked_about() {
    let known = watch::Sender::new(Known::default());
    let mut telling = Telling::new(&known);
    telling.joined(&joined(0));
    assert_eq!(telling.words(&here(1, &[1]), &Joins::new()), []);
}

#[tokio::test(start_paused = true)]
async fn many_are_many_messages_and_each_can_be_taken() {
    let known = watch::Sender::new(Known::default());
    let mut telling = Telling::new(&known);
    telling.joined(&joined(1));
    let many = (0..4096_u32).map(|number| {
        let key: overlay::endpoint::Key = format!("test/{number}").parse().unwrap();
        let mut public = Public::clone(&public(1, "c"));
        public.who.labels = [("label".into(), "x".repeat(200))].into();
        public.key = key.clone();
        (EndpointId::of(&network(), &key), Arc::new(public))
    });
    let endpoints = Endpoints {
        version: 1,
        networks: [(network(), many.collect())].into(),
    };
    let words = telling.words(&endpoints, &joins());
    assert!(words.len() > 10);
    let (last, before) = words.split_last().unwrap();
    assert!(before.iter().all(|part| part.partial && part.all) && !last.partial);
    let named: usize = words.iter().map(|part| part.set.len()).sum();
    assert_eq!(named, 4096);
    for part in &words {
        assert!(prost::Message::encoded_len(part) < 128 * 1024);
        assert_eq!(part.number, last.number);
    }
    telling.kept(answer(last.number, ""), 0.5);
    assert!(known.borrow().has(&network(), 1));
}
