use std::time::Duration;

use clap::{Subcommand, ValueEnum, error::ErrorKind};

use super::*;

/// `CARGO_PKG_NAME` stands for a variable of ours: cargo sets it, to `options`.
#[derive(Debug, Parser, PartialEq)]
#[command(name = "weft-test", version)]
struct Weft {
    #[command(flatten)]
    common: Common,
    #[arg(long, value_delimiter = ',')]
    peers: Vec<String>,
    #[arg(long, env = "CARGO_PKG_NAME", default_value = "none")]
    package: String,
    #[arg(long, default_value_t = 1500)]
    mtu: u16,
    #[arg(long, value_parser = parse_duration, default_value = "1h")]
    lapse: Duration,
    #[arg(long)]
    insecure: bool,
    #[arg(long)]
    mood: Option<Mood>,
    #[arg(long, conflicts_with = "node_ip")]
    iface: Option<String>,
    #[arg(long)]
    node_ip: Option<String>,
    #[arg(long, requires = "key")]
    cert: Option<String>,
    #[arg(long)]
    key: Option<String>,
    /// What proves who this is
    #[arg(long)]
    join_token: Option<String>,
    #[arg(short, long, action = clap::ArgAction::Count)]
    verbose: u8,
    #[command(subcommand)]
    verb: Option<Verb>,
}

#[derive(Debug, Clone, Copy, ValueEnum, PartialEq)]
enum Mood {
    Good,
    Bad,
}

#[derive(Debug, Subcommand, PartialEq)]
enum Verb {
    Go,
}

#[derive(Debug, Parser)]
struct Strict {
    #[command(flatten)]
    _common: Common,
    #[arg(long)]
    name: String,
}

fn read(file: &str, args: &str) -> Result<Weft, String> {
    let args = format!("weft-test {args}");
    parse_from(args.split_whitespace(), |path| {
        assert_eq!(path, Path::new("weft.toml"));
        Ok(file.into())
    })
    .map_err(|stop| stop.to_string())
}

/// Reads a file that is not there.
fn absent(_: &Path) -> io::Result<String> {
    Err(io::Error::new(io::ErrorKind::NotFound, "not there"))
}

fn ok(file: &str, args: &str) -> Weft {
    read(file, &format!("--config weft.toml {args}")).expect("good options")
}

fn error(file: &str) -> String {
    read(file, "--config weft.toml").expect_err("bad options")
}

#[test]
fn the_file_sets_what_is_not_said() {
    let file = r#"
        peers = ["a", "b,c"]
        mtu = 0x2328
        lapse = "24h"
        insecure = true
        mood = "bad"
        verbose = 2
        iface = "-odd"
        log-format = "json"
    "#;
    let weft = ok(file, "");
    assert_eq!(weft.peers, ["a", "b", "c"]);
    assert_eq!(weft.mtu, 9000);
    assert_eq!(weft.lapse, Duration::from_secs(86_400));
    assert!(weft.insecure);
    assert_eq!(weft.mood, Some(Mood::Bad));
    assert_eq!(weft.verbose, 2);
    assert_eq!(weft.iface.as_deref(), Some("-odd"));
    assert_eq!(weft.common.log_format, LogFormat::Json);
}

#[test]
fn flag_beats_environment_beats_file_beats_default() {
    assert_eq!(ok("", "").mtu, 1500);
    assert_eq!(ok("mtu = 1_400", "").mtu, 1400);
    assert_eq!(ok("mtu = 1400", "--mtu 1300").mtu, 1300);
    assert_eq!(ok("package = 'file'", "").package, "options");
    assert_eq!(ok("package = 'file'", "--package flag").package, "flag");
}

#[test]
fn a_list_said_replaces_the_list_in_the_file() {
    assert_eq!(
        ok("peers = ['a', 'b']", "--peers c,d --peers e").peers,
        ["c", "d", "e"]
    );
    assert_eq!(ok("peers = 'a,b'", "").peers, ["a", "b"]);
}

#[test]
fn a_switch_in_the_file_can_be_off() {
    assert!(!ok("insecure = false", "").insecure);
    assert!(ok("insecure = false", "--insecure").insecure);
}

#[test]
fn a_flag_overrules_what_it_excludes() {
    let weft = ok("iface = 'eth0'", "--node-ip 10.0.0.1");
    assert_eq!(
        (weft.iface, weft.node_ip.as_deref()),
        (None, Some("10.0.0.1"))
    );
    let weft = ok("node-ip = '10.0.0.1'", "--iface eth0");
    assert_eq!((weft.iface.as_deref(), weft.node_ip), (Some("eth0"), None));
    assert!(error("iface = 'eth0'\nnode-ip = '10.0.0.1'").contains("cannot be used with"));
}

#[test]
fn a_setting_satisfies_what_a_flag_requires() {
    let weft = ok("key = 'k'", "--cert c");
    assert_eq!(
        (weft.cert.as_deref(), weft.key.as_deref()),
        (Some("c"), Some("k"))
    );
    assert!(error("cert = 'c'").contains("--key"));
}

#[test]
fn a_required_option_may_come_from_the_file() {
    let args = ["strict", "--config", "weft.toml"];
    let strict: Strict = parse_from(args, |_| Ok("name = 'n'".into())).expect("name is set");
    assert_eq!(strict.name, "n");
    parse_from::<Strict>(["strict"], absent).expect_err("no name");
}

#[test]
fn the_file_may_be_named_after_the_verb() {
    let weft = read("mtu = 1400", "go --config weft.toml").expect("good options");
    assert_eq!((weft.mtu, weft.verb), (1400, Some(Verb::Go)));
}

#[test]
fn errors_name_the_line_and_the_remedy() {
    for (file, message) in [
        (
            "mtu = 1\n\nmtuu = 2",
            "weft.toml:3: unknown option `mtuu`; did you mean `mtu`?",
        ),
        (
            "log_format = 1",
            "weft.toml:1: unknown option `log_format`; did you mean `log-format`?",
        ),
        ("colour = 1", "weft.toml:1: unknown option `colour`"),
        ("config = 'x'", "weft.toml:1: unknown option `config`"),
        ("[a]\nb = 1", "weft.toml:1: unknown option `a`"),
        (
            "mtu = [1]",
            "weft.toml:1: `mtu` takes one value: a string, a number or true or false",
        ),
        (
            "insecure = 'yes'",
            "weft.toml:1: `insecure` is a switch; write true or false",
        ),
        (
            "\nmtu = 70000",
            "weft.toml:2: invalid value '70000' for '--mtu <MTU>': 70000 is not in 0..=65535",
        ),
        (
            "lapse = '24'",
            "weft.toml:1: invalid value '24' for '--lapse <LAPSE>': it has no unit; write 24s, 24m or 24h",
        ),
        (
            "mood = 'x'",
            "weft.toml:1: invalid value 'x' for '--mood <MOOD>' [possible values: good, bad]",
        ),
        ("mtu = 1\nmtu = 2", "weft.toml:2: duplicate key"),
    ] {
        assert_eq!(error(file), message, "{file}");
    }
    assert!(error("\n\n= 1").starts_with("weft.toml:3: "));
}

#[test]
fn a_bad_flag_is_not_blamed_on_the_file() {
    let error = read("mtu = 1400", "--config weft.toml --mtu x").expect_err("bad mtu");
    assert!(error.starts_with("error: invalid value 'x'"), "{error}");
}

#[test]
fn a_missing_file_is_one_sentence() {
    let stop = parse_from::<Weft>(["w", "--config", "no.toml"], absent).expect_err("no file");
    assert_eq!(
        sentence(&stop),
        "cannot read the config file no.toml: not there"
    );
}

#[test]
fn help_and_version_stop_without_reading_a_file() {
    for (flag, kind) in [
        ("--help", ErrorKind::DisplayHelp),
        ("--version", ErrorKind::DisplayVersion),
    ] {
        let stop = parse_from::<Weft>(["w", "--config", "x", flag], |_| unreachable!());
        match stop {
            Err(Stop::Usage(error)) => assert_eq!(error.kind(), kind),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn without_a_word_the_programs_own_file_is_read() {
    let weft: Weft = parse_from(["weft-test"], |path| {
        assert_eq!(path, Path::new("/etc/weft/test.toml"));
        Ok("mtu = 1400".into())
    })
    .expect("good options");
    assert_eq!(weft.mtu, 1400);
    let weft: Weft = parse_from(["weft-test"], absent).expect("nothing is needed");
    assert_eq!(weft.mtu, 1500);
    let denied = |_: &Path| Err(io::Error::new(io::ErrorKind::PermissionDenied, "not yours"));
    let stop = parse_from::<Weft>(["weft-test"], denied).expect_err("no right to read it");
    assert_eq!(
        sentence(&stop),
        "cannot read the config file /etc/weft/test.toml: not yours"
    );
}

#[test]
fn what_is_in_force_says_where_it_comes_from() {
    let file = "mtu = 1400\n\njoin-token = 's3cret'\npeers = ['http://me:pw@a:1', 'say \"b\"']\n";
    let said = read(file, "--config weft.toml --print-config --lapse 2h go").expect_err("text");
    let expected = r#"
log-format = "text"                            # default
peers = ["http://me:***@a:1", 'say "b"']       # weft.toml:4
package = "options"                            # $CARGO_PKG_NAME
mtu = 1400                                     # weft.toml:1
lapse = "2h"                                   # --lapse
insecure = false                               # default
#mood                                          # not set
#iface                                         # not set
#node-ip                                       # not set
#cert                                          # not set
#key                                           # not set
#join-token is set and not shown               # weft.toml:3
verbose = 0                                    # default
"#;
    let squeezed = |text: &str| -> Vec<String> {
        let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
        text.lines().map(words).collect()
    };
    let (first, rest) = said.split_once('\n').expect("lines");
    assert_eq!(first, "# weft-test, with weft.toml");
    assert_eq!(squeezed(rest), squeezed(expected.trim_start()));
    let columns: Vec<_> = rest.lines().map(|line| line.rfind("  # ")).collect();
    assert!(columns.iter().all(|column| *column == columns[0]), "{rest}");
    // It is a config file itself.
    assert_eq!(ok(rest, "").lapse, Duration::from_secs(7200));
}

#[test]
fn what_is_in_force_is_shown_of_good_options_alone() {
    let bad = read("mtu = 70000", "--config weft.toml --print-config").expect_err("bad");
    assert!(bad.starts_with("weft.toml:1: invalid value"), "{bad}");
}

#[test]
fn the_example_says_what_is_so_anyway() {
    let example = read("", "--example-config").expect_err("text");
    assert!(example.starts_with("# /etc/weft/test.toml: "), "{example}");
    assert!(example.contains("\n\n# What proves who this is\n#join-token = \"JOIN_TOKEN\"\n"));
    let said: Vec<&str> = example
        .lines()
        .filter_map(|line| line.strip_prefix('#'))
        .filter(|line| !line.starts_with(' '))
        .collect();
    assert_eq!(said.len(), 13, "{example}");
    // Those that have no default stand with their value's name.
    let default = said
        .iter()
        .filter(|line| !line.contains(|c: char| c.is_ascii_uppercase()));
    let file: Vec<&str> = default.copied().collect();
    assert!(file.len() > 5, "{example}");
    assert_eq!(ok(&file.join("\n"), "").mtu, ok("", "").mtu);
    for line in said {
        let (key, _) = line.split_once(" = ").expect("a setting");
        let message = error(&format!("{key} = {{}}"));
        assert!(!message.contains("unknown"), "{message}");
    }
}

#[test]
fn shells_and_manuals_know_every_option() {
    for shell in ["bash", "zsh", "fish"] {
        let script = read("", &format!("--completions {shell}")).expect_err("text");
        assert!(script.contains("node-ip"), "{script}");
    }
    let directory = tempfile::tempdir().expect("a directory");
    let place = directory.path().display();
    let written = read("", &format!("--man {place}")).expect_err("text");
    assert_eq!(written, "weft-test.1\nweft-test-go.1\n");
    let page = fs::read_to_string(directory.path().join("weft-test.1")).expect("a page");
    assert!(page.contains("node\\-ip"), "{page}");
}
