//! Tables that fit: columns of low rank go first, then long texts are cut.
//!
//! Cells must have passed the sanitizer; their width is counted as a terminal shows it.

use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use super::color::{Colour, paint};
use crate::output::Style;

/// Between two columns.
const GAP: usize = 2;

/// Which side a column is flush with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    /// Text.
    Left,
    /// Numbers.
    Right,
}

/// What becomes of a column where there is no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fit {
    /// It stays as it is.
    Keep,
    /// It stays, its texts are cut.
    Cut {
        /// Other columns go before it has less than this.
        wanted: usize,
        /// What it has in the end, when all others are gone.
        least: usize,
    },
    /// It goes; the highest number first.
    Drop(u8),
}

/// One text of a table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cell {
    /// What is cut where it must be.
    pub text: String,
    /// What stands after it and is not cut.
    pub tail: String,
    /// Its colour.
    pub colour: Option<Colour>,
}

impl Cell {
    /// Plain text.
    pub fn plain(text: impl Into<String>) -> Cell {
        Cell {
            text: text.into(),
            ..Cell::default()
        }
    }

    fn width(&self) -> usize {
        self.text.width() + self.tail.width()
    }

    fn is_empty(&self) -> bool {
        self.text.is_empty() && self.tail.is_empty()
    }

    fn cut(&self, width: usize) -> String {
        if self.width() <= width {
            return format!("{}{}", self.text, self.tail);
        }
        let room = width.saturating_sub(self.tail.width());
        if room < 2 {
            return cut(&format!("{}{}", self.text, self.tail), width);
        }
        format!("{}{}", cut(&self.text, room), self.tail)
    }
}

/// `text` in at most `width` columns, with an ellipsis where something is missing.
fn cut(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut out = String::new();
    let mut used = 0;
    for c in text.chars() {
        used += c.width().unwrap_or(0);
        if used + 1 > width {
            break;
        }
        out.push(c);
    }
    out.push('…');
    out
}

/// A column with its cells from top to bottom.
#[derive(Clone, Debug)]
pub struct Column {
    /// Its title.
    pub header: &'static str,
    /// Its flush side.
    pub align: Align,
    /// What becomes of it where there is no room.
    pub fit: Fit,
    /// One for each row.
    pub cells: Vec<Cell>,
}

impl Column {
    fn natural(&self) -> usize {
        let widest = self.cells.iter().map(Cell::width).max().unwrap_or(0);
        widest.max(self.header.width())
    }

    fn wanted(&self) -> usize {
        match self.fit {
            Fit::Keep | Fit::Drop(_) => self.natural(),
            Fit::Cut { wanted, .. } => self.natural().min(wanted),
        }
    }

    fn least(&self) -> usize {
        match self.fit {
            Fit::Keep | Fit::Drop(_) => self.natural(),
            Fit::Cut { least, .. } => self.natural().min(least),
        }
    }
}

/// The whole table with a header; `width: None` is as wide as it needs to be. Columns without any
/// text are left out.
pub fn render(mut columns: Vec<Column>, width: Option<usize>, style: Style) -> String {
    columns.retain(|column| !column.cells.iter().all(Cell::is_empty));
    let rows = columns.first().map_or(0, |column| column.cells.len());
    let widths = fit(&mut columns, width);
    let header: Vec<_> = columns
        .iter()
        .map(|c| (c.header.to_owned(), Some(Colour::Dim)))
        .collect();
    let mut text = row(&columns, &widths, header, style);
    for index in 0..rows {
        let cells = columns
            .iter()
            .zip(&widths)
            .map(|(column, width)| (column.cells[index].cut(*width), column.cells[index].colour))
            .collect();
        text.push_str(&row(&columns, &widths, cells, style));
    }
    text
}

/// Drops columns until the rest fits. What is left over goes to the columns that are cut: until
/// each has what it wants from the left, then from the right.
fn fit(columns: &mut Vec<Column>, width: Option<usize>) -> Vec<usize> {
    let Some(width) = width else {
        return columns.iter().map(Column::natural).collect();
    };
    let gaps = |columns: &[Column]| GAP * columns.len().saturating_sub(1);
    let wanted = |columns: &[Column]| columns.iter().map(Column::wanted).sum::<usize>();
    while wanted(columns) + gaps(columns) > width {
        let ranks = columns
            .iter()
            .enumerate()
            .filter_map(|(index, column)| match column.fit {
                Fit::Drop(rank) => Some((rank, index)),
                Fit::Keep | Fit::Cut { .. } => None,
            });
        let Some((_, index)) = ranks.max() else { break };
        columns.remove(index);
    }
    let mut widths: Vec<_> = columns.iter().map(Column::least).collect();
    let mut spare = width.saturating_sub(widths.iter().sum::<usize>() + gaps(columns));
    let mut grow = |index: usize, to: usize| {
        let more = spare.min(to - widths[index]);
        spare -= more;
        widths[index] += more;
    };
    for (index, column) in columns.iter().enumerate() {
        grow(index, column.wanted());
    }
    for (index, column) in columns.iter().enumerate().rev() {
        grow(index, column.natural());
    }
    widths
}

fn row(
    columns: &[Column],
    widths: &[usize],
    cells: Vec<(String, Option<Colour>)>,
    style: Style,
) -> String {
    let mut line = String::new();
    let last = columns.len().saturating_sub(1);
    for (index, ((text, colour), (column, width))) in cells
        .into_iter()
        .zip(columns.iter().zip(widths))
        .enumerate()
    {
        let padding = " ".repeat(width.saturating_sub(text.width()));
        let shown = colour.map_or_else(|| text.clone(), |colour| paint(style, colour, &text));
        match column.align {
            Align::Right => line.push_str(&format!("{padding}{shown}")),
            Align::Left if index == last => line.push_str(&shown),
            Align::Left => line.push_str(&format!("{shown}{padding}")),
        }
        if index != last {
            line.push_str(&" ".repeat(GAP));
        }
    }
    format!("{}\n", line.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wide_characters_count_as_the_terminal_shows_them() {
        assert_eq!(cut("日本語の名前", 7), "日本語…");
        assert_eq!(cut("日本語の名前", 6), "日本…");
        assert_eq!(cut("short", 5), "short");
        let cell = Cell {
            text: "日本語の名前".into(),
            tail: ", end".into(),
            colour: None,
        };
        assert_eq!(cell.cut(12), "日本語…, end");
        assert_eq!(cell.cut(5), "日本…");
    }
}
