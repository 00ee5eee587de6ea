//! What is asked about containers, over the unix socket. The words are `socket::words`.

use axum::{
    Router,
    body::Bytes,
    extract::State as With,
    response::Response,
    routing::{get, post},
};
use socket::words::{Attach, Check, Detach, Hold, Unhold};

use super::json::{answer, read, refused};
use crate::endpoints::Door;

pub fn routes(door: Door) -> Router {
    Router::new()
        .route("/endpoints", get(list).post(attach).delete(detach))
        .route("/endpoints/check", post(check))
        .route("/holds", post(hold).delete(unhold))
        .route("/ipam", get(usage))
        .route("/ipam/check", post(audit))
        .route("/ipam/repair", post(repair))
        .route("/networks", get(grounds))
        .with_state(door)
}

async fn list(With(door): With<Door>) -> Response {
    answer(door.list().await)
}

async fn attach(With(door): With<Door>, body: Bytes) -> Response {
    match read::<Attach>(&body) {
        Ok(words) => answer(door.attach(words).await),
        Err(refusal) => refused(&refusal),
    }
}

async fn detach(With(door): With<Door>, body: Bytes) -> Response {
    match read::<Detach>(&body) {
        Ok(words) => answer(door.detach(words).await),
        Err(refusal) => refused(&refusal),
    }
}

async fn check(With(door): With<Door>, body: Bytes) -> Response {
    match read::<Check>(&body) {
        Ok(words) => answer(door.check(words).await),
        Err(refusal) => refused(&refusal),
    }
}

async fn hold(With(door): With<Door>, body: Bytes) -> Response {
    match read::<Hold>(&body) {
        Ok(words) => answer(door.hold(words).await),
        Err(refusal) => refused(&refusal),
    }
}

async fn unhold(With(door): With<Door>, body: Bytes) -> Response {
    match read::<Unhold>(&body) {
        Ok(words) => answer(door.unhold(words).await),
        Err(refusal) => refused(&refusal),
    }
}

async fn usage(With(door): With<Door>) -> Response {
    answer(door.usage().await)
}

async fn audit(With(door): With<Door>) -> Response {
    answer(door.audit(false).await)
}

async fn repair(With(door): With<Door>) -> Response {
    answer(door.audit(true).await)
}

async fn grounds(With(door): With<Door>) -> Response {
    answer(door.grounds().await)
}
