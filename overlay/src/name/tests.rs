use proptest::prelude::*;

use super::*;

#[test]
fn names_that_are_refused_say_why() {
    let long = "n".repeat(33);
    for (name, problem) in [
        ("", "network name \"\" is empty"),
        (
            "Default",
            "network name \"Default\" may hold only a-z, 0-9 and -",
        ),
        ("a/b", "network name \"a/b\" may hold only a-z, 0-9 and -"),
        ("a_b", "network name \"a_b\" may hold only a-z, 0-9 and -"),
        ("ä", "network name \"ä\" may hold only a-z, 0-9 and -"),
        (
            "-a",
            "network name \"-a\" must begin with a letter or digit",
        ),
        ("a\n", "network name \"a\\n\" may hold only a-z, 0-9 and -"),
    ] {
        assert_eq!(
            name.parse::<NetworkName>().unwrap_err().to_string(),
            problem
        );
    }
    let error = long.parse::<NetworkName>().unwrap_err().to_string();
    assert_eq!(
        error,
        format!("network name {long:?} is longer than 32 characters")
    );

    let long = "n".repeat(129);
    for (name, problem) in [
        ("", "is empty"),
        ("a/b", "may hold only letters, digits, '.', '_' and '-'"),
        ("a b", "may hold only letters, digits, '.', '_' and '-'"),
        ("a\0", "may hold only letters, digits, '.', '_' and '-'"),
        ("é", "may hold only letters, digits, '.', '_' and '-'"),
        (".a", "must begin and end with a letter or digit"),
        ("a.", "must begin and end with a letter or digit"),
        ("..", "must begin and end with a letter or digit"),
        ("-", "must begin and end with a letter or digit"),
        (&long, "is longer than 128 characters"),
    ] {
        let error = name.parse::<NodeName>().unwrap_err().to_string();
        assert_eq!(error, format!("node name {name:?} {problem}"));
    }
}

#[test]
fn the_longest_names_are_taken() {
    assert!("n".repeat(32).parse::<NetworkName>().is_ok());
    assert!("n".repeat(128).parse::<NodeName>().is_ok());
    assert!("0".parse::<NetworkName>().is_ok());
    assert!("Host-1.example_org.lan".parse::<NodeName>().is_ok());
}

#[test]
fn a_record_cannot_bring_in_a_bad_name() {
    assert!(serde_json::from_str::<NodeName>("\"../up\"").is_err());
    assert!(serde_json::from_str::<NetworkName>("\"a/b\"").is_err());
}

proptest! {
    #[test]
    fn good_names_come_back(
        network in "[a-z0-9][a-z0-9-]{0,31}",
        node in "[A-Za-z0-9]([A-Za-z0-9._-]{0,126}[A-Za-z0-9])?",
    ) {
        let name: NetworkName = network.parse().unwrap();
        prop_assert_eq!(name.to_string(), &*network);
        prop_assert_eq!(name.as_str(), &*network);
        let name: NodeName = node.parse().unwrap();
        prop_assert_eq!(name.to_string(), &*node);
        let json = serde_json::to_string(&name).unwrap();
        prop_assert_eq!(&json, &format!("\"{node}\""));
        prop_assert_eq!(serde_json::from_str::<NodeName>(&json).unwrap(), name);
    }

    #[test]
    fn whatever_is_taken_is_safe_in_a_key(text in any::<String>()) {
        let safe = |name: &str| name == text && !name.contains('/') && name != "." && name != "..";
        if let Ok(name) = text.parse::<NetworkName>() {
            prop_assert!(safe(name.as_str()));
        }
        if let Ok(name) = text.parse::<NodeName>() {
            prop_assert!(safe(name.as_str()));
        }
    }
}
