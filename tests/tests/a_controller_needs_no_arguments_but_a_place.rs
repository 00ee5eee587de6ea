//! One controller, one command, one subnet; and one sentence for everything that
//! cannot be.

use std::time::{Duration, Instant};

use anyhow::Result;
use serde_json::Value;
use tests::{
    controller::{Controller, refused},
    wait::DEADLINE,
};

#[test]
fn the_same_node_gets_the_same_subnet() -> Result<()> {
    let controller = Controller::embedded(&[])?;
    let first = controller.weft_json(&["lease", "acquire", "--node", "a"])?;
    let again = controller.weft_json(&["lease", "acquire", "--node", "a"])?;
    let other = controller.weft_json(&["lease", "acquire", "--node", "b"])?;
    assert_eq!(first["subnets"], again["subnets"]);
    assert_eq!(first["life"], again["life"]);
    assert_ne!(first["subnets"], other["subnets"]);

    let networks = controller.weft_json(&["network", "list"])?;
    assert_eq!(networks[0]["name"], "default");
    assert_eq!(networks[0]["vni"], 1);
    assert_eq!(networks[0]["port"], 4789);
    assert_eq!(networks[0]["leased"], 2);
    Ok(())
}

#[test]
fn ready_means_that_there_is_a_network() -> Result<()> {
    let mut controller = Controller::embedded(&[])?;
    for _ in 0..5 {
        controller.kill()?;
        std::fs::remove_dir_all(controller.data())?;
        controller.launch()?;
        let deadline = Instant::now() + DEADLINE;
        // Without a pause, or the moment that counts is over.
        while controller.ops("/readyz").map_or(0, |answer| answer.status) != 200 {
            assert!(Instant::now() < deadline, "{}", controller.log());
        }
        let status: Value = serde_json::from_str(&controller.ops("/status")?.body)?;
        assert_eq!(status["networks"][0]["name"], "default", "{status}");
    }
    Ok(())
}

#[test]
fn a_network_that_is_not_there_is_not_an_empty_one() -> Result<()> {
    let controller = Controller::embedded(&[])?;
    for listing in [["lease", "list"], ["subnet", "list"], ["lease", "watch"]] {
        let said = controller.weft(&[&listing[..], &["--network", "nope"]].concat())?;
        assert_eq!(said.code, 1, "{listing:?}: {said:?}");
        assert!(said.stderr.contains("there is no network nope"), "{said:?}");
    }
    let said = controller.weft(&["lease", "list", "--network", "default"])?;
    assert_eq!(said.code, 0, "{said:?}");
    Ok(())
}

#[test]
fn a_lease_outlives_the_controller() -> Result<()> {
    let mut controller = Controller::embedded(&[])?;
    let before = controller.weft_json(&["lease", "acquire", "--node", "a"])?;
    controller.kill()?;
    controller.start()?;
    let after = controller.weft_json(&["lease", "show", "--node", "a"])?;
    assert_eq!(before, after);
    Ok(())
}

#[test]
fn a_second_one_on_the_same_file_says_so() -> Result<()> {
    let controller = Controller::embedded(&[])?;
    let data = controller.data();
    let said = refused(&["--data-dir", &data.to_string_lossy()])?;
    assert_eq!(said.code, 1, "{said:?}");
    let sentence = last_line(&said.stderr);
    assert!(
        sentence.contains("in use by another controller"),
        "{said:?}"
    );
    // The first is none the worse for it.
    controller.weft_json(&["lease", "acquire", "--node", "a"])?;
    Ok(())
}

#[test]
fn bad_usage_is_told_and_counted_as_such() -> Result<()> {
    for (arguments, word) in [
        (&["--nonsense"][..], "--nonsense"),
        (&["--store", "paper"], "paper"),
        (&["--default-network", "10.0.0.0/33"], "10.0.0.0/33"),
        (&["--session-ttl", "soon"], "soon"),
        (&["--etcd-user", "weft"], "--etcd-password-file"),
    ] {
        let said = refused(arguments)?;
        assert_eq!(said.code, 2, "{arguments:?}: {said:?}");
        assert!(said.stderr.contains(word), "{arguments:?}: {said:?}");
    }
    Ok(())
}

#[test]
fn plain_text_stays_on_this_machine_unless_told_otherwise() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let data = directory.path().to_string_lossy();
    for flag in ["--listen", "--ops-listen"] {
        let address = [flag, "0.0.0.0:0"];
        let said = refused_at(&[&["--data-dir", &data], &address[..]].concat())?;
        assert_eq!(said.code, 2, "{said:?}");
        assert!(said.stderr.contains("--insecure"), "{said:?}");
    }
    assert!(directory.path().read_dir()?.next().is_none(), "half made");
    Ok(())
}

#[test]
fn a_word_from_the_operator_ends_it_in_time() -> Result<()> {
    let mut controller = Controller::embedded(&["--drain", "5s"])?;
    controller.weft_json(&["lease", "acquire", "--node", "a"])?;
    let asked = Instant::now();
    controller.terminate()?;
    let status = controller.ended()?;
    assert_eq!(status.code(), Some(0), "{}", controller.log());
    // Nobody was there to wait for.
    assert!(
        asked.elapsed() < Duration::from_secs(5),
        "{:?}",
        asked.elapsed()
    );

    let said = controller.weft(&["lease", "list"])?;
    assert_eq!(said.code, 3, "{said:?}");
    assert!(said.stderr.contains("no controller answers"), "{said:?}");
    Ok(())
}

/// One whose own flags say where it listens.
fn refused_at(arguments: &[&str]) -> Result<tests::controller::Said> {
    let other = if arguments.contains(&"--listen") {
        "--ops-listen"
    } else {
        "--listen"
    };
    tests::controller::run(&[arguments, &[other, "127.0.0.1:0"]].concat())
}

fn last_line(text: &str) -> &str {
    text.trim_end().lines().next_back().unwrap_or_default()
}
