//! What an agent says of its endpoints, brought into the store.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use futures_util::future::join_all;
use overlay::{
    decide::{
        Refusal, View,
        endpoint::{self, Extent, MOST, News, Part, Teller},
    },
    endpoint::EndpointId,
    flight::Flight,
    name::NetworkName,
    txn::Revision,
};
use proto::{
    decode,
    v1::{self, controller_message::Message},
};

use super::{Over, Session};
use crate::keeper::Failure;

/// A word that is not heard to its end yet.
pub struct Hearing {
    /// Where all are named: those so far.
    named: BTreeSet<EndpointId>,
    kept: v1::EndpointsKept,
}

/// How long a word waits for this controller to see what it wrote before.
const CATCH_UP: Duration = Duration::from_secs(5);

/// What this session has written of endpoints.
#[derive(Default)]
pub struct Written {
    /// The newest revision of it: nothing is planned on a view that is older.
    revision: Revision,
    /// Where the store gave no answer: it may have done it, or do it yet.
    doubts: BTreeSet<NetworkName>,
}

impl Session {
    /// Takes in one part of a word, and answers after the last. What cannot be is told,
    /// and the rest of the session goes on.
    pub(super) async fn endpoints(&mut self, said: v1::Endpoints) -> Result<(), Over> {
        let mut hearing = self.hearing_of(&said);
        let partial = said.partial;
        if hearing.kept.problem.is_empty()
            && let Err(problem) = self.take_in(&mut hearing, said).await
        {
            hearing.kept.problem = problem;
        }
        if partial {
            self.hearing = Some(hearing);
            return Ok(());
        }
        self.send(Message::EndpointsKept(hearing.kept).into()).await
    }

    fn hearing_of(&mut self, said: &v1::Endpoints) -> Box<Hearing> {
        if let Some(begun) = self.hearing.take()
            && begun.kept.network == said.network
            && begun.kept.number == said.number
        {
            return begun;
        }
        let kept = v1::EndpointsKept {
            network: said.network.clone(),
            number: said.number,
            ..v1::EndpointsKept::default()
        };
        let named = BTreeSet::new();
        Box::new(Hearing { named, kept })
    }

    async fn take_in(&mut self, hearing: &mut Hearing, said: v1::Endpoints) -> Result<(), String> {
        let word = decode::endpoints(said).map_err(|error| error.to_string())?;
        hearing.refuse(word.refused)?;
        let extent = match (word.all, word.partial) {
            (false, _) => Extent::Changes,
            (true, partial) => {
                hearing.named.extend(word.set.keys());
                // Too many are too many before the last is here.
                if partial && hearing.named.len() <= MOST {
                    Extent::Part
                } else {
                    Extent::Whole(hearing.named.clone())
                }
            }
        };
        let teller = Teller {
            node: self.node.clone(),
            sid: self.sid,
            network: word.network,
            life: word.life,
        };
        let news = News {
            set: word.set,
            gone: word.gone,
            extent,
        };
        let kept = self.keep(teller, news).await;
        let (revision, refused) = kept.map_err(|failure| failure.to_string())?;
        hearing.kept.revision = revision.max(hearing.kept.revision);
        hearing.refuse(refused)
    }

    /// Writes what the store has not, and says at which revision all of it is seen here.
    async fn keep(
        &mut self,
        teller: Teller,
        news: News,
    ) -> Result<(Revision, BTreeMap<EndpointId, String>), Failure> {
        if self.written.doubts.contains(&teller.network) {
            let of = teller.clone();
            let fenced = self.keeper.write(move |view| endpoint::fence(view, &of));
            let ((), revision) = fenced.await?;
            self.written.revision = self.written.revision.max(revision);
            self.written.doubts.remove(&teller.network);
        }
        // A write is answered at last also where it cannot be seen yet.
        self.keeper.reach(self.written.revision, CATCH_UP).await?;
        let of = teller.clone();
        let planned = self.keeper.with(move |state| {
            let view = View {
                registry: state.registry(),
                flight: &Flight::default(),
                ctl: state.ctl,
                now: state.clock.now(),
                spread: 0,
            };
            (view.registry.revision(), endpoint::plan(&view, &of, &news))
        });
        let (seen, plan) = planned.await?;
        let plan = plan?;
        let written = plan.parts.into_iter().map(|part| self.write(&teller, part));
        let mut revision = seen;
        let mut failed = None;
        for written in join_all(written).await {
            match written {
                Ok(((), at)) => revision = revision.max(at),
                // It had gone by itself meanwhile.
                Err(Failure::Refused(Refusal::NothingToDo)) => {}
                Err(failure) => {
                    if matches!(failure, Failure::Unavailable(_)) {
                        self.written.doubts.insert(teller.network.clone());
                    }
                    failed = Some(failure);
                }
            }
        }
        self.written.revision = self.written.revision.max(revision);
        failed.map_or(Ok((revision, plan.refused)), Err)
    }

    fn write(
        &self,
        teller: &Teller,
        part: Part,
    ) -> impl Future<Output = Result<((), Revision), Failure>> + use<> {
        let (keeper, teller) = (self.keeper.clone(), teller.clone());
        async move {
            keeper
                .write(move |view| endpoint::keep(view, &teller, &part))
                .await
        }
    }
}

impl Hearing {
    fn refuse<T: ToString>(&mut self, refused: BTreeMap<T, String>) -> Result<(), String> {
        let refused = refused.into_iter().map(|(id, reason)| v1::EndpointRefused {
            id: id.to_string(),
            reason,
        });
        self.kept.refused.extend(refused);
        if self.kept.refused.len() > MOST {
            self.kept.refused.clear();
            return Err("more is refused than a node may have".into());
        }
        Ok(())
    }
}
