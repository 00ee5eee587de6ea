//! Trials on several nodes, put up by their agents and taken away again.

use std::{collections::BTreeMap, time::Duration};

use overlay::{
    name::{NetworkName, NodeName},
    trial::{Open, Opened, Place, TrialId},
};

use crate::{
    ask::{Asker, Question},
    failure::Failure,
};

/// An agent puts one up within milliseconds, and waits for its kernel.
const PATIENCE: Duration = Duration::from_secs(20);

/// All that were put up; whoever put them up takes them away. What is not taken away ends
/// by itself when its life is over.
#[derive(Debug)]
pub struct Trials {
    asker: Asker,
    open: Vec<(NodeName, TrialId)>,
}

/// What came of putting some up.
#[derive(Debug, Default)]
pub struct PutUp {
    pub open: BTreeMap<NodeName, Opened>,
    pub failed: Vec<(NodeName, Failure)>,
}

impl Trials {
    pub fn new(asker: Asker) -> Self {
        Self {
            asker,
            open: Vec::new(),
        }
    }

    /// One on each of these nodes.
    pub async fn put_up(
        &mut self,
        nodes: &[NodeName],
        network: &NetworkName,
        place: Place,
        life: Duration,
    ) -> PutUp {
        let open = Open {
            network: network.clone(),
            place,
            life_ms: u64::try_from(life.as_millis()).unwrap_or(u64::MAX),
        };
        let question = Question::post("/trials", &open, PATIENCE);
        let questions = nodes.iter().map(|node| (node.clone(), question.clone()));
        let mut put_up = PutUp::default();
        let asker = self.asker.clone();
        asker
            .ask_all(questions, |node, answer| {
                match answer.and_then(|answer| answer.words::<Opened>(&node)) {
                    Ok(opened) => {
                        self.open.push((node.clone(), opened.id));
                        put_up.open.insert(node, opened);
                    }
                    Err(failure) => put_up.failed.push((node, failure)),
                }
            })
            .await;
        put_up
    }

    pub async fn take_away(&mut self) {
        let questions = self.open.drain(..).map(|(node, id)| {
            let question = Question {
                method: "DELETE",
                ..Question::get(&format!("/trials/{id}"), PATIENCE)
            };
            (node, question)
        });
        let questions: Vec<_> = questions.collect();
        // What cannot be asked ends by itself.
        self.asker.ask_all(questions, |_, _| {}).await;
    }

    pub fn asker(&self) -> &Asker {
        &self.asker
    }
}
