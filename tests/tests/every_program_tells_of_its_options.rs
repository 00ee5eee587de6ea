//! Config files, completions and manual pages are made by the programs themselves, and say
//! what is so.

use std::{collections::BTreeSet, fs, path::Path, process::Command};

use anyhow::{Context, Result, ensure};
use tests::process::{self, Said};

const PROGRAMS: [&str; 4] = ["weft", "weft-agent", "weft-controller", "weft-lab"];
const EXAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/systemd");

fn run(program: &str, words: &[&str]) -> Result<Said> {
    let mut command = Command::new(process::weft(program)?);
    command.args(words).env_remove("WEFT_CONTROLLER");
    process::said(command)
}

fn done(program: &str, words: &[&str]) -> Result<String> {
    let said = run(program, words)?;
    ensure!(said.code == 0, "{program} {words:?}: {said:?}");
    Ok(said.stdout)
}

/// The settings in force with a file, and where they come from.
fn in_force(program: &str, file: &Path) -> Result<Vec<(String, String)>> {
    let file = file.display().to_string();
    let text = done(program, &["--config", &file, "--print-config"])?;
    let (first, rows) = text.split_once('\n').context("lines")?;
    ensure!(first == format!("# {program}, with {file}"), "{first}");
    let row = |row: &str| {
        let (setting, origin) = row.rsplit_once("  # ")?;
        Some((setting.trim_end().to_owned(), origin.to_owned()))
    };
    rows.lines().map(row).collect::<Option<_>>().context(text)
}

#[test]
fn an_example_is_a_config_file_that_changes_nothing() -> Result<()> {
    let directory = tempfile::tempdir()?;
    for program in PROGRAMS {
        let path = directory.path().join(program);
        let example = done(program, &["--example-config"])?;
        fs::write(&path, &example)?;
        let rows = in_force(program, &path)?;
        for (setting, origin) in &rows {
            ensure!(
                ["default", "not set"].contains(&origin.as_str()),
                "{setting}"
            );
            let key = setting.trim_start_matches('#').split(' ').next();
            let key = key.context("a name")?;
            ensure!(
                example.contains(&format!("\n#{key} = ")),
                "{program}: {key}"
            );
        }
        let not_in_files = ["config", "print-config", "example-config", "completions"];
        let not_in_files = [&not_in_files[..], &["help", "version"]].concat();
        for flag in long_flags(&done(program, &["--help"])?) {
            let is_there = example.contains(&format!("\n#{flag} = "));
            ensure!(
                is_there != not_in_files.contains(&&*flag),
                "{program}: {flag}"
            );
        }
        // What was commented out is what is so anyway.
        let defaults = |line: &&str| !line.contains(|c: char| c.is_ascii_uppercase());
        let settings = example.lines().filter_map(|line| line.strip_prefix('#'));
        let settings = settings
            .filter(|line| !line.starts_with(' '))
            .filter(defaults);
        fs::write(&path, settings.collect::<Vec<_>>().join("\n"))?;
        let said = in_force(program, &path)?;
        for ((before, _), (after, _)) in rows.iter().zip(&said) {
            ensure!(before == after, "{program}: {before} became {after}");
        }
        let line_1 = format!("{}:1", path.display());
        ensure!(said.iter().any(|(_, origin)| *origin == line_1), "{said:?}");
    }
    Ok(())
}

#[test]
fn what_no_program_knows_is_refused_with_what_was_meant() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("weft.toml");
    fs::write(&path, "\nlog-formatt = \"json\"\n")?;
    let path = path.display().to_string();
    for program in PROGRAMS {
        let said = run(program, &["--config", &path, "--print-config"])?;
        let expected = format!(
            "{program}: {path}:2: unknown option `log-formatt`; did you mean `log-format`?\n"
        );
        assert_eq!((said.code, said.stderr), (2, expected), "{program}");
    }
    Ok(())
}

#[test]
fn examples_for_systemd_are_in_force_to_the_last_line() -> Result<()> {
    for (program, name) in [
        ("weft-agent", "agent.toml"),
        ("weft-controller", "controller.toml"),
    ] {
        let path = Path::new(EXAMPLES).join(name);
        let rows = in_force(program, &path)?;
        let place = format!("{}:", path.display());
        let from_file = rows.iter().filter(|(_, origin)| origin.starts_with(&place));
        let text = fs::read_to_string(&path)?;
        let said = text.lines().filter(|line| line.contains(" = "));
        assert_eq!(from_file.count(), said.count(), "{rows:?}");
    }
    Ok(())
}

#[test]
fn bash_completes_verbs_and_flags() -> Result<()> {
    for (program, typed, expected) in [
        ("weft", "lease li", "list"),
        ("weft", "endpoint list --he", "--here --help"),
        ("weft-agent", "stat", "status"),
        ("weft-agent", "cleanup --for", "--forget"),
        ("weft-controller", "--etcd-pass", "--etcd-password-file"),
        ("weft-lab", "contain", "container"),
        ("weft-cni", "uninst", "uninstall"),
        ("weft-cni", "install --neta", "--netavark"),
    ] {
        let script = match program {
            "weft-cni" => done("weft-cni-pages", &["bash"])?,
            program => done(program, &["--completions", "bash"])?,
        };
        let words = format!("{program} {typed}");
        let last = typed.rsplit(' ').next().unwrap_or_default();
        let before = words.split(' ').rev().nth(1).unwrap_or_default();
        let complete = format!(
            "{script}\nCOMP_WORDS=({words})\nCOMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))\n\
             function=$(complete -p {program} | sed 's/.*-F \\([^ ]*\\).*/\\1/')\n\
             $function {program} {last} {before}\necho \"${{COMPREPLY[@]}}\""
        );
        let mut bash = Command::new("bash");
        // As an argument it would be too long.
        bash.args(["--norc", "-s"]);
        let said = process::said_to(bash, &complete)?;
        assert_eq!(said.stdout.trim(), expected, "{words}: {said:?}");
    }
    Ok(())
}

#[test]
fn every_verb_has_a_manual_page_with_every_flag() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let place = directory.path().display().to_string();
    for program in PROGRAMS.into_iter().chain(["weft-cni"]) {
        let written = match program {
            "weft-cni" => done("weft-cni-pages", &[&place])?,
            program => done(program, &["--man", &place])?,
        };
        for file in written.lines() {
            let (name, section) = file.rsplit_once('.').context("a section")?;
            let is_daemon = ["weft-agent", "weft-controller"].contains(&program);
            assert_eq!(section, if is_daemon { "8" } else { "1" }, "{file}");
            let page = fs::read_to_string(directory.path().join(file))?.replace('\\', "");
            let words = name.strip_prefix(program).context("its program's name")?;
            let mut words: Vec<&str> = match words.trim_start_matches('-') {
                "" => Vec::new(),
                // One verb, and no other has a dash.
                verb @ "support-bundle" => vec![verb],
                verbs => verbs.split('-').collect(),
            };
            let is_verb = !words.is_empty();
            // Its help is one for all verbs.
            if program == "weft-cni" && !is_verb {
                continue;
            }
            words.push("--help");
            let mut flags = long_flags(&done(program, &words)?);
            if is_verb {
                flags.remove("version");
            }
            for flag in flags {
                ensure!(page.contains(&format!("--{flag}")), "{file}: --{flag}");
            }
        }
    }
    Ok(())
}

/// The flags of a help's lists.
fn long_flags(help: &str) -> BTreeSet<String> {
    let line = |line: &str| {
        let line = line.trim_start();
        let flag = line.starts_with('-').then(|| line.split("--").nth(1))??;
        let name = flag.split(|c: char| !c.is_ascii_lowercase() && c != '-');
        name.into_iter().next().map(str::to_owned)
    };
    help.lines().filter_map(line).collect()
}
