//! Rust files as tokens, without comments and strings, with the tests set apart.

use std::fs;
use std::path::Path;

/// A word or a sign of a Rust file. Literals in quotes keep their place, not their content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) text: String,
    pub(crate) line: usize,
}

/// A Rust file.
pub(crate) struct File {
    /// From the root of the project, with `/`.
    pub(crate) path: String,
    /// The module that it is: `["session", "state"]`; empty for the root of a crate.
    pub(crate) module: Vec<String>,
    /// Everything.
    pub(crate) all: Vec<Token>,
    /// What is compiled outside tests.
    pub(crate) code: Vec<Token>,
    /// What is compiled for tests only.
    pub(crate) tests: Vec<Token>,
}

impl File {
    pub(crate) fn new(path: &str, text: &str) -> Self {
        let module = module(path);
        let all = tokens(text);
        let (code, tests) =
            if module.iter().any(|name| name == "tests") { (Vec::new(), all.clone()) } else { split(&all) };
        Self { path: path.to_owned(), module, all, code, tests }
    }
}

/// All Rust files below a folder of the project, in alphabetical order. None when it is not there.
pub(crate) fn read_tree(folder: &str) -> Vec<File> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    let mut folders = vec![root.join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten() {
            let path = entry.expect("a readable tree").path();
            if path.is_dir() && path.file_name().is_none_or(|name| name != "target") {
                folders.push(path);
            } else if path.extension().is_some_and(|ext| ext == "rs") {
                let text = fs::read_to_string(&path).expect("a readable tree");
                let inside = path.strip_prefix(root).expect("below the root");
                let parts: Vec<_> = inside.iter().map(|part| part.to_string_lossy()).collect();
                files.push(File::new(&parts.join("/"), &text));
            }
        }
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    files
}

/// The names of functions that a test runner runs: marked as a test, and not as ignored.
pub(crate) fn test_functions(tokens: &[Token]) -> Vec<String> {
    let mut names = Vec::new();
    let mut marks: Vec<&str> = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        if let Some(end) = attribute_end(tokens, at) {
            marks.extend(tokens[at..end].iter().map(|token| token.text.as_str()));
            at = end;
            continue;
        }
        match tokens[at].text.as_str() {
            "async" | "pub" => {}
            "fn" => {
                if marks.contains(&"test") && !marks.contains(&"ignore") && at + 1 < tokens.len() {
                    names.push(tokens[at + 1].text.clone());
                }
                marks.clear();
            }
            _ => marks.clear(),
        }
        at += 1;
    }
    names
}

fn module(path: &str) -> Vec<String> {
    let inside = path.split_once("src/").map_or(path, |(_, inside)| inside);
    let mut parts: Vec<_> = inside.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
    if parts.last().is_some_and(|last| ["lib", "main", "mod"].contains(&last.as_str())) {
        parts.pop();
    }
    parts
}

/// Sets apart the items under `#[cfg(test)]` and `#[cfg(all(test, …))]`.
fn split(all: &[Token]) -> (Vec<Token>, Vec<Token>) {
    let (mut code, mut tests) = (Vec::new(), Vec::new());
    let mut at = 0;
    while at < all.len() {
        let end = match attribute_end(all, at) {
            Some(end) if is_test_only(&all[at..end]) => item_end(all, end),
            _ => at,
        };
        if end > at {
            tests.extend_from_slice(&all[at..end]);
            at = end;
        } else {
            code.push(all[at].clone());
            at += 1;
        }
    }
    (code, tests)
}

fn is_test_only(attribute: &[Token]) -> bool {
    let has = |word: &str| attribute.iter().any(|token| token.text == word);
    attribute.get(2).is_some_and(|token| token.text == "cfg") && has("test") && !has("any") && !has("not")
}

/// Where the attribute that starts at `at` ends, if one does.
fn attribute_end(tokens: &[Token], at: usize) -> Option<usize> {
    let starts = tokens.get(at)?.text == "#" && tokens.get(at + 1)?.text == "[";
    starts.then(|| group_end(tokens, at + 1))
}

/// One past the sign that closes the group that opens at `at`.
fn group_end(tokens: &[Token], at: usize) -> usize {
    let mut depth = 0;
    for (n, token) in tokens.iter().enumerate().skip(at) {
        match token.text.as_str() {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return n + 1;
        }
    }
    tokens.len()
}

/// One past the end of the item that starts at `at`, further attributes included.
fn item_end(tokens: &[Token], mut at: usize) -> usize {
    while at < tokens.len() {
        match tokens[at].text.as_str() {
            "{" => return group_end(tokens, at),
            "(" | "[" => at = group_end(tokens, at),
            ";" => return at + 1,
            // The end of what the item stands in.
            "}" => return at,
            _ => at += 1,
        }
    }
    at
}

fn tokens(text: &str) -> Vec<Token> {
    let mut reader = Reader { chars: text.chars().collect(), at: 0, line: 1 };
    let mut tokens = Vec::new();
    while let Some(token) = reader.token() {
        tokens.push(token);
    }
    tokens
}

struct Reader {
    chars: Vec<char>,
    at: usize,
    line: usize,
}

impl Reader {
    fn peek(&self, ahead: usize) -> char {
        self.chars.get(self.at + ahead).copied().unwrap_or('\0')
    }

    fn step(&mut self) -> char {
        let next = self.peek(0);
        self.line += usize::from(next == '\n');
        self.at += 1;
        next
    }

    fn token(&mut self) -> Option<Token> {
        self.skip_blank();
        if self.at >= self.chars.len() {
            return None;
        }
        let line = self.line;
        Some(Token { text: self.text(), line })
    }

    fn skip_blank(&mut self) {
        loop {
            if self.peek(0) == '/' && self.peek(1) == '/' {
                while self.at < self.chars.len() && self.peek(0) != '\n' {
                    self.step();
                }
            } else if self.peek(0) == '/' && self.peek(1) == '*' {
                let mut depth = 0;
                while self.at < self.chars.len() {
                    match (self.peek(0), self.peek(1)) {
                        ('/', '*') => depth += 1,
                        ('*', '/') => depth -= 1,
                        _ => {
                            self.step();
                            continue;
                        }
                    }
                    self.step();
                    self.step();
                    if depth == 0 {
                        break;
                    }
                }
            } else if self.at < self.chars.len() && self.peek(0).is_whitespace() {
                self.step();
            } else {
                return;
            }
        }
    }

    fn text(&mut self) -> String {
        let first = self.peek(0);
        if first.is_alphanumeric() || first == '_' {
            let mut word = String::new();
            while self.peek(0).is_alphanumeric() || self.peek(0) == '_' {
                word.push(self.step());
            }
            return self.after_word(word);
        }
        match (self.step(), self.peek(0)) {
            (':', ':') => {
                self.step();
                "::".to_owned()
            }
            ('"', _) => {
                self.quoted('"');
                String::from("\"\"")
            }
            ('\'', '\\') => {
                self.quoted('\'');
                String::from("''")
            }
            ('\'', _) if self.peek(1) == '\'' => {
                self.quoted('\'');
                String::from("''")
            }
            (sign, _) => sign.to_string(),
        }
    }

    /// A word may turn out to be the prefix of a string, or of a word that is no keyword.
    fn after_word(&mut self, word: String) -> String {
        if !["r", "b", "br", "c", "cr"].contains(&word.as_str()) {
            return word;
        }
        let raw = word.contains('r');
        let hashes = if raw { (0..).take_while(|n| self.peek(*n) == '#').count() } else { 0 };
        match self.peek(hashes) {
            '"' if raw => {
                self.raw_string(hashes);
                String::from("\"\"")
            }
            '"' => {
                self.step();
                self.quoted('"');
                String::from("\"\"")
            }
            _ if hashes == 1 && word == "r" => {
                self.step();
                self.text()
            }
            _ => word,
        }
    }

    fn quoted(&mut self, end: char) {
        while self.at < self.chars.len() {
            match self.step() {
                '\\' => {
                    self.step();
                }
                sign if sign == end => return,
                _ => {}
            }
        }
    }

    fn raw_string(&mut self, hashes: usize) {
        self.at += hashes + 1;
        while self.at < self.chars.len() {
            if self.step() == '"' && (0..hashes).all(|n| self.peek(n) == '#') {
                self.at += hashes;
                return;
            }
        }
    }
}

#[test]
fn comments_and_strings_are_no_tokens() {
    let text = "a // b\n/* c /* d */ e */ f \"g \\\" h\" r#\"i \" j\"# 'k' '\\'' 'l: b\"m\" r#type ::n";
    let words: Vec<_> = tokens(text).into_iter().map(|token| token.text).collect();
    let expected = ["a", "f", "\"\"", "\"\"", "''", "''", "'", "l", ":", "\"\"", "type", "::", "n"];
    assert_eq!(words, expected);
    assert_eq!(tokens("a\n\"\n\"\nb")[2].line, 4);
}

#[test]
fn test_items_are_set_apart() {
    for (text, code) in [
        ("a #[cfg(test)] mod tests { b { c } } d", "a d"),
        ("#[cfg(test)] #[macro_use] extern crate std; a", "a"),
        ("#[cfg(all(test, unix))] fn f(x: [u8; 2]) -> u8 { 1 } a", "a"),
        ("mod m { #[cfg(test)] b } a", "mod m { } a"),
    ] {
        let file = File::new("src/lib.rs", text);
        let words: Vec<_> = file.code.iter().map(|token| token.text.as_str()).collect();
        assert_eq!(words.join(" "), code);
    }
    for text in ["#[cfg(not(test))] a;", "#[cfg(any(test, unix))] a;"] {
        assert!(File::new("src/lib.rs", text).tests.is_empty(), "{text}");
    }
    assert!(File::new("src/session/tests.rs", "a").code.is_empty());
}

#[test]
fn paths_of_files_are_modules() {
    for (path, expected) in [
        ("src/lib.rs", ""),
        ("core/src/time.rs", "time"),
        ("src/session/mod.rs", "session"),
        ("core/src/session/state.rs", "session state"),
    ] {
        assert_eq!(module(path).join(" "), expected);
    }
}
