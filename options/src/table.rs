//! Columns that line up, on a terminal that may be narrow.

use std::io::{self, IsTerminal};

use rustix::termios::{Winsize, tcgetwinsize};

/// Between two columns.
const GAP: usize = 3;

/// Every cell but the last of its row is padded to the widest of its column.
pub fn aligned(rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let rows: Vec<Vec<String>> = rows.into_iter().map(printable).collect();
    let mut widths: Vec<usize> = Vec::new();
    for row in &rows {
        widths.resize(widths.len().max(row.len()), 0);
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }

    let mut text = String::new();
    for row in &rows {
        let last = row.len().saturating_sub(1);
        for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
            text.push_str(cell);
            if column != last {
                let pad = width + GAP - cell.chars().count();
                text.extend(std::iter::repeat_n(' ', pad));
            }
        }
        text.push('\n');
    }
    text
}

/// Rows under their heads, without spare columns (the least important first) where there
/// is no room for them; no width: any length.
pub fn fitted(
    heads: &[&str],
    spare: &[&str],
    rows: impl Iterator<Item = Vec<String>>,
    width: Option<usize>,
) -> String {
    let header = heads.iter().map(ToString::to_string).collect();
    let mut rows: Vec<Vec<String>> = std::iter::once(header).chain(rows).collect();
    let mut spare = spare.iter();
    loop {
        let text = aligned(rows.iter().cloned());
        let widest = text.lines().map(|line| line.chars().count()).max();
        if width.is_none_or(|width| widest.unwrap_or(0) <= width) {
            return text;
        }
        let Some(name) = spare.next() else {
            return text;
        };
        if let Some(column) = rows[0].iter().position(|head| head == name) {
            for row in &mut rows {
                row.remove(column);
            }
        }
    }
}

/// What a line on standard output has room for; none where it is no terminal.
pub fn terminal_width() -> Option<usize> {
    terminal().map(|size| size.ws_col.into())
}

/// How many lines it shows.
pub fn terminal_height() -> Option<usize> {
    terminal().map(|size| size.ws_row.into())
}

fn terminal() -> Option<Winsize> {
    let out = io::stdout();
    if !out.is_terminal() {
        return None;
    }
    let size = tcgetwinsize(out).ok()?;
    // A terminal that does not know says 0.
    Some(size).filter(|size| size.ws_col != 0 && size.ws_row != 0)
}

/// One row in columns of these widths.
pub fn padded(row: Vec<String>, widths: &[usize]) -> String {
    let cells = printable(row);
    let cells = cells.iter().zip(widths);
    let text: String = cells
        .map(|(cell, width)| format!("{cell:width$}  "))
        .collect();
    text.trim_end().to_owned()
}

/// Nothing in a cell may break its line or reach the terminal as a command.
fn printable(row: Vec<String>) -> Vec<String> {
    let shown = |cell: String| match cell.is_empty() {
        true => "-".to_string(),
        false => plain(&cell),
    };
    row.into_iter().map(shown).collect()
}

/// A text without what a terminal would take for a command, on one line.
pub fn plain(text: &str) -> String {
    let visible = |c: char| if c.is_control() { ' ' } else { c };
    text.chars().map(visible).collect()
}

#[cfg(test)]
mod tests;
