//! Manual pages and shell completions, from the same words as `--help`.

use std::{fs, io, path::Path};

use clap::Command;
pub use clap_complete::Shell;
use clap_mangen::Man;

/// Whose pages are in section 8; all others are in section 1.
const DAEMONS: [&str; 2] = ["weft-agent", "weft-controller"];

pub fn completions(shell: Shell, command: &mut Command) -> String {
    let name = command.get_name().to_owned();
    let mut script = Vec::new();
    clap_complete::generate(shell, command, &name, &mut script);
    // For bash it takes what follows a dash in the program's name for a verb, in one of
    // two places: nothing would be completed after the real verb.
    let (verb, dash) = (name.replace('-', "__subcmd__"), name.replace('-', "__"));
    String::from_utf8_lossy(&script).replace(&verb, &dash)
}

/// Writes a page for the command and each of its verbs; the files' names, a line each.
pub fn write_manual(command: Command, directory: &Path) -> io::Result<String> {
    fs::create_dir_all(directory)?;
    let section = match DAEMONS.contains(&command.get_name()) {
        true => "8",
        false => "1",
    };
    let mut command = command.disable_help_subcommand(true);
    command.build();
    let mut names = String::new();
    write_pages(&command, section, directory, &mut names)?;
    Ok(names)
}

fn write_pages(
    command: &Command,
    section: &str,
    directory: &Path,
    names: &mut String,
) -> io::Result<()> {
    let man = Man::new(command.clone()).section(section);
    let mut page = Vec::new();
    man.render(&mut page)?;
    // What follows the help are mostly examples, in lines that are not to be filled.
    let page = String::from_utf8_lossy(&page).replace(".SH EXTRA\n", ".SH EXAMPLES\n.nf\n");
    fs::write(directory.join(man.get_filename()), page)?;
    names.push_str(&format!("{}\n", man.get_filename()));
    for verb in command.get_subcommands().filter(|verb| !verb.is_hide_set()) {
        write_pages(verb, section, directory, names)?;
    }
    Ok(())
}
