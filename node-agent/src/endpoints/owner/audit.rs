//! Is everything as the book says, and the book as the world is?

use overlay::endpoint::{book::Line, step::Step};
use socket::words::{Finding, Reason, Refusal};
use tokio::task::block_in_place;

use super::Owner;

impl Owner {
    pub(super) async fn audit(&mut self, repair: bool) -> Result<Vec<Finding>, Refusal> {
        let mut findings = self.of_the_book();
        let seen = block_in_place(|| self.links.look(&self.known()));
        let seen = seen.map_err(|error| Refusal::new(Reason::Kernel, options::sentence(&error)))?;
        findings.extend(self.unknown_of(&seen).map(|link| Finding {
            problem: format!("{} is in the kernel, and no endpoint has it", link.name),
            remedy: Some("removed".into()),
        }));
        let differs = self.steps(&seen).into_iter();
        let differs = differs.filter(|step| !matches!(step, Step::Delete { .. }));
        findings.extend(differs.map(|step| Finding {
            problem: format!("the kernel lacks: {step}"),
            remedy: Some("done".into()),
        }));
        if repair {
            self.book.apply(Line::Torn(false));
            let written = self.journal.write_anew(&self.book);
            written.map_err(|error| Refusal::new(Reason::Disk, options::sentence(&error)))?;
            self.look().await;
        }
        Ok(findings)
    }

    fn of_the_book(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        if self.book.is_torn() {
            findings.push(Finding {
                problem: "some of the list of endpoints could not be read".into(),
                remedy: Some(
                    "what is known now is all there is; links of others are removed".into(),
                ),
            });
        }
        if self.unwritten {
            findings.push(Finding {
                problem: "the list of endpoints is not on disk".into(),
                remedy: Some("written again".into()),
            });
        }
        for shown in self.list() {
            let (network, key) = (&shown.endpoint.network, &shown.endpoint.key);
            if let Some(reason) = shown.reason {
                findings.push(Finding {
                    problem: format!("{key} in network {network}: {reason}"),
                    remedy: None,
                });
            }
            let Some(ground) = self.ground(network) else {
                continue;
            };
            for address in &shown.endpoint.addresses {
                if !ground.subnets.iter().any(|subnet| subnet.holds(*address)) {
                    findings.push(Finding {
                        problem: format!(
                            "{key} has {address}, which is not in this node's subnets of network {network} any more"
                        ),
                        remedy: None,
                    });
                }
            }
            let form = self.form(network);
            if shown.endpoint.form != form {
                findings.push(Finding {
                    problem: format!(
                        "{key} is {}, and network {network} is {form} on this host by now: restart the container",
                        shown.endpoint.form
                    ),
                    remedy: None,
                });
            }
        }
        findings
    }
}
