//! What befalls hosts. Each act is straight: it writes down whose packets may be lost,
//! does it, undoes it, and waits until everything is right again. Only then the
//! permission ends, so that a slow machine makes it longer and nothing wrong.

use std::{ops::Range, time::Duration};

use anyhow::{Context, Result};

use super::{spot::Spot, stage::Stage};
use crate::dice::Dice;

mod agent;
mod by_hand;
mod container;
mod link;
mod membership;
mod network;
mod uplink;

/// Between two acts of one lane.
const BREATH: Range<Duration> = Duration::from_millis(50)..Duration::from_millis(400);

type OnOne = fn(&Stage, &mut Spot, &mut Dice) -> Result<()>;
type OnTwo = fn(&Stage, &Spot, &Spot, &mut Dice) -> Result<()>;

enum What {
    One(OnOne),
    Two(OnTwo),
}

/// With the chance of each.
const ACTS: &[(usize, What)] = &[
    (3, What::One(agent::killed)),
    (2, What::One(agent::stopped)),
    (2, What::One(agent::frozen)),
    (2, What::One(link::cut_from_controllers)),
    (2, What::Two(link::parted)),
    (1, What::Two(link::cut_one_way)),
    (2, What::One(link::pulled)),
    (1, What::One(link::slow)),
    (2, What::One(uplink::address_changed)),
    (3, What::One(by_hand::device)),
    (5, What::One(by_hand::entry)),
    (3, What::One(by_hand::firewall)),
    (2, What::One(container::comes_and_goes)),
    (1, What::Two(network::comes_and_goes)),
    (1, What::Two(network::deleted_in_use)),
];

/// Some hosts, and who acts on them, one act after the other.
pub struct Lane<'a> {
    pub spots: Vec<&'a mut Spot>,
    /// The one of them that may leave or come now.
    pub mover: Option<u32>,
    pub dice: Dice,
}

impl Lane<'_> {
    /// Acts until the time is over.
    pub fn run(mut self, stage: &Stage, until: Duration) {
        if let Some(mover) = self.mover.take()
            && let Err(error) = self.moves(stage, mover)
        {
            stage.breaks(&error);
        }
        while stage.start.elapsed() < until && !stage.is_broken() {
            if let Err(error) = self.throw(stage) {
                stage.breaks(&error);
            }
            stage.sleep(self.dice.time(&BREATH));
        }
    }

    fn moves(&mut self, stage: &Stage, mover: u32) -> Result<()> {
        let spot = self.spots.iter_mut().find(|spot| spot.number == mover);
        let spot = spot.context("the one that moves is of this lane")?;
        if spot.away {
            membership::comes(stage, spot, &mut self.dice)
        } else {
            membership::leaves(stage, spot, &mut self.dice)
        }
    }

    fn throw(&mut self, stage: &Stage) -> Result<()> {
        let all: usize = ACTS.iter().map(|(chance, _)| chance).sum();
        let mut thrown = self.dice.below(all);
        let mut acts = ACTS.iter();
        let act = acts.find(|(chance, _)| {
            let hit = thrown < *chance;
            thrown = thrown.saturating_sub(*chance);
            hit
        });
        let (_, what) = act.context("a throw hits something")?;
        let mut here: Vec<&mut &mut Spot> =
            self.spots.iter_mut().filter(|spot| !spot.away).collect();
        if here.is_empty() {
            return Ok(());
        }
        let one = self.dice.below(here.len());
        let one = here.swap_remove(one);
        match what {
            What::One(act) => act(stage, one, &mut self.dice),
            What::Two(_) if here.is_empty() => Ok(()),
            What::Two(act) => {
                let other = self.dice.below(here.len());
                act(stage, one, here[other], &mut self.dice)
            }
        }
    }
}
