//! Words of JSON, read and answered.

use axum::{
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::{Serialize, de::DeserializeOwned};
use socket::words::{Reason, Refusal};

pub fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    serde_json::from_slice(body).map_err(|error| {
        let text = format!("the request cannot be read: {error}");
        Refusal::new(Reason::Bad, text)
    })
}

pub fn answer<T: Serialize>(result: Result<T, Refusal>) -> Response {
    match result {
        Ok(words) => shown(&words),
        Err(refusal) => refused(&refusal),
    }
}

pub fn shown(words: &impl Serialize) -> Response {
    json(StatusCode::OK, words)
}

pub fn refused(refusal: &Refusal) -> Response {
    let code = StatusCode::from_u16(refusal.reason.code()).expect("reasons have HTTP's codes");
    json(code, refusal)
}

/// What went wrong here, and is nobody's fault there.
pub fn broken(error: &anyhow::Error) -> Refusal {
    Refusal::new(Reason::Kernel, format!("{error:#}"))
}

fn json(code: StatusCode, words: &impl Serialize) -> Response {
    let kind = [(header::CONTENT_TYPE, "application/json")];
    let text = serde_json::to_string(words).expect("words hold nothing that JSON could not");
    (code, kind, text).into_response()
}
