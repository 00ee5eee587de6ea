use axum::routing::get;

use super::*;

fn doors() -> Router {
    let long = || async { "x".repeat(3 * PART / 2) };
    let endless = || async { vec![b'x'; LONGEST_ANSWER + 1] };
    Router::new()
        .route("/status", get(long))
        .route("/metrics", get(endless))
        .route("/ipam", get(std::future::pending::<()>))
        .route("/secret", get(|| async { "secret" }))
}

async fn asked(path: &str) -> Vec<v1::Answer> {
    let mut answering = Answering::new(doors());
    answering.ask(ask(7, path));
    answering.answered().await;
    std::iter::from_fn(|| answering.word()).collect()
}

fn ask(id: u64, path: &str) -> v1::Ask {
    v1::Ask {
        id,
        method: "GET".into(),
        path: path.into(),
        within_ms: 100,
        ..v1::Ask::default()
    }
}

#[tokio::test]
async fn a_long_answer_comes_in_parts() {
    let parts = asked("/status").await;
    let sizes: Vec<usize> = parts.iter().map(|part| part.body.len()).collect();
    assert_eq!(sizes, [PART, PART / 2]);
    let last: Vec<bool> = parts.iter().map(|part| part.last).collect();
    assert_eq!(last, [false, true]);
    assert!(parts.iter().all(|part| (part.id, part.status) == (7, 200)));
}

#[tokio::test]
async fn what_cannot_be_answered_is_answered() {
    let cases = [
        ("/secret", 403),
        ("/metrics", 500),
        ("/ipam", 504),
        ("", 403),
    ];
    for (path, status) in cases {
        let parts = asked(path).await;
        assert_eq!(parts.len(), 1, "{path}");
        assert_eq!((parts[0].status, parts[0].last), (status, true), "{path}");
    }
}

#[tokio::test]
async fn of_too_many_questions_the_last_are_refused() {
    let mut answering = Answering::new(doors());
    for id in 0..=MOST as u64 {
        answering.ask(ask(id, "/ipam"));
    }
    let refused = answering.word();
    let refused = refused.map(|part| (part.id, part.status));
    assert_eq!(refused, Some((MOST as u64, 503)));
    assert!(!answering.has_words());
}
