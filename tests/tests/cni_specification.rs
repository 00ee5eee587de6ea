//! What the CNI specification (1.1.0 and those before) says a plugin MUST do, shown on
//! the installed plugin, a real agent and a real kernel.
//!
//! | the plugin must | shown by |
//! |---|---|
//! | answer ADD with a result in the version of the request | `add_answers_in_the_version_it_was_asked_in` |
//! | leave out what that version does not know | `add_answers_in_the_version_it_was_asked_in` |
//! | make an interface of the name asked for, with what the result says | `what_add_says_is_in_the_container` |
//! | fail ADD where the container has an interface of that name | `add_fails_where_the_interface_is_taken` |
//! | hand on `prevResult`, with its own part added | `a_chain_hands_results_on` |
//! | heed `CNI_ARGS` and `runtimeConfig` it is capable of, and pass over unknown keys | `what_is_asked_for_is_given` |
//! | succeed at DEL again, and when nothing is there | `del_succeeds_whatever_is_left` |
//! | succeed at DEL without `CNI_NETNS` and without `prevResult` | `del_succeeds_whatever_is_left` |
//! | free with DEL all that ADD took | `del_succeeds_whatever_is_left` |
//! | pass CHECK right after ADD | `check_sees_what_is_wrong` |
//! | compare with `prevResult` in CHECK, and want one | `check_sees_what_is_wrong` |
//! | fail CHECK when an interface, an address or a daemon is missing | `check_sees_what_is_wrong` |
//! | let later plugins change routes | `a_chain_hands_results_on` |
//! | remove with GC what is not among the valid attachments, and nothing else | `gc_removes_what_is_not_valid` |
//! | go on with GC after an error, and tell of it | `gc_goes_on_after_an_error` |
//! | exit with 0 on STATUS if ADD would work, and else with 50 or 51 | `status_is_whether_add_would_work` |
//! | answer VERSION with all versions it speaks | `version_names_all` |
//! | refuse a version it does not speak with 1, and a verb that the version does not have | `what_cannot_be_is_refused_with_its_code` |
//! | name the key and value of an unsupported field (2), an invalid variable (4) | `what_cannot_be_is_refused_with_its_code` |
//! | print an error of `code` and `msg` on standard output and exit with another code than 0 | `what_cannot_be_is_refused_with_its_code` |
//! | answer in time, whatever the daemon does | `status_is_whether_add_would_work` |
//! | say 11 where trying again may help | `without_an_agent_it_is_try_again_later` |
//! | be asked for many containers at once | `many_at_once` |

#[path = "cni_specification/add.rs"]
mod add;
#[path = "cni_specification/check.rs"]
mod check;
#[path = "cni_specification/del.rs"]
mod del;
#[path = "cni_specification/gc.rs"]
mod gc;
#[path = "cni_specification/ground.rs"]
mod ground;
#[path = "cni_specification/install.rs"]
mod install;
#[path = "cni_specification/questions.rs"]
mod questions;
#[path = "cni_specification/refusal.rs"]
mod refusal;

use std::collections::BTreeSet;

/// Every test that the table names is in one of these files.
#[test]
fn the_table_names_tests_that_are_there() {
    let rows = include_str!("cni_specification.rs").lines();
    let rows = rows.filter(|line| line.starts_with("//! | "));
    let named: BTreeSet<&str> = rows.filter_map(|row| row.rsplit('`').nth(1)).collect();
    assert!(named.len() > 10, "{named:?}");
    let tests = [
        include_str!("cni_specification/add.rs"),
        include_str!("cni_specification/check.rs"),
        include_str!("cni_specification/del.rs"),
        include_str!("cni_specification/gc.rs"),
        include_str!("cni_specification/questions.rs"),
        include_str!("cni_specification/refusal.rs"),
    ];
    for name in named {
        let this = format!("#[test]\nfn {name}()");
        assert!(tests.iter().any(|file| file.contains(&this)), "{name}");
    }
}
