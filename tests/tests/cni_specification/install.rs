//! What `weft-cni install` puts where, and takes out again.

use std::{fs, path::PathBuf};

use anyhow::Result;
use tests::{cni::List, lab::Place, process};

#[test]
fn what_is_installed_is_whole_and_goes_again() -> Result<()> {
    let directory = tempfile::Builder::new().prefix("weft-cni-").tempdir()?;
    let [conf, bin] = ["net.d", "bin"].map(|name| directory.path().join(name));
    let run = |words: &[&str]| {
        let mut command = Place::Here.command(process::weft("weft-cni")?);
        command.args(words).arg("--conf-dir").arg(&conf);
        command.arg("--bin-dir").arg(&bin);
        process::said(command)
    };
    fs::create_dir_all(&conf)?;
    fs::write(conf.join("05-other.conflist"), "{}")?;
    let said = run(&["install"])?;
    assert!(
        said.code == 0 && said.stdout.contains("05-other"),
        "{said:?}"
    );
    run(&["install", "--name", "blue", "--network", "blue"])?;
    let names = |of: &PathBuf| -> Result<Vec<String>> {
        let entries = fs::read_dir(of)?.map(|entry| Ok(entry?.file_name()));
        let names: Result<Vec<_>> = entries.collect();
        let mut names: Vec<String> = names?
            .iter()
            .map(|name| name.to_string_lossy().into_owned())
            .collect();
        names.sort_unstable();
        Ok(names)
    };
    let confs = ["05-other.conflist", "10-blue.conflist", "10-weft.conflist"];
    assert_eq!(names(&conf)?, confs);
    assert_eq!(names(&bin)?, ["weft"]);
    let shown = include_str!("../../../examples/cni/10-weft.conflist");
    assert_eq!(fs::read_to_string(conf.join("10-weft.conflist"))?, shown);
    let blue = List::read(&conf.join("10-blue.conflist"), &[])?;
    assert_eq!(blue.plugins[0]["network"], "blue");
    // The program stays for as long as one configuration needs it.
    let said = run(&["uninstall"])?;
    assert!(
        said.stdout.contains("10-blue.conflist needs it"),
        "{said:?}"
    );
    assert_eq!(names(&bin)?, ["weft"]);
    run(&["uninstall", "--name", "blue"])?;
    assert_eq!(names(&conf)?, ["05-other.conflist"]);
    assert_eq!(names(&bin)?, [""; 0]);
    let said = run(&["uninstall"])?;
    assert_eq!(
        (said.code, said.stdout.as_str()),
        (0, "nothing was installed\n")
    );
    let said = run(&["install", "--bla"])?;
    assert!(said.code == 2 && said.stderr.contains("--bla"), "{said:?}");
    Ok(())
}
