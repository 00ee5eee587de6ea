use options::Exit;

use super::*;

#[test]
fn the_host_of_a_url() {
    for (url, expected) in [
        ("http://10.0.0.2:7440", "10.0.0.2"),
        ("http://10.0.0.2", "10.0.0.2"),
        ("http://[::1]:7440", "::1"),
        ("http://[fd00::2]", "fd00::2"),
        ("http://controller.example:7440/", "controller.example"),
        ("http://controller.example/path:1", "controller.example"),
        ("10.0.0.2:7440", "10.0.0.2"),
        ("localhost", "localhost"),
    ] {
        assert_eq!(host(url), expected, "{url}");
    }
}

#[test]
fn what_leads_to_this_machine() {
    for url in [
        "http://127.0.0.1:7440",
        "http://127.9.9.9",
        "http://[::1]:7440",
        "http://localhost:7440/",
    ] {
        assert!(is_local(url), "{url}");
    }
    for url in [
        "http://10.0.0.2:7440",
        "http://[fd00::1]:7440",
        "http://localhost.example:7440",
        "http://127.0.0.1.example",
        "http://127.0.0.1:80@far.example:7440",
        "http://127.0.0.1@far.example",
    ] {
        assert!(!is_local(url), "{url}");
    }
}

fn said(args: &[&str]) -> Options {
    let args = ["weft-agent"].iter().chain(args);
    Options::try_parse_from(args).unwrap()
}

#[test]
fn plain_text_beyond_this_machine_is_to_be_said() {
    for (args, named) in [
        (
            &["--controller", "http://10.0.0.2:7440"][..],
            "--controller http://10.0.0.2:7440",
        ),
        // One of them is enough.
        (
            &[
                "--controller",
                "http://127.0.0.1:7440,http://[fd00::2]:7440",
            ],
            "--controller http://[fd00::2]:7440",
        ),
        (
            &["--ops-listen", "0.0.0.0:7442"],
            "--ops-listen 0.0.0.0:7442",
        ),
        (&["--ops-listen", "[::]:7442"], "--ops-listen [::]:7442"),
    ] {
        let error = said(args).check_plain_text().unwrap_err();
        assert_eq!(Exit::of(&error), Exit::BadUsage);
        assert!(error.to_string().contains(named), "{error}");
        assert!(error.to_string().contains("--insecure"), "{error}");

        let args: Vec<&str> = args.iter().copied().chain(["--insecure"]).collect();
        said(&args).check_plain_text().unwrap();
    }
}

#[test]
fn what_only_shows_may_be_plain_alone() {
    let ops = ["--ops-listen", "10.0.0.5:7442", "--insecure-ops"];
    let trusted = ["--controller", "https://10.0.0.2:7440"];
    said(&[&ops[..], &trusted].concat())
        .check_plain_text()
        .unwrap();
    let plain = ["--controller", "http://10.0.0.2:7440"];
    let error = said(&[&ops[..], &plain].concat()).check_plain_text();
    assert!(error.unwrap_err().to_string().contains("--controller"));
}

#[test]
fn nothing_has_to_be_said_on_one_machine() {
    said(&[]).check_plain_text().unwrap();
    said(&[
        "--controller",
        "http://[::1]:7440",
        "--ops-listen",
        "[::1]:7442",
    ])
    .check_plain_text()
    .unwrap();
}

#[test]
fn lists_are_separated_by_commas() {
    let options = said(&[
        "--networks",
        "blue,green",
        "--controller",
        "http://a:1,http://b:1",
    ]);
    assert_eq!(options.networks.len(), 2);
    assert_eq!(options.controller, ["http://a:1", "http://b:1"]);
}

#[test]
fn a_verb_takes_the_options_that_lead_to_the_agent() {
    let options = said(&["status", "-o", "json", "--socket", "/tmp/s"]);
    assert_eq!(options.socket, PathBuf::from("/tmp/s"));
    assert!(matches!(
        options.verb,
        Some(Verb::Status {
            output: OutputFormat::Json
        })
    ));
}

#[test]
fn a_controller_is_named_by_scheme_host_and_port() {
    for good in [
        "http://127.0.0.1:7440",
        "https://10.0.0.2:7440",
        "http://[2001:db8::1]:7440",
        "http://controller.example:80/",
    ] {
        assert_eq!(parse_url(good).as_deref(), Ok(good));
    }
    for (bad, why) in [
        ("10.0.0.2:7440", "https://10.0.0.2:7440"),
        ("ftp://10.0.0.2:7440", "ftp"),
        ("http://10.0.0.2:99999", "99999"),
        ("http://10.0.0.2:0", "no port"),
        ("http://10.0.0.2", "7440"),
        ("http://:7440", "no host"),
        ("", "no scheme"),
    ] {
        let said = parse_url(bad).unwrap_err();
        assert!(said.contains(why), "{bad}: {said}");
    }
}

#[test]
fn others_can_reach_the_address_of_a_node() {
    for good in ["10.0.0.7", "192.0.2.1", "fd00::7", "2001:db8::1"] {
        assert_eq!(parse_node_ip(good), Ok(good.parse().unwrap()));
    }
    for (bad, why) in [
        ("127.0.0.1", "loopback"),
        ("::1", "loopback"),
        ("224.0.0.1", "many hosts"),
        ("ff02::1", "many hosts"),
        ("255.255.255.255", "many hosts"),
        ("0.0.0.0", "no host's"),
        ("::", "no host's"),
        ("169.254.1.1", "one link"),
        ("fe80::1", "one link"),
        ("10.0.0.300", "not an address"),
    ] {
        let said = parse_node_ip(bad).unwrap_err();
        assert!(said.contains(why), "{bad}: {said}");
    }
}
