use tempfile::tempdir;

use super::*;

fn note() -> NetworkNote {
    NetworkNote {
        network: "blue".parse().unwrap(),
        internal: true,
    }
}

fn endpoint() -> EndpointNote {
    EndpointNote {
        network: "blue".parse().unwrap(),
        internal: false,
        addresses: vec!["10.40.3.2".parse().unwrap()],
        mac: Some("02:42:64:f6:92:27".parse().unwrap()),
        ports: vec![PortMap::default()],
    }
}

/// Runs `act` on the notes of this directory, as one agent after the other would.
async fn once<T>(directory: &Path, act: impl AsyncFnOnce(&Notes) -> T) -> T {
    let (notes, keeping) = open(directory);
    tokio::select! {
        done = act(&notes) => done,
        () = keeping => panic!("it keeps notes as long as there is somebody to ask"),
    }
}

#[tokio::test]
async fn what_docker_told_is_known_after_a_restart() {
    let directory = tempdir().unwrap();
    once(directory.path(), async |notes| {
        let change = Change::Network("n".into(), Some(note()));
        notes.change(change).await.unwrap();
        let change = Change::Endpoint("e".into(), Some(endpoint()));
        notes.change(change).await.unwrap();
    })
    .await;
    once(directory.path(), async |notes| {
        assert_eq!(notes.network("n").await.unwrap(), Some(note()));
        assert_eq!(notes.endpoint("e").await.unwrap(), Some(endpoint()));
        assert_eq!(notes.network("other").await.unwrap(), None);
        // Also what is not there can be deleted.
        for id in ["n", "n", "other"] {
            let gone = Change::Network(id.into(), None);
            notes.change(gone).await.unwrap();
        }
    })
    .await;
    once(directory.path(), async |notes| {
        assert_eq!(notes.network("n").await.unwrap(), None);
        assert_eq!(notes.endpoint("e").await.unwrap(), Some(endpoint()));
    })
    .await;
}

#[tokio::test]
async fn what_cannot_be_written_is_not_promised() {
    let directory = tempdir().unwrap();
    let gone = directory.path().join("gone");
    once(&gone, async |notes| {
        let change = Change::Network("n".into(), Some(note()));
        let error = notes.change(change).await.unwrap_err();
        assert!(error.to_string().starts_with("cannot write "), "{error}");
        assert_eq!(notes.network("n").await.unwrap(), None);
    })
    .await;
}

#[tokio::test]
async fn damaged_notes_are_none() {
    let directory = tempdir().unwrap();
    for garbage in ["", "{", r#"{"v":2,"networks":{},"endpoints":{}}"#] {
        fs::write(directory.path().join(FILE), garbage).unwrap();
        once(directory.path(), async |notes| {
            assert_eq!(notes.network("n").await.unwrap(), None);
            let change = Change::Network("n".into(), Some(note()));
            notes.change(change).await.unwrap();
        })
        .await;
    }
}

#[tokio::test]
async fn docker_is_not_offered_one_pool_for_ever() {
    let directory = tempdir().unwrap();
    once(directory.path(), async |notes| {
        let pool = || "blue/v6".parse::<Pool>().unwrap();
        assert!(notes.offer(pool()).await.unwrap());
        assert!(!notes.offer(pool()).await.unwrap());
        // It was told so; whoever tries again later is not turned away for that.
        assert!(notes.offer(pool()).await.unwrap());
        notes.settle(pool()).await.unwrap();
        assert!(notes.offer(pool()).await.unwrap());
        notes.settle_all().await.unwrap();
        assert!(notes.offer(pool()).await.unwrap());
    })
    .await;
}
