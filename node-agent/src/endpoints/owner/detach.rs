//! Containers go.

use overlay::endpoint::{Endpoint, EndpointId, book::Line, plan::Kind};
use socket::words::{Detach, Reason, Refusal};
use tokio::task::block_in_place;
use tracing::{info, warn};

use super::{
    super::{
        door::Answer,
        remover::{Going, Gone},
    },
    Owner, now, reply,
};
use crate::kernel::netlink::NetlinkError;

impl Owner {
    pub(super) async fn detach(&mut self, asked: Vec<(Detach, Answer<()>)>) {
        let mut going: Vec<Endpoint> = Vec::new();
        let mut answers = Vec::new();
        for (detach, answer) in asked {
            let id = EndpointId::of(&detach.network, &detach.key);
            match self.book.endpoint(id) {
                None => reply(answer, Ok(())),
                Some(there) if detach.seq.is_some_and(|seq| seq != there.seq) => {
                    let text = format!("{} was attached again since", detach.key);
                    reply(answer, Err(Refusal::new(Reason::Stale, text)));
                }
                Some(there) => {
                    if !going.iter().any(|going| going.id() == id) {
                        going.push(there.clone());
                    }
                    answers.push(answer);
                }
            }
        }
        if going.is_empty() {
            return;
        }
        for endpoint in &going {
            info!(network = %endpoint.network, key = %endpoint.key, "detached");
        }
        self.remove(&going, answers).await;
    }

    /// Takes endpoints out of the book, and their links out of the kernel: whoever
    /// waits is answered when they are gone.
    pub(super) async fn remove(&mut self, going: &[Endpoint], answers: Vec<Answer<()>>) {
        let at = now();
        let gone = |endpoint: &Endpoint| Line::Detached {
            network: endpoint.network.clone(),
            key: endpoint.key.clone(),
            at,
        };
        let lines: Vec<Line> = going.iter().map(gone).collect();
        self.write_or_owe(&lines);
        for endpoint in going {
            self.failing.remove(&endpoint.id());
            self.vanished.remove(&endpoint.id());
        }
        if going.iter().any(|endpoint| !endpoint.publish.is_empty())
            && let Err(reason) = self.publish().await
        {
            warn!(reason, "ports of containers that are gone stay published");
        }
        match block_in_place(|| self.links_of(going)) {
            Ok(links) => {
                self.going.extend(links.iter().map(|(id, _)| *id));
                self.remover.remove(Going { links, answers });
            }
            Err(error) => {
                let refusal = Refusal::new(Reason::Kernel, options::sentence(&error));
                for answer in answers {
                    reply(answer, Err(refusal.clone()));
                }
            }
        }
    }

    /// The links of these are gone, or stay.
    pub(super) async fn removed(&mut self, gone: Gone) {
        for (id, _) in &gone.going.links {
            self.going.remove(id);
        }
        if let Err(refusal) = &gone.result {
            warn!(reason = %refusal, "links of containers that are gone stay");
        }
        // A bridge that has no ports any more goes with the last one.
        let known = self.known();
        if self
            .links
            .bridges()
            .any(|name| !known.iter().any(|device| device.name() == name))
        {
            self.look().await;
        }
        for answer in gone.going.answers {
            reply(answer, gone.result.clone());
        }
        self.looks.soon();
        self.wait_no_more().await;
    }

    fn links_of(&mut self, going: &[Endpoint]) -> Result<Vec<(EndpointId, u32)>, NetlinkError> {
        let mut links = Vec::with_capacity(going.len());
        for endpoint in going {
            let id = endpoint.id();
            if endpoint.bandwidth.egress.is_some()
                && let Err(error) = self.links.unshape(id)
            {
                warn!(reason = %options::sentence(&error), "the bandwidth's device stays");
            }
            let link = self.links.link(&id.device())?;
            // It may be somebody else's, of the same name.
            let link = link.filter(|link| link.kind == Some(Kind::Veth));
            links.extend(link.map(|link| (id, link.index)));
        }
        Ok(links)
    }
}
