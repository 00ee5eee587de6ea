//! What is asked of this agent from afar, answered by the same doors as its socket's.

use std::{collections::VecDeque, convert::Infallible, time::Duration};

use axum::{
    Router,
    body::{Body, Bytes, to_bytes},
    extract::Request,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use overlay::afar::{LONGEST_ANSWER, needs};
use proto::v1;
use tokio::{task::JoinSet, time::timeout};
use tower_service::Service;
use tracing::warn;

/// Doors that are asked at once.
const MOST: usize = 16;
/// An answer goes in parts of this size: what else is said does not wait for all of it.
const PART: usize = 64 << 10;

pub struct Answering {
    doors: Router,
    /// Dropped with the session: then nobody waits for them.
    under_way: JoinSet<(u64, StatusCode, Bytes)>,
    parts: VecDeque<v1::Answer>,
}

impl Answering {
    pub fn new(doors: Router) -> Self {
        Self {
            doors,
            under_way: JoinSet::new(),
            parts: VecDeque::new(),
        }
    }

    pub fn ask(&mut self, ask: v1::Ask) {
        let id = ask.id;
        if self.under_way.len() >= MOST {
            let busy = "the agent is answering enough already\n";
            self.say(id, StatusCode::SERVICE_UNAVAILABLE, &Bytes::from(busy));
            return;
        }
        let doors = self.doors.clone();
        self.under_way.spawn(async move {
            let (status, body) = answer(doors, ask).await;
            (id, status, body)
        });
    }

    /// Waits until something was answered. Cancel-safe.
    pub async fn answered(&mut self) {
        match self.under_way.join_next().await {
            Some(Ok((id, status, body))) => self.say(id, status, &body),
            Some(Err(error)) => warn!(%error, "a door that was asked from afar broke"),
            None => std::future::pending().await,
        }
    }

    pub fn has_words(&self) -> bool {
        !self.parts.is_empty()
    }

    pub fn word(&mut self) -> Option<v1::Answer> {
        self.parts.pop_front()
    }

    fn say(&mut self, id: u64, status: StatusCode, body: &Bytes) {
        let status = u32::from(status.as_u16());
        let mut rest = body.clone();
        loop {
            let body = rest.split_to(rest.len().min(PART));
            let last = rest.is_empty();
            self.parts.push_back(v1::Answer {
                id,
                status,
                body,
                last,
            });
            if last {
                return;
            }
        }
    }
}

async fn answer(doors: Router, ask: v1::Ask) -> (StatusCode, Bytes) {
    let within = Duration::from_millis(ask.within_ms);
    let answer = timeout(within, call(doors, ask)).await;
    answer.unwrap_or((StatusCode::GATEWAY_TIMEOUT, Bytes::new()))
}

async fn call(mut doors: Router, ask: v1::Ask) -> (StatusCode, Bytes) {
    let v1::Ask {
        method, path, body, ..
    } = ask;
    let asked = match needs(&method, &path) {
        Some(_) => Request::builder()
            .method(method.as_str())
            .uri(path.as_str())
            .body(Body::from(body))
            .ok(),
        None => None,
    };
    let response = match asked {
        Some(request) => doors.call(request).await,
        None => Ok(closed(&method, &path)),
    };
    let response: Result<Response, Infallible> = response;
    let Ok(response) = response;
    let (head, body) = response.into_parts();
    match to_bytes(body, LONGEST_ANSWER).await {
        Ok(body) => (head.status, body),
        Err(_) => {
            let text = format!("the answer is longer than {} MB\n", LONGEST_ANSWER >> 20);
            (StatusCode::INTERNAL_SERVER_ERROR, text.into())
        }
    }
}

fn closed(method: &str, path: &str) -> Response {
    let text = format!("{method} {path} is not open from afar\n");
    (StatusCode::FORBIDDEN, text).into_response()
}

#[cfg(test)]
mod tests;
