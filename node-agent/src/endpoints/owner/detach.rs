//! Containers go.

use overlay::endpoint::{Endpoint, EndpointId, book::Line, plan::Step};
use socket::words::{Detach, Reason, Refusal};
use tokio::task::block_in_place;
use tracing::{info, warn};

use super::{super::door::Answer, Owner, now, reply};

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
        let left = self.remove(&going).await;
        for answer in answers {
            reply(answer, left.clone());
        }
    }

    /// As if they had never come.
    pub(super) async fn undo(&mut self, undone: &[Endpoint]) {
        drop(self.remove(undone).await);
    }

    /// Takes endpoints out of the book and their links out of the kernel.
    pub(super) async fn remove(&mut self, going: &[Endpoint]) -> Result<(), Refusal> {
        let at = now();
        let gone = |endpoint: &Endpoint| Line::Detached {
            network: endpoint.network.clone(),
            key: endpoint.key.clone(),
            at,
        };
        self.write_or_owe(going.iter().map(gone).collect());
        for endpoint in going {
            self.failing.remove(&endpoint.id());
            self.vanished.remove(&endpoint.id());
        }
        if going.iter().any(|endpoint| !endpoint.publish.is_empty())
            && let Err(reason) = self.publish().await
        {
            warn!(reason, "ports of containers that are gone stay published");
        }
        let removed = block_in_place(|| self.unlink(going));
        // A bridge without ports goes with the next look.
        self.looks.soon();
        removed
    }

    fn unlink(&mut self, going: &[Endpoint]) -> Result<(), Refusal> {
        let mut steps = Vec::with_capacity(going.len());
        for endpoint in going {
            let id = endpoint.id();
            if endpoint.bandwidth.egress.is_some()
                && let Err(error) = self.links.unshape(id)
            {
                warn!(reason = %options::sentence(&error), "the bandwidth's device stays");
            }
            let name = id.device();
            match self.links.link(&name) {
                // It may be somebody else's, of the same name.
                Ok(Some(link)) if link.kind.is_some() => steps.push(Step::Delete {
                    index: link.index,
                    name,
                }),
                Ok(_) => {}
                Err(error) => {
                    return Err(Refusal::new(Reason::Kernel, options::sentence(&error)));
                }
            }
        }
        let failures = self.links.apply(&steps, |_| None);
        match failures.first() {
            None => Ok(()),
            Some(failure) => {
                let text = format!("{}: {}", failure.step, failure.reason);
                Err(Refusal::new(Reason::Kernel, text))
            }
        }
    }
}
