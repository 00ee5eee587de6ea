//! Takes links out of the kernel, on a thread apart: for each removal the kernel waits
//! until nobody can still be using the device, which takes longer than everything else
//! about a container, and as long for a hundred as for one.

use std::{sync::mpsc, thread};

use overlay::endpoint::EndpointId;
use socket::words::{Reason, Refusal};
use tokio::sync::mpsc as to_owner;

use super::door::Answer;
use crate::kernel::{endpoint::Links, netlink::NetlinkError};

/// What is taken out together is at most so much.
const AT_ONCE: usize = 256;

/// Links that are to go, and who waits for it.
pub struct Going {
    pub links: Vec<(EndpointId, u32)>,
    pub answers: Vec<Answer<()>>,
}

/// They are gone, or why they are not.
pub struct Gone {
    pub going: Going,
    pub result: Result<(), Refusal>,
}

pub struct Remover {
    queue: mpsc::Sender<Going>,
}

impl Remover {
    /// Its thread ends with it.
    pub fn start() -> Result<(Self, to_owner::UnboundedReceiver<Gone>), NetlinkError> {
        let mut links = Links::open()?;
        let (queue, asked) = mpsc::channel::<Going>();
        let (tell, told) = to_owner::unbounded_channel();
        thread::spawn(move || {
            while let Ok(first) = asked.recv() {
                let mut all = vec![first];
                let count =
                    |all: &[Going]| all.iter().map(|going| going.links.len()).sum::<usize>();
                while count(&all) < AT_ONCE
                    && let Ok(next) = asked.try_recv()
                {
                    all.push(next);
                }
                let links_of = all.iter().flat_map(|going| &going.links);
                let indices: Vec<u32> = links_of.map(|(_, index)| *index).collect();
                let removed = links.remove(&indices);
                let result = removed
                    .map_err(|error| Refusal::new(Reason::Kernel, options::sentence(&error)));
                for going in all {
                    let result = result.clone();
                    if tell.send(Gone { going, result }).is_err() {
                        return;
                    }
                }
            }
        });
        Ok((Self { queue }, told))
    }

    /// The owner is told when it is done.
    pub fn remove(&self, going: Going) {
        self.queue
            .send(going)
            .expect("its thread lives as long as somebody can ask it");
    }
}
