//! Where the searches start.

use std::rc::Rc;

use crate::{
    action::Action,
    ask::Ask,
    choice::everything_due,
    fences::Fence,
    names::{Machine, Publish},
    world::{Outcome, World},
};

pub const EMPTY: &str = "an empty network";
pub const LEASED: &str = "a lease with its session";
pub const GONE: &str = "a lease, its session gone";
pub const LAPSED: &str = "a lapsed lease, due soon";
pub const RESERVED: &str = "a reservation, and another's lease";
pub const API: &str = "an API client's lease";
pub const REMOVED: &str = "a node removed, its lease still there";
pub const DELETING: &str = "a network being deleted";
pub const RENAMED: &str = "a machine under a new name";
pub const BARE: &str = "a session without a lease";
pub const BESIDE: &str = "a session beside an API client's lease";
pub const UNSEEN: &str = "a deletion that controller 0 has not seen";
pub const NOTHING: &str = "no network";

const MACHINES: u8 = 3;

/// Every start with its name, the protocol without one fence or whole.
pub fn all(fence: Fence) -> Vec<(&'static str, World)> {
    vec![
        (EMPTY, empty(fence)),
        (LEASED, leased(fence)),
        (GONE, gone(fence)),
        (LAPSED, lapsed(fence)),
        (RESERVED, reserved(fence)),
        (API, api(fence)),
        (REMOVED, removed(fence)),
        (DELETING, deleting(fence)),
        (RENAMED, renamed(fence)),
        (BARE, bare(fence)),
        (BESIDE, beside(fence)),
        (UNSEEN, unseen(fence)),
        (NOTHING, World::new(MACHINES, fence)),
    ]
}

/// One of them.
pub fn named(name: &str, fence: Fence) -> (&'static str, World) {
    let mut starts = all(fence).into_iter();
    starts
        .find(|start| start.0 == name)
        .expect("one of the starts")
}

fn empty(fence: Fence) -> World {
    let mut world = World::new(MACHINES, fence);
    done(&mut world, 0, Ask::Create { network: 0 });
    world
}

fn leased(fence: Fence) -> World {
    let mut world = empty(fence);
    done(&mut world, 0, open(0));
    world
}

fn gone(fence: Fence) -> World {
    let mut world = leased(fence);
    step(&mut world, &Action::Break { machine: 0 });
    done(&mut world, 0, Ask::Close { name: 0, sid: 1 });
    world
}

fn lapsed(fence: Fence) -> World {
    let mut world = gone(fence);
    for due in everything_due(&world, 0) {
        done(&mut world, 0, Ask::Settle(due));
    }
    step(&mut world, &Action::Tick);
    world
}

fn reserved(fence: Fence) -> World {
    let mut world = empty(fence);
    done(&mut world, 0, Ask::Reserve { name: 0, choice: 1 });
    done(&mut world, 1, open(1));
    world
}

fn api(fence: Fence) -> World {
    let mut world = empty(fence);
    let acquire = Ask::Acquire {
        name: 0,
        machine: machine(0),
        life: 1,
        vtep: Publish::Shared,
    };
    done(&mut world, 0, acquire);
    step(&mut world, &Action::Tick);
    world
}

fn removed(fence: Fence) -> World {
    let mut world = leased(fence);
    done(&mut world, 1, Ask::Remove { name: 0 });
    step(&mut world, &Action::Reinstall { machine: 0 });
    world
}

fn bare(fence: Fence) -> World {
    let mut world = leased(fence);
    done(&mut world, 0, Ask::Leave { name: 0, sid: 1 });
    world
}

fn beside(fence: Fence) -> World {
    let mut world = bare(fence);
    let acquire = Ask::Acquire {
        name: 0,
        machine: machine(0),
        life: 2,
        vtep: Publish::Silent,
    };
    done(&mut world, 1, acquire);
    world
}

fn unseen(fence: Fence) -> World {
    let mut world = bare(fence);
    let view = Rc::clone(&world.head);
    done(&mut world, 1, Ask::Delete { network: 0 });
    world.controllers[0].view = view;
    world
}

/// The old name is still a node, of the same machine.
fn renamed(fence: Fence) -> World {
    let mut world = leased(fence);
    done(&mut world, 0, Ask::Leave { name: 0, sid: 1 });
    step(&mut world, &Action::Break { machine: 0 });
    done(&mut world, 0, Ask::Close { name: 0, sid: 1 });
    let open = Ask::Open {
        name: 3,
        machine: machine(0),
        sid: 301,
        life: 301,
        vtep: Publish::Own,
    };
    done(&mut world, 0, open);
    world
}

fn deleting(fence: Fence) -> World {
    let mut world = leased(fence);
    done(&mut world, 0, Ask::Reserve { name: 0, choice: 0 });
    done(&mut world, 0, open(2));
    done(&mut world, 0, Ask::Leave { name: 2, sid: 201 });
    done(&mut world, 0, Ask::Delete { network: 0 });
    world
}

fn open(name: u8) -> Ask {
    Ask::Open {
        name,
        machine: machine(name),
        sid: u16::from(name) * 100 + 1,
        life: u16::from(name) * 100 + 1,
        vtep: Publish::Own,
    }
}

fn machine(number: u8) -> Machine {
    Machine {
        number,
        generation: 0,
    }
}

/// Decided, committed, and seen by both controllers.
fn done(world: &mut World, ctl: usize, ask: Ask) {
    let ticket = world.tickets;
    world.tickets += 1;
    step(world, &Action::Decide { ticket, ctl, ask });
    step(
        world,
        &Action::Commit {
            tickets: vec![ticket],
        },
    );
    for ctl in 0..world.controllers.len() {
        step(world, &Action::Sync { ctl });
    }
}

fn step(world: &mut World, action: &Action) {
    match world.act(action) {
        Ok(Outcome::Idle) => panic!("a start is not there: {action}"),
        Ok(Outcome::Done | Outcome::Applied(_)) => {}
        Err(violation) => panic!("a start is wrong: {action}: {violation:?}"),
    }
}
