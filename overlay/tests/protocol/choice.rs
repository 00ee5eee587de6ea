//! What may happen next.

use std::{rc::Rc, time::Duration};

use overlay::{
    decide::decay::{Due, Seen, due},
    flight::Flight,
    network::NetworkState,
};

use crate::{
    action::Action,
    agent::Stream,
    ask::{Ask, DECISIONS},
    names::{self, NAMES, Publish},
    world::{Pending, World},
};

/// Which behaviours a search looks at, and how much of each.
#[derive(Debug, Clone)]
pub struct Theme {
    /// By their places in [`DECISIONS`].
    pub decisions: u32,
    pub published: &'static [Publish],
    /// How many of the machines do something.
    pub machines: usize,
    /// May a machine be renamed?
    pub renamed: bool,
    /// May the controllers lose transactions, replies and ttls?
    pub faults: bool,
    /// May machines get new ids?
    pub reinstalls: bool,
    pub ticks: u64,
    pub pending: usize,
    /// How many lives and sessions a name may begin.
    pub begun: u16,
}

impl Theme {
    /// Everything that these decisions can do to each other.
    pub fn of(decisions: &[&str]) -> Self {
        let place = |decision: &&str| DECISIONS.iter().position(|known| known == decision);
        let places = decisions.iter().filter_map(place);
        Self {
            decisions: places.fold(0, |all, place| all | 1 << place),
            published: &[Publish::Own, Publish::Shared, Publish::Apart],
            machines: usize::MAX,
            renamed: true,
            faults: true,
            reinstalls: true,
            ticks: 8,
            pending: 4,
            begun: 6,
        }
    }

    pub fn allows(&self, decision: &str) -> bool {
        DECISIONS
            .iter()
            .position(|known| *known == decision)
            .is_some_and(|place| self.decisions & (1 << place) != 0)
    }
}

/// The decisions that may be asked for, allowed by the theme.
pub fn asks(world: &World, theme: &Theme) -> Vec<(usize, Ask)> {
    let mut asks = Vec::new();
    for ctl in 0..world.controllers.len() {
        let mut add = |ask: Ask| {
            if theme.allows(ask.decision()) {
                asks.push((ctl, ask));
            }
        };
        by_machines(world, theme, ctl, &mut add);
        for stream in world.over.iter().filter(|stream| stream.ctl == ctl) {
            add(Ask::Close {
                name: stream.name,
                sid: stream.sid,
            });
        }
        for name in (0..NAMES).filter(|name| theme.renamed || *name < theme.machines) {
            by_name(world, name as u8, &mut add);
        }
        let known = |number| {
            let space = world.controllers[ctl]
                .view
                .registry
                .space(&names::network(number));
            space.and_then(|space| Some(&space.network()?.value))
        };
        for network in [0, 1] {
            match known(network).map(|network| network.state) {
                None => add(Ask::Create { network }),
                Some(NetworkState::Active) => add(Ask::Delete { network }),
                Some(NetworkState::Deleting) => {}
            }
        }
        if known(0).is_some_and(|network| network.pool4 == names::spec(0).pools.first().copied()) {
            add(Ask::Grow);
        }
        for due in everything_due(world, ctl) {
            add(Ask::Settle(due));
        }
    }
    asks
}

fn by_machines(world: &World, theme: &Theme, ctl: usize, add: &mut impl FnMut(Ask)) {
    let next = |name: u8| {
        let begun = world.begun[usize::from(name)];
        (begun < theme.begun).then_some(u16::from(name) * 100 + begun + 1)
    };
    for agent in world.agents.iter().take(theme.machines) {
        let machine = agent.machine;
        let own = machine.number;
        let renamed = (theme.renamed && own == 0).then_some(NAMES as u8 - 1);
        for name in [own].into_iter().chain(renamed) {
            let Some(life) = next(name) else { continue };
            let known = |stream: &&Stream| {
                stream.ctl == ctl
                    && stream.name == name
                    && agent.tried.iter().any(|(sid, _)| *sid == stream.sid)
            };
            // A controller that met a conflict decides again, also after the agent went on.
            let again = world.over.iter().rev().find(known).filter(|_| theme.faults);
            for &vtep in theme.published {
                for sid in [life].into_iter().chain(again.map(|stream| stream.sid)) {
                    add(Ask::Open {
                        name,
                        machine,
                        sid,
                        life,
                        vtep,
                    });
                }
                add(Ask::Acquire {
                    name,
                    machine,
                    life,
                    vtep,
                });
            }
        }
        let Some(Stream { name, sid, .. }) = agent.live.filter(|stream| stream.ctl == ctl) else {
            continue;
        };
        add(Ask::Leave { name, sid });
        if let Some(life) = next(name) {
            for &vtep in theme.published {
                add(Ask::Join {
                    name,
                    sid,
                    life,
                    vtep,
                });
            }
        }
    }
}

fn by_name(world: &World, name: u8, add: &mut impl FnMut(Ask)) {
    for &life in world.past.lives.get(&name).into_iter().flatten() {
        add(Ask::Renew { name, life });
        add(Ask::Release { name, life });
    }
    for choice in [0, 1] {
        add(Ask::Reserve { name, choice });
    }
    add(Ask::Unreserve { name });
    add(Ask::Remove { name });
}

/// What a controller that has waited long enough finds to be due.
pub fn everything_due(world: &World, ctl: usize) -> Vec<Due> {
    let flight = Flight::default();
    let view = world.view(ctl, &flight);
    let long = Duration::from_secs(u64::from(u32::MAX));
    let mut seen = Seen::default();
    for (network, space) in view.registry.spaces() {
        for (node, lease) in space.leases() {
            let place = (network.clone(), node.clone());
            seen.unchanged.insert(place, (lease.revision, long));
            seen.absent.insert(node.clone(), long);
        }
    }
    due(&view, &seen, &world.patience(), |_| 0.0)
}

/// What may become of the transactions under way.
pub fn judgements(world: &World, theme: &Theme) -> Vec<Action> {
    let mut actions = Vec::new();
    let waited: Vec<&Pending> = world.pending.iter().filter(|p| !p.given_up).collect();
    for pending in &world.pending {
        let ticket = pending.ticket;
        actions.push(Action::Commit {
            tickets: vec![ticket],
        });
        if theme.faults {
            actions.push(Action::Lose { ticket });
            if !pending.given_up {
                actions.push(Action::GiveUp { ticket });
            }
        }
    }
    for (place, one) in waited.iter().enumerate() {
        for other in waited[place + 1..]
            .iter()
            .filter(|other| other.ctl == one.ctl)
        {
            actions.push(Action::Commit {
                tickets: vec![one.ticket, other.ticket],
            });
        }
    }
    actions
}

/// What happens around the controllers.
pub fn events(world: &World, theme: &Theme, begin: u64) -> Vec<Action> {
    let mut actions = Vec::new();
    for (ctl, controller) in world.controllers.iter().enumerate() {
        if !Rc::ptr_eq(&controller.view, &world.head) {
            actions.push(Action::Sync { ctl });
        }
    }
    if world.time < begin + theme.ticks {
        actions.push(Action::Tick);
    }
    for agent in world.agents.iter().take(theme.machines) {
        let machine = agent.machine.number;
        if agent.live.is_some() {
            actions.push(Action::Break { machine });
        }
        if theme.reinstalls && agent.machine.generation == 0 {
            actions.push(Action::Reinstall { machine });
        }
    }
    if theme.faults && world.expired < 2 {
        actions.push(Action::Expire { ctl: 0 });
        actions.push(Action::Expire { ctl: 1 });
    }
    actions
}
