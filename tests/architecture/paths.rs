//! The paths that a Rust file names: in `use` lines, with their groups opened, and anywhere else.

use super::source::Token;

/// A path, as far as possible from the root: `["crate", "session", "state"]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Path {
    pub(crate) segments: Vec<String>,
    /// What it is called here: its last segment, or its alias.
    pub(crate) name: String,
    pub(crate) line: usize,
    /// It stands in a `use` line.
    pub(crate) is_use: bool,
}

/// All paths in `tokens`, which belong to the file of `module`. Names that stand alone are none.
pub(crate) fn paths(tokens: &[Token], module: &[String]) -> Vec<Path> {
    let mut reader =
        Reader { tokens, at: 0, module: module.to_vec(), inline: Vec::new(), depth: 0, found: Vec::new() };
    while reader.at < tokens.len() {
        reader.next();
    }
    reader.found
}

struct Reader<'a> {
    tokens: &'a [Token],
    at: usize,
    /// Where we are: the module of the file, and the inline modules in it.
    module: Vec<String>,
    /// The depths of braces at which inline modules began.
    inline: Vec<usize>,
    depth: usize,
    found: Vec<Path>,
}

impl Reader<'_> {
    fn text(&self, at: usize) -> &str {
        self.tokens.get(at).map_or("", |token| &token.text)
    }

    fn next(&mut self) {
        let before = if self.at == 0 { "" } else { self.text(self.at - 1) };
        match self.text(self.at) {
            "use" if self.text(self.at + 1) != "<" => {
                self.at += 1;
                self.tree(&[]);
            }
            "extern" if self.text(self.at + 1) == "crate" => {
                let name = self.text(self.at + 2).to_owned();
                self.at += 3;
                self.add(vec![name], None, true);
            }
            "mod" if self.text(self.at + 2) == "{" => {
                self.module.push(self.text(self.at + 1).to_owned());
                self.depth += 1;
                self.inline.push(self.depth);
                self.at += 3;
            }
            "{" => {
                self.depth += 1;
                self.at += 1;
            }
            "}" => {
                if self.inline.last() == Some(&self.depth) {
                    self.inline.pop();
                    self.module.pop();
                }
                self.depth = self.depth.saturating_sub(1);
                self.at += 1;
            }
            word if is_name(word) && self.text(self.at + 1) == "::" && before != "." => {
                let mut segments = vec![word.to_owned()];
                while self.text(self.at + 1) == "::" && is_name(self.text(self.at + 2)) {
                    segments.push(self.text(self.at + 2).to_owned());
                    self.at += 2;
                }
                self.at += 1;
                self.add(segments, None, false);
            }
            _ => self.at += 1,
        }
    }

    /// One branch of a `use` line, up to the sign that ends it.
    fn tree(&mut self, prefix: &[String]) {
        let mut segments = prefix.to_vec();
        loop {
            match self.text(self.at) {
                "::" => self.at += 1,
                "{" => {
                    self.at += 1;
                    while self.at < self.tokens.len() && self.text(self.at) != "}" {
                        self.tree(&segments);
                        if self.text(self.at) == "," {
                            self.at += 1;
                        }
                    }
                    self.at += 1;
                    return;
                }
                "as" => {
                    let alias = self.text(self.at + 1).to_owned();
                    self.at += 2;
                    return self.add(segments, Some(alias), true);
                }
                // `{self}` is what stands before the group.
                "self" if !segments.is_empty() => self.at += 1,
                word if is_name(word) || word == "*" => {
                    segments.push(word.to_owned());
                    self.at += 1;
                }
                _ => {
                    if self.text(self.at) == ";" {
                        self.at += 1;
                    }
                    // What is no use line after all must not stop us.
                    self.at += usize::from(segments.is_empty());
                    return self.add(segments, None, true);
                }
            }
        }
    }

    fn add(&mut self, segments: Vec<String>, alias: Option<String>, is_use: bool) {
        let Some(last) = segments.last() else { return };
        let name = alias.unwrap_or_else(|| last.clone());
        let line = self.tokens.get(self.at.saturating_sub(1)).map_or(0, |token| token.line);
        let climbs = segments.iter().take_while(|segment| *segment == "super").count();
        let from_self = segments[0] == "self" && segments.len() > 1;
        let segments = if climbs > 0 || from_self {
            let parents = &self.module[..self.module.len().saturating_sub(climbs)];
            let rest = segments.iter().skip(climbs.max(1));
            ["crate".to_owned()].iter().chain(parents).chain(rest).cloned().collect()
        } else {
            segments
        };
        self.found.push(Path { segments, name, line, is_use });
    }
}

fn is_name(word: &str) -> bool {
    word.starts_with(|first: char| first.is_alphabetic() || first == '_')
}

#[cfg(test)]
fn found(text: &str) -> Vec<String> {
    let file = super::source::File::new("src/session/state.rs", text);
    paths(&file.all, &file.module).iter().map(|path| path.segments.join("::")).collect()
}

#[test]
fn groups_are_opened_and_relatives_are_resolved() {
    for (text, expected) in [
        ("use a::b;", "a::b"),
        ("pub(crate) use a::{b, c::{d, self}, e as f};", "a::b a::c::d a::c a::e"),
        ("use {a::b, c};", "a::b c"),
        ("use super::outbox; use super::super::rt;", "crate::session::outbox crate::rt"),
        ("use self::x::Y; use super::*;", "crate::session::state::x::Y crate::session::*"),
        ("mod inner { use super::X; } use super::Y;", "crate::session::state::X crate::session::Y"),
        ("let x = crate::a::b(c::D::<E>::new(), ::std::f());", "crate::a::b c::D std::f"),
        ("fn f() -> impl G + use<'a> {} extern crate std;", "std"),
        ("x.collect::<Vec<_>>()", ""),
    ] {
        assert_eq!(found(text).join(" "), expected, "{text}");
    }
}

#[test]
fn a_path_knows_its_name_and_line() {
    let file = super::source::File::new("src/lib.rs", "\nuse a::{b as c};\nd::e();");
    let paths = paths(&file.code, &file.module);
    let short: Vec<_> = paths.iter().map(|path| (path.name.as_str(), path.line, path.is_use)).collect();
    assert_eq!(short, [("c", 2, true), ("e", 3, false)]);
}
