//! The controllers of a world, and the lines to them.

use std::time::Duration;

use controller::{clock::Clock, keeper::Keeper};
use overlay::network::NetworkSpec;
use tokio::time::sleep;
use tonic::Status;

use super::{BEGAN, Called, World, locked};
use crate::{
    dice::Dice,
    door::Door,
    line::Line,
    process::{Controller, clock},
};

/// The network that the first controller makes: sixteen subnets of IPv4.
const POOLS: [&str; 2] = ["10.32.0.0/20", "fd32::/60"];
const LAPSE: Duration = Duration::from_secs(6);

impl World {
    pub async fn start_controller(&self, place: usize, dice: Dice) {
        let began = self.began;
        let truth = Clock::new(move || BEGAN.after(began.elapsed()));
        let door = Door::new(self.value.clone(), self.weather.clone(), dice);
        let pools = POOLS.map(|pool| pool.parse().expect("a pool"));
        let first = NetworkSpec {
            lapse: LAPSE,
            ..NetworkSpec::new("default".parse().expect("a good name"), pools.into())
        };
        let ahead = locked(&self.places)[place].ahead;
        let controller = Controller::start(door.clone(), &clock(truth, ahead), first);
        let keeper = controller.keeper.clone();
        locked(&self.places)[place].running = Some(controller);
        if let Ok(ctl) = keeper.with(|state| state.ctl).await {
            self.trace
                .say(format_args!("controller {place} starts as {ctl}"));
            locked(&self.ways).insert(ctl.to_string(), door);
        }
    }

    /// Its memory is gone; whoever spoke to it notices in a while.
    pub fn crash_controller(&self, place: usize, dice: &mut Dice) -> bool {
        let Some(controller) = locked(&self.places)[place].running.take() else {
            return false;
        };
        self.trace.say(format_args!("controller {place} crashes"));
        controller.crash();
        self.cut(dice, |called| called.place == place);
        true
    }

    pub async fn stop_controller(&self, place: usize, dice: &mut Dice) -> bool {
        let Some(controller) = locked(&self.places)[place].running.take() else {
            return false;
        };
        self.trace.say(format_args!("controller {place} stops"));
        controller.stop().await;
        self.cut(dice, |called| called.place == place);
        true
    }

    /// The way between a controller and the store.
    pub fn shut(&self, place: usize, shut: bool) {
        self.trace
            .say(format_args!("controller {place} shut off: {shut}"));
        if let Some(controller) = &locked(&self.places)[place].running {
            controller.door.shut(shut);
        }
    }

    /// What every running controller says of itself.
    pub fn keepers(&self) -> Vec<Keeper> {
        let places = locked(&self.places);
        let running = places.iter().filter_map(|place| place.running.as_ref());
        running
            .map(|controller| controller.keeper.clone())
            .collect()
    }

    pub async fn connect(&self, by: usize, place: usize, dice: &mut Dice) -> Result<Line, Status> {
        sleep(self.weather.pause(dice, self.weather.line_delay)).await;
        let routes = {
            let places = locked(&self.places);
            let running = places.get(place).and_then(|place| place.running.as_ref());
            running.map(|controller| controller.routes.clone())
        };
        let Some(routes) = routes else {
            return Err(Status::unavailable("nobody listens there"));
        };
        let line = Line::new(routes, self.weather.clone(), Dice::of(dice.next()));
        let mut lines = locked(&self.lines);
        lines.retain(|called| !called.line.is_over());
        lines.push(Called {
            by,
            place,
            line: line.clone(),
        });
        Ok(line)
    }

    /// Breaks a line that is there, if one is.
    pub fn cut_some(&self, dice: &mut Dice) {
        let lines = locked(&self.lines).len();
        let chosen = dice.below(lines);
        let mut number = 0;
        self.cut(dice, |_| {
            number += 1;
            number - 1 == chosen
        });
    }

    pub(super) fn cut(&self, dice: &mut Dice, mut which: impl FnMut(&Called) -> bool) {
        for called in locked(&self.lines).iter().filter(|called| which(called)) {
            let Called { by, place, line } = called;
            self.trace
                .say(format_args!("the line of {by} to {place} breaks"));
            let here = dice.pause(Duration::from_secs(4));
            line.cut(here, dice.pause(Duration::from_secs(15)));
        }
    }
}
