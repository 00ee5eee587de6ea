//! Columns that line up.

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
    let shown = |cell: String| {
        if cell.is_empty() {
            return "-".to_string();
        }
        let visible = |c: char| if c.is_control() { ' ' } else { c };
        cell.chars().map(visible).collect()
    };
    row.into_iter().map(shown).collect()
}

#[cfg(test)]
mod tests;
