use clap::{CommandFactory, error::ErrorKind};
use tonic::{Code, Status};

use super::*;

fn parse(line: &str) -> Result<Weft, clap::Error> {
    Weft::try_parse_from(line.split_whitespace())
}

#[test]
fn the_arguments_are_consistent() {
    Weft::command().debug_assert();
}

#[test]
fn what_the_documents_say_can_be_typed() {
    for line in [
        "weft network create blue --pool 10.64.0.0/16 --pool fd00::/48 --vni 7 --port 4790 --subnet-len 25 \
         --subnet-len6 64 --underlay v4 --encap auto --masquerade off --lapse 24h",
        "weft network list -o json",
        "weft network list -o wide",
        "weft network show default --output yaml",
        "weft network grow blue --pool 10.64.0.0/15",
        "weft network delete blue --force",
        "weft lease acquire --node a --network blue --underlay 192.0.2.1 --mac 02:00:00:00:00:01 --ttl 1h \
         --node-id 0b5c3c1e-6d55-4be4-a5a4-6c4e2f5e9d11",
        "weft lease renew --node a --ttl 1h",
        "weft lease release --node a --life 0b5c3c1e-6d55-4be4-a5a4-6c4e2f5e9d11",
        "weft lease list",
        "weft lease show --node a",
        "weft lease watch --since 7 --cluster c",
        "weft subnet reserve --node a --subnet 10.64.1.0/24 --subnet fd00:0:0:1::/64",
        "weft subnet unreserve --node a --network blue",
        "weft node list --controller 10.0.0.1:7440,http://10.0.0.2:7440 --timeout 500ms",
        "weft node show a",
        "weft node remove a",
        "weft node ask a /status",
        "weft node ask a /networks/blue --method PUT",
        "weft trace a b",
        "weft trace 10.32.0.2 db -6 --network blue -o json",
        "weft endpoint list --network blue --node a -o yaml",
        "weft endpoint list --here --socket /run/weft/agent.sock",
        "weft endpoint show 10.32.1.2 --network blue",
        "weft endpoint watch --since 7 --cluster c",
        "weft status",
        "weft status --wait",
        "weft status --wait 30s -o json",
        "weft status --all",
        "weft mesh --network blue --all -o json",
        "weft support-bundle --node a,b --to /tmp/a.tar --force",
        "weft support-bundle --all-nodes",
        "weft events --since 24h --node a,b --level warn --limit 10 --watch",
        "weft top",
        "weft top --interval 500ms --node a,b --network blue --once -o json",
        "weft --log-format json --config weft.toml status",
    ] {
        parse(line).unwrap_or_else(|error| panic!("{line}\n{error}"));
    }
}

#[test]
fn what_is_wrong_on_its_face_never_reaches_a_controller() {
    for line in [
        "weft network create Blue --pool 10.64.0.0/16",
        "weft network create blue",
        "weft network create blue --pool 10.64.0.1/16",
        "weft network create blue --pool 10.64.0.0",
        "weft network create blue --pool 10.64.0.0/16 --vni 0",
        "weft network create blue --pool 10.64.0.0/16 --vni 16777216",
        "weft network create blue --pool 10.64.0.0/16 --port 0",
        "weft network create blue --pool 10.64.0.0/16 --subnet-len 33",
        "weft network create blue --pool 10.64.0.0/16 --lapse 24",
        "weft network create blue --pool 10.64.0.0/16 --lapse 1ms",
        "weft network create blue --pool 10.64.0.0/16 --lapse 0s",
        "weft lease renew --node a --ttl 0s",
        "weft lease renew --node a --ttl 500ms",
        "weft lease acquire --node a --ttl 1500ms",
        "weft lease acquire",
        "weft lease acquire --node -a",
        "weft lease acquire --node a --mac 02:00:00:00:00",
        "weft lease acquire --node a --underlay 192.0.2",
        "weft lease acquire --node a --node-id x",
        "weft lease watch --since 7",
        "weft endpoint watch --since 7",
        "weft endpoint show",
        "weft events --level loud",
        "weft support-bundle --node a --all-nodes",
        "weft events --limit 0",
        "weft events --since yesterday",
        "weft endpoint list --here --node a",
        "weft lease list -o xml",
        "weft status --controller ftp://a",
        "weft",
        "weft lease",
    ] {
        let error = parse(line).expect_err(line);
        assert_eq!(error.exit_code(), 2, "{line}");
    }
}

#[test]
fn help_and_version_are_no_errors() {
    for (line, kind) in [
        ("weft --help", ErrorKind::DisplayHelp),
        ("weft lease acquire --help", ErrorKind::DisplayHelp),
        ("weft --version", ErrorKind::DisplayVersion),
    ] {
        assert_eq!(parse(line).expect_err(line).kind(), kind);
    }
}

#[test]
fn every_command_teaches_with_an_example() {
    fn look(command: &clap::Command, path: &str) {
        let path = format!("{path} {}", command.get_name());
        let help = command.get_after_help().map(ToString::to_string);
        let leaf = command.get_subcommands().next().is_none();
        assert!(
            !leaf || help.is_some_and(|help| help.contains(path.trim())),
            "no example of `{}`",
            path.trim()
        );
        command.get_subcommands().for_each(|sub| look(sub, &path));
    }
    look(&Weft::command(), "");
}

#[test]
fn answers_and_exit_codes() {
    for (code, exit) in [
        (Code::InvalidArgument, Exit::BadUsage),
        (Code::NotFound, Exit::Failed),
        (Code::AlreadyExists, Exit::Failed),
        (Code::FailedPrecondition, Exit::Failed),
        (Code::ResourceExhausted, Exit::Failed),
        (Code::Internal, Exit::Failed),
        (Code::Unimplemented, Exit::Failed),
        (Code::Unavailable, Exit::NotReady),
        (Code::DeadlineExceeded, Exit::NotReady),
    ] {
        let failure = Failure::answered("http://a:7440", &Status::new(code, "it is so"));
        assert_eq!(failure.exit(), exit, "{code:?}");
    }
    let text = Failure::answered("http://a", &Status::new(Code::NotFound, "no node x")).to_string();
    assert_eq!(text, "no node x");
    let text = Failure::answered("http://a", &Status::new(Code::NotFound, "")).to_string();
    assert_eq!(text, Code::NotFound.description());
}

#[test]
fn a_field_is_told_as_the_flag_that_was_typed() {
    for (told, text) in [
        (
            "subnet_len4: 8 is too short",
            "--subnet-len: 8 is too short",
        ),
        (
            "ttl_seconds: longer than a year",
            "--ttl: longer than a year",
        ),
        ("name: it is empty", "name: it is empty"),
        ("no field at all", "no field at all"),
    ] {
        let status = Status::new(Code::InvalidArgument, told);
        assert_eq!(Failure::answered("http://a", &status).to_string(), text);
    }
}
