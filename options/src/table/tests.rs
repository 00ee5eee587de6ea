use super::*;

fn lines(rows: &[&[&str]]) -> String {
    aligned(
        rows.iter()
            .map(|row| row.iter().map(ToString::to_string).collect()),
    )
}

#[test]
fn columns_line_up_and_nothing_trails() {
    assert_eq!(
        lines(&[
            &["NAME", "N", "WHY"],
            &["a", "12345", "x"],
            &["longer", "", "y z"]
        ]),
        "NAME     N       WHY\na        12345   x\nlonger   -       y z\n"
    );
    assert_eq!(lines(&[]), "");
}

#[test]
fn width_is_counted_in_characters() {
    assert_eq!(lines(&[&["äöü", "x"], &["abc", "y"]]), "äöü   x\nabc   y\n");
}

#[test]
fn a_cell_cannot_break_the_table() {
    assert_eq!(lines(&[&["a\nb\u{1b}[31m", "c"]]), "a b [31m   c\n");
}

#[test]
fn a_row_on_its_own_keeps_its_columns() {
    let row = |cells: [&str; 3]| padded(cells.map(String::from).into(), &[4, 2, 3]);
    assert_eq!(row(["ab", "", "x"]), "ab    -   x");
    assert_eq!(row(["abcdef", "a\nb", ""]), "abcdef  a b  -");
}

#[test]
fn nothing_that_somebody_said_is_a_command_to_the_terminal() {
    assert_eq!(plain("a\x1b]0;b\x07\u{9b}2Jc\nd\té"), "a ]0;b  2Jc d é");
}
