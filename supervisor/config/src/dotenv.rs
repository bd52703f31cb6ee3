//! The lines of an env file. Owns the grammar: `NAME=value`, `export` before it, quotes around the
//! value, `#` comments. Nothing is expanded: `$` is a character like any other. Says where a fault
//! is but never what stands there, which may be a secret.

use crate::app_values::variable_name;
use crate::units::Problem;

/// What a file holds.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Lines {
    /// In the order of the file.
    pub(crate) variables: Vec<(String, String)>,
    /// Line and column, both from 1, the column in characters.
    pub(crate) faults: Vec<(usize, usize, Problem)>,
}

/// Reads a whole file. A fault costs its line; the next one is read again.
pub(crate) fn parse(text: &str) -> Lines {
    let text = text
        .strip_prefix('\u{feff}')
        .unwrap_or(text)
        .replace("\r\n", "\n");
    let mut lines = Lines::default();
    let mut scanner = Scanner { text: &text, at: 0 };
    let (mut line, mut counted) = (1, 0);
    while scanner.at < text.len() {
        match scanner.line() {
            Ok(variable) => lines.variables.extend(variable),
            Err(problem) => {
                line += text[counted..scanner.at].matches('\n').count();
                counted = scanner.at;
                let start = text[..counted].rfind('\n').map_or(0, |at| at + 1);
                lines
                    .faults
                    .push((line, text[start..counted].chars().count() + 1, problem));
                scanner.skip(|c| c != '\n');
            }
        }
        scanner.take('\n');
    }
    lines
}

/// A place in the text. Where a step fails it stays at what is wrong.
struct Scanner<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Scanner<'t> {
    fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }

    /// Takes what is `inside` and gives it.
    fn skip(&mut self, inside: impl Fn(char) -> bool) -> &'t str {
        let rest = self.rest();
        let taken = &rest[..rest.find(|c| !inside(c)).unwrap_or(rest.len())];
        self.at += taken.len();
        taken
    }

    fn take(&mut self, wanted: char) -> bool {
        let there = self.rest().starts_with(wanted);
        self.at += if there { wanted.len_utf8() } else { 0 };
        there
    }

    /// Blanks, and a comment where there is one; then the line must end.
    fn ends(&mut self) -> bool {
        self.skip(is_blank);
        if self.rest().starts_with('#') {
            self.skip(|c| c != '\n');
        }
        self.rest().is_empty() || self.rest().starts_with('\n')
    }

    /// One line, or as many as its quotes span.
    fn line(&mut self) -> Result<Option<(String, String)>, Problem> {
        if self.ends() {
            return Ok(None);
        }
        let mut start = self.at;
        let mut name = self.skip(|c| !is_blank(c) && c != '=' && c != '\n');
        self.skip(is_blank);
        if name == "export" && !self.rest().starts_with('=') {
            start = self.at;
            name = self.skip(|c| !is_blank(c) && c != '=' && c != '\n');
            self.skip(is_blank);
        }
        if !self.take('=') {
            return Err(Problem::new("there is no \"=\" after the name")
                .hint("write NAME=value, or \"#\" before a comment"));
        }
        if let Err(problem) = variable_name(name) {
            self.at = start;
            return Err(problem);
        }
        let blank = !self.skip(is_blank).is_empty();
        let start = self.at;
        let value = match self.rest().chars().next() {
            Some(quote @ ('"' | '\'' | '`')) => self.quoted(quote)?,
            Some('#') if blank => {
                self.ends();
                String::new()
            }
            _ => self.bare(),
        };
        if value.contains('\0') {
            self.at = start;
            return Err(Problem::new("the value contains a NUL character"));
        }
        Ok(Some((name.to_owned(), value)))
    }

    /// Up to the end of the line or a comment, which starts with a `#` after a blank: `#fff` is a
    /// colour.
    fn bare(&mut self) -> String {
        let line = self.skip(|c| c != '\n');
        let mut hashes = line.match_indices('#').map(|(at, _)| at);
        let comment = hashes.find(|at| line[..*at].ends_with(is_blank));
        line[..comment.unwrap_or(line.len())].trim_end().to_owned()
    }

    /// Up to the same quote again, over several lines if need be. Only between double quotes is a
    /// backslash special.
    fn quoted(&mut self, quote: char) -> Result<String, Problem> {
        let start = self.at;
        self.take(quote);
        let mut value = String::new();
        let mut characters = self.rest().char_indices();
        while let Some((offset, c)) = characters.next() {
            if c == quote {
                self.at += offset + 1;
                return if self.ends() {
                    Ok(value)
                } else {
                    Err(Problem::new("something follows the closing quote")
                        .hint("put the whole value in one pair of quotes"))
                };
            }
            if c != '\\' || quote != '"' {
                value.push(c);
                continue;
            }
            match characters.next().map(|(_, c)| c) {
                Some('n') => value.push('\n'),
                Some('r') => value.push('\r'),
                Some('t') => value.push('\t'),
                Some(c @ ('"' | '\\' | '$' | '`')) => value.push(c),
                Some(c) => value.extend(['\\', c]),
                None => value.push('\\'),
            }
        }
        self.at = start;
        Err(Problem::new("the quote is not closed"))
    }
}

fn is_blank(c: char) -> bool {
    c.is_whitespace() && c != '\n'
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> Vec<(String, String)> {
        let lines = parse(text);
        assert_eq!(lines.faults, [], "{text}");
        lines.variables
    }

    fn value(text: &str) -> String {
        let mut variables = read(text);
        assert_eq!(variables.len(), 1, "{text}");
        variables.remove(0).1
    }

    #[test]
    fn the_forms_of_a_value() {
        for (text, expected) in [
            ("A=1", "1"),
            ("export A=1", "1"),
            ("  export\tA = 1  ", "1"),
            ("A=", ""),
            ("A= # nothing", ""),
            ("A=one two # said", "one two"),
            ("A=#fff", "#fff"),
            ("A=x#fff", "x#fff"),
            ("A='it # is' # said", "it # is"),
            (r"A='a\nb'", r"a\nb"),
            (r#"A="a\nb\t\"c\" \d \\""#, "a\nb\t\"c\" \\d \\"),
            ("A=`back \"and\" 'forth'`", "back \"and\" 'forth'"),
            ("A=\"one\ntwo\"\n", "one\ntwo"),
            ("A=one\r\n", "one"),
            ("A=it's", "it's"),
            ("\u{feff}A=1", "1"),
            ("export=1", "1"),
            ("A==", "="),
        ] {
            assert_eq!(value(text), expected, "{text}");
        }
    }

    #[test]
    fn nothing_is_expanded() {
        assert_eq!(
            value("A=$HOME/${USER} $(id) `id`"),
            "$HOME/${USER} $(id) `id`"
        );
        assert_eq!(value("A=\"$HOME/${USER}\""), "$HOME/${USER}");
        assert_eq!(value(r#"A="\$HOME""#), "$HOME");
    }

    #[test]
    fn comments_and_empty_lines_are_nothing() {
        assert_eq!(read("\n  \n# A=1\n  # B=2\n\n"), []);
        assert_eq!(parse(""), Lines::default());
    }

    #[test]
    fn the_order_of_the_file_is_kept() {
        let names: Vec<_> = read("B=1\nA=2\nB=3")
            .into_iter()
            .map(|(name, _)| name)
            .collect();
        assert_eq!(names, ["B", "A", "B"]);
    }

    #[test]
    fn every_faulty_line_is_told_without_what_it_says() {
        let text = "GOOD=1\nsecret-word\nA-B=secret\n1A=secret\nC=\"secret\" secret\nALSO=2\n\
                    NUL=a\0secret\nSUPERVISOR_RUN=secret\nexport secret\n=secret\nD='secret\nLAST=3\n";
        let lines = parse(text);
        let names: Vec<_> = lines
            .variables
            .iter()
            .map(|(name, _)| name.as_str())
            .collect();
        assert_eq!(names, ["GOOD", "ALSO", "LAST"]);
        let said = lines
            .faults
            .iter()
            .map(|(line, column, what)| format!("{line}:{column}: {what}\n"));
        let said: String = said.collect();
        assert!(!said.contains("secret"), "{said}");
        insta::assert_snapshot!(said);
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_panic(text in "(\\PC|[\n\r\t \0\"'`#=\\\\$]|A=|export ){0,60}") {
            let lines = parse(&text);
            let height = text.matches('\n').count() + 1;
            for (line, column, _) in lines.faults {
                prop_assert!(line <= height && column >= 1);
            }
        }

        #[test]
        fn what_is_written_in_double_quotes_reads_back(content in "(\\PC|[\n\r\t\"'#$\\\\]){0,40}") {
            let escaped = content.replace('\\', "\\\\").replace('"', "\\\"").replace('\r', "\\r");
            prop_assert_eq!(value(&format!("A=\"{escaped}\"")), content);
        }
    }
}
