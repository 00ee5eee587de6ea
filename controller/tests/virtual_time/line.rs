//! A connection between somebody and a controller that is no socket: real gRPC, whose
//! frames take their time, keep their order, and are lost when the line breaks. Each
//! end notices that in its own time, as with keepalive.

use std::{
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use controller::{listener::Peer, trust::Identity};
use futures_util::stream::unfold;
use http_body_util::{BodyExt, StreamBody};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep, sleep_until},
};
use tokio_util::sync::CancellationToken;
use tonic::{
    Status,
    body::Body,
    codegen::{BoxFuture, Service, http},
    service::Routes,
};

use crate::{dice::Dice, weather::Weather};

/// Frames on their way in one direction; past that whoever sends has to wait.
const ON_THE_WAY: usize = 8;

#[derive(Clone)]
pub struct Line {
    to: Routes,
    weather: Arc<Weather>,
    dice: Arc<Mutex<Dice>>,
    /// Nothing goes through any more.
    broken: CancellationToken,
    /// Who called has noticed.
    here: CancellationToken,
    /// So has the controller.
    there: CancellationToken,
}

impl Line {
    pub fn new(to: Routes, weather: Arc<Weather>, dice: Dice) -> Self {
        Self {
            to,
            weather,
            dice: Arc::new(Mutex::new(dice)),
            broken: CancellationToken::new(),
            here: CancellationToken::new(),
            there: CancellationToken::new(),
        }
    }

    /// Breaks. The two ends notice after so long.
    pub fn cut(&self, here: Duration, there: Duration) {
        self.broken.cancel();
        let ends = [(here, self.here.clone()), (there, self.there.clone())];
        for (after, end) in ends {
            tokio::spawn(async move {
                sleep(after).await;
                end.cancel();
            });
        }
    }

    /// Both ends have noticed that it is broken.
    pub fn is_over(&self) -> bool {
        self.here.is_cancelled() && self.there.is_cancelled()
    }

    fn pause(&self) -> Duration {
        let mut dice = self.dice.lock().unwrap_or_else(PoisonError::into_inner);
        self.weather.pause(&mut dice, self.weather.line_delay)
    }

    async fn call(self, request: http::Request<Body>) -> Result<http::Response<Body>, Status> {
        let answer = async {
            sleep(self.pause()).await;
            let (head, body) = request.into_parts();
            let body = self.carry(body, &self.here, &self.there);
            let mut request = http::Request::from_parts(head, body);
            request.extensions_mut().insert(Peer {
                address: None,
                identity: Identity::Plain,
                kill: self.there.clone(),
            });
            let mut to = self.to.clone();
            let answering = async move { to.call(request).await };
            // The controller goes on with it until it notices that the line is broken.
            let there = self.there.clone();
            let answering = tokio::spawn(there.run_until_cancelled_owned(answering));
            let answer = match answering.await {
                Ok(Some(Ok(answer))) => answer,
                Ok(Some(Err(never))) => match never {},
                Ok(None) | Err(_) => return Err(reset()),
            };
            sleep(self.pause()).await;
            let (head, body) = answer.into_parts();
            let body = self.carry(body, &self.there, &self.here);
            Ok(http::Response::from_parts(head, body))
        };
        let answer = self.here.run_until_cancelled(self.lasting(answer)).await;
        answer.unwrap_or_else(|| Err(reset()))
    }

    /// For ever, if the line is broken by then.
    async fn lasting<T>(&self, what: impl Future<Output = T>) -> T {
        match self.broken.run_until_cancelled(what).await {
            Some(done) => done,
            None => std::future::pending().await,
        }
    }

    /// Takes a body from one end to the other.
    fn carry(&self, mut body: Body, from: &CancellationToken, to: &CancellationToken) -> Body {
        let (sender, receiver) = mpsc::channel(ON_THE_WAY);
        let (line, from) = (self.clone(), from.clone());
        tokio::spawn(async move {
            let pump = async {
                let mut last = Instant::now();
                while let Some(frame) = body.frame().await {
                    last = last.max(Instant::now() + line.pause());
                    if sender.send(Some((last, frame))).await.is_err() {
                        return;
                    }
                }
                // What ends is not what breaks.
                let _ = sender.send(None).await;
            };
            // Cancel-safe: after it nothing is read any more.
            tokio::select! {
                () = pump => {}
                () = sender.closed() => {}
                () = from.cancelled() => {}
            }
        });
        let frames = unfold(
            (receiver, self.clone(), to.clone(), false),
            |(mut frames, line, to, over)| async move {
                if over {
                    return None;
                }
                let next = async {
                    let next = frames.recv().await;
                    match next {
                        Some(Some((at, frame))) => {
                            sleep_until(at).await;
                            Some(frame.map_err(|_| reset()))
                        }
                        Some(None) => None,
                        None => Some(Err(reset())),
                    }
                };
                let next = to.run_until_cancelled(line.lasting(next)).await;
                let next = next.unwrap_or_else(|| Some(Err(reset())))?;
                let over = next.is_err();
                Some((next, (frames, line, to, over)))
            },
        );
        Body::new(StreamBody::new(Box::pin(frames)))
    }
}

fn reset() -> Status {
    Status::unavailable("the connection was reset")
}

impl Service<http::Request<Body>> for Line {
    type Response = http::Response<Body>;
    type Error = Status;
    type Future = BoxFuture<Self::Response, Self::Error>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        Box::pin(Self::call(self.clone(), request))
    }
}
