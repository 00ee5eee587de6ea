use super::{Engine, place};

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

#[test]
fn options_are_read_in_both_forms() {
    let read = place(&words(
        "--network blue --name=b --bin-dir /b --socket=/s --netavark",
    ));
    let read = read.expect("good options");
    assert_eq!(read.network.as_str(), "blue");
    assert_eq!(read.name, "b");
    assert_eq!(read.bin_dir.to_str(), Some("/b"));
    assert_eq!(read.socket.to_str(), Some("/s"));
    assert!(matches!(read.engine, Engine::Netavark));
    let usual = place(&[]).expect("no options");
    assert_eq!(
        (usual.network.as_str(), usual.name.as_str()),
        ("default", "weft")
    );
    assert!(matches!(usual.engine, Engine::Cni));
}

#[test]
fn what_cannot_be_is_refused() {
    for bad in [
        "--network",
        "--network Blue",
        "--name ../../etc",
        "--name=",
        "--netavark=yes",
        "--nework blue",
        "blue",
    ] {
        assert!(place(&words(bad)).is_err(), "{bad}");
    }
}
