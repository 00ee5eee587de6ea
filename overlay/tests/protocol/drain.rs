//! Liveness: from any state, once everything is delivered and the nodes stay away,
//! the store empties itself and gives again.

use std::rc::Rc;

use overlay::{decide::decay::Due, network::NetworkState, subnet::Family};

use crate::{
    action::Action,
    ask::Ask,
    choice,
    fences::Fence,
    invariants::{Checked, Violation, broken},
    names::{self, Publish},
    world::{Outcome, World},
};

/// Longer than a lease lasts without a session, plus the bound for skew.
const TICKS: usize = 5;
/// No state of this model has more to do at one moment.
const ROUNDS: usize = 12;

pub fn drain(world: &World) -> Checked {
    // A fence that is missing shows in the steps; this is about the whole protocol.
    if world.fence != Fence::Whole {
        return Ok(());
    }
    let mut world = world.clone();
    for ticket in world.pending.iter().map(|p| p.ticket).collect::<Vec<_>>() {
        world.act(&Action::Commit {
            tickets: vec![ticket],
        })?;
    }
    for machine in 0..world.agents.len() as u8 {
        world.act(&Action::Break { machine })?;
    }
    sweep(&mut world)?;
    decay(&mut world)?;
    emptied(&world)?;
    gives_again(&mut world)
}

/// Each controller ends the sessions in its name that no stream of its belongs to.
fn sweep(world: &mut World) -> Checked {
    for ctl in 0..world.controllers.len() {
        world.act(&Action::Sync { ctl })?;
        for stream in world.over.clone().iter().filter(|stream| stream.ctl == ctl) {
            let close = Ask::Close {
                name: stream.name,
                sid: stream.sid,
            };
            decided(world, ctl, close)?;
        }
    }
    match world.head.registry.sessions().keys().next() {
        Some(name) => broken("drain", format!("nobody ends the session of {name}")),
        None => Ok(()),
    }
}

fn decay(world: &mut World) -> Checked {
    for tick in 0..TICKS {
        let ctl = tick % 2;
        let mut rounds = 0;
        loop {
            world.act(&Action::Sync { ctl })?;
            let due: Vec<Due> = choice::everything_due(world, ctl);
            if due.is_empty() {
                break;
            }
            rounds += 1;
            if rounds > ROUNDS {
                return broken("drain", format!("always due: {due:?}"));
            }
            for due in due {
                decided(world, ctl, Ask::Settle(due))?;
                world.act(&Action::Sync { ctl })?;
            }
        }
        world.act(&Action::Tick)?;
    }
    Ok(())
}

/// Decides and commits with nothing in between. Says whether it was applied.
fn decided(world: &mut World, ctl: usize, ask: Ask) -> Result<bool, Violation> {
    let ticket = world.tickets;
    world.tickets += 1;
    if world.act(&Action::Decide { ticket, ctl, ask })? == Outcome::Idle {
        return Ok(false);
    }
    let outcome = world.act(&Action::Commit {
        tickets: vec![ticket],
    })?;
    Ok(outcome == Outcome::Applied(1))
}

/// Only reservations are left, pools are counted right, and a controller that loads
/// everything now knows what one that has followed knows.
fn emptied(world: &World) -> Checked {
    let head = &world.head.registry;
    if *head != world.head.loaded() {
        return broken("drain", "following and loading differ");
    }
    for (name, space) in head.spaces() {
        let network = space.network().map(|network| network.value.state);
        if network != Some(NetworkState::Active) {
            return broken("drain", format!("{name} is being deleted for ever"));
        }
        if let Some(node) = space.leases().keys().next() {
            return broken("drain", format!("the lease of {node} stays for ever"));
        }
        if let Some(address) = space.underlays().keys().next() {
            return broken("drain", format!("{address} stays claimed"));
        }
        for family in Family::BOTH {
            let promised = space.reservations().values();
            let promised = promised
                .filter(|r| r.value.subnet(family).is_some())
                .count();
            if let Some(pool) = space.pool_use(family)
                && (pool.leased, pool.reserved) != (0, promised as u128)
            {
                return broken("drain", format!("{name}: {family} is counted wrong"));
            }
        }
    }
    Ok(())
}

/// Every machine that was not removed can have a lease again, while there is room.
fn gives_again(world: &mut World) -> Checked {
    let Some(space) = world.head.registry.space(&names::network(0)) else {
        return Ok(());
    };
    let room = |family| space.pool_use(family).map_or(0, |pool| pool.free());
    let mut room = room(Family::V4).min(room(Family::V6));
    for agent in world.agents.clone() {
        let (name, machine) = (agent.machine.number, agent.machine);
        let head = Rc::clone(&world.head);
        let holder = head
            .registry
            .nodes()
            .get(&names::node(name))
            .map(|node| node.value.id);
        let fits = match holder {
            Some(holder) => holder == names::id(machine),
            None => !head.registry.removed().contains_key(&names::id(machine)),
        };
        let promised = head
            .registry
            .space(&names::network(0))
            .is_some_and(|space| space.reservations().contains_key(&names::node(name)));
        if !fits || promised || room == 0 {
            continue;
        }
        room -= 1;
        world.act(&Action::Sync { ctl: 1 })?;
        let sid = u16::from(name) * 100 + 99;
        let open = Ask::Open {
            name,
            machine,
            sid,
            life: sid,
            vtep: Publish::Own,
        };
        if !decided(world, 1, open)? {
            return broken("drain", format!("machine {machine} cannot have a lease"));
        }
    }
    Ok(())
}
