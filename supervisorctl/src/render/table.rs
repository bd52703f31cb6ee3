//! Tables that fit: columns of low rank go first, then names are cut.
//!
//! A note stands beside its row where it fits whole, and in lines of its own below the row where
//! it does not. Without a width every row is one line, every column is there and nothing is cut:
//! that is for programs. Cells must have passed the sanitizer.

use std::borrow::Cow;

use super::color::{Colour, paint_into};
use super::text::{self, cut, width};
use crate::output::Style;

/// Between two columns.
const GAP: usize = 2;

/// In front of a note below its row.
const HOOK: &str = "└ ";
const HOOK_WIDTH: usize = 2;

/// A column that is cut has at least this before others go for it.
const CUT_WANTED: usize = 30;
const CUT_LEAST: usize = 8;

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
    Cut,
    /// It goes; the highest number first.
    Drop(u8),
}

/// One text of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cell {
    /// What is cut where it must be.
    pub text: Cow<'static, str>,
    /// What stands after it and is not cut.
    pub tail: String,
    /// Its colour.
    pub colour: Option<Colour>,
}

impl Cell {
    /// What stands where there is nothing, so that programs find every column.
    pub const NOTHING: Cell = Cell {
        text: Cow::Borrowed("-"),
        tail: String::new(),
        colour: None,
    };

    /// Plain text.
    pub fn plain(text: impl Into<Cow<'static, str>>) -> Cell {
        Cell {
            text: text.into(),
            ..Cell::NOTHING
        }
    }

    fn width(&self) -> usize {
        width(&self.text) + width(&self.tail)
    }
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
        widest.max(self.header.len())
    }
}

/// What there is to know about a row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Note {
    /// Why it is as it is; shortened where it is very long.
    pub why: String,
    /// How it goes on, with the comma or semicolon before it; never cut.
    pub next: String,
    /// Its colour.
    pub colour: Option<Colour>,
}

impl Note {
    /// Both parts as one sentence.
    pub fn text(&self) -> String {
        [self.why.as_str(), &self.next].concat()
    }

    /// The same in not much more than `most` columns.
    fn within(&self, most: usize) -> String {
        Note {
            why: cut(&self.why, most).into_owned(),
            ..self.clone()
        }
        .text()
    }
}

/// The whole table with a header. `notes` has one for each row.
pub fn render(columns: Vec<Column>, notes: &[Note], max: Option<usize>, style: Style) -> String {
    let columns = fit(columns, max);
    let used = columns.iter().map(|(_, width)| width + GAP).sum::<usize>();
    let room = max.map_or(usize::MAX, |max| max.saturating_sub(used));
    let beside: Vec<_> = notes
        .iter()
        .map(|note| Some(note.text()).filter(|text| width(text) <= room))
        .collect();
    let mut writer = Writer {
        text: String::with_capacity((used + 24) * (notes.len() + 1)),
        style,
    };
    for (column, width) in &columns {
        writer.cell(column.header, "", Some(Colour::Dim), column.align, *width);
    }
    let is_note = |text: &Option<String>| text.as_ref().is_some_and(|text| !text.is_empty());
    if room >= "note".len() && beside.iter().any(is_note) {
        writer.painted(Some(Colour::Dim), "note");
    }
    writer.end_row();
    // Below the names, where the eye looks for what belongs to one.
    let indent = columns.first().map_or(0, |(_, width)| width + GAP);
    for (index, (note, beside)) in notes.iter().zip(&beside).enumerate() {
        for (column, width) in &columns {
            let cell = &column.cells[index];
            let text = cut(&cell.text, width.saturating_sub(text::width(&cell.tail)));
            writer.cell(&text, &cell.tail, cell.colour, column.align, *width);
        }
        match beside {
            Some(text) => writer.painted(note.colour, text),
            None => writer.below(note, indent, max.unwrap_or(usize::MAX)),
        }
        writer.end_row();
    }
    writer.text
}

/// Drops columns until the rest fits; what is then left over goes to those that are cut.
fn fit(columns: Vec<Column>, max: Option<usize>) -> Vec<(Column, usize)> {
    let mut columns: Vec<_> = columns
        .into_iter()
        .map(|column| {
            let natural = column.natural();
            (column, natural)
        })
        .collect();
    let Some(max) = max else { return columns };
    // What nobody uses takes no room where a person looks.
    columns.retain(|(column, _)| column.cells.iter().any(|cell| *cell != Cell::NOTHING));
    let needs = |columns: &[(Column, usize)], most: usize| {
        let gaps = GAP * columns.len().saturating_sub(1);
        let widths = columns.iter().map(|(column, natural)| match column.fit {
            Fit::Cut => (*natural).min(most),
            Fit::Keep | Fit::Drop(_) => *natural,
        });
        widths.sum::<usize>() + gaps
    };
    while needs(&columns, CUT_WANTED) > max {
        let ranks = columns.iter().enumerate();
        let ranks = ranks.filter_map(|(index, (column, _))| match column.fit {
            Fit::Drop(rank) => Some((rank, index)),
            Fit::Keep | Fit::Cut => None,
        });
        let Some((_, index)) = ranks.max() else { break };
        columns.remove(index);
    }
    // One long name must not push every note off its line.
    let most = CUT_WANTED.max(max / 3);
    let over = needs(&columns, most).saturating_sub(max);
    for (column, width) in &mut columns {
        if column.fit == Fit::Cut {
            let cut = (*width).min(most).saturating_sub(over);
            *width = cut.max(CUT_LEAST.min(*width));
        }
    }
    columns
}

struct Writer {
    text: String,
    style: Style,
}

impl Writer {
    fn painted(&mut self, colour: Option<Colour>, text: &str) {
        match colour {
            Some(colour) if !text.is_empty() => {
                paint_into(&mut self.text, self.style, colour, text);
            }
            Some(_) | None => self.text.push_str(text),
        }
    }

    fn spaces(&mut self, count: usize) {
        self.text.extend(std::iter::repeat_n(' ', count));
    }

    fn cell(&mut self, text: &str, tail: &str, colour: Option<Colour>, align: Align, to: usize) {
        let padding = to.saturating_sub(width(text) + width(tail));
        if align == Align::Right {
            self.spaces(padding);
        }
        self.painted(colour, text);
        self.painted(colour, tail);
        if align == Align::Left {
            self.spaces(padding);
        }
        self.spaces(GAP);
    }

    /// A note in lines of its own.
    fn below(&mut self, note: &Note, indent: usize, max: usize) {
        let room = max.saturating_sub(indent + HOOK_WIDTH);
        for (index, line) in text::wrap(&note.within(room * 2), room).iter().enumerate() {
            self.end_row();
            self.spaces(indent);
            let hook = if index == 0 { HOOK } else { "  " };
            self.painted(Some(Colour::Dim), hook);
            self.painted(note.colour, line);
        }
    }

    fn end_row(&mut self) {
        self.text.truncate(self.text.trim_end_matches(' ').len());
        self.text.push('\n');
    }
}
