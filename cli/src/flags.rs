//! Flags as a table: each is one [`Flag`] with its names, its doc and its effect.
//!
//! The two dialects differ in how they read a command line (`cat/parse.rs`, `nanocat/parse.rs`);
//! what a flag is, how an abbreviated name finds it and how help is made of it is the same.

use crate::cat::settings::Settings;
use crate::failure::Failure;
use spanwire::Protocol;
use std::fmt::Write;

/// One flag.
pub(crate) struct Flag {
    /// Its long names without the dashes. The first is the one that help and errors use.
    pub(crate) names: &'static [&'static str],
    /// Its one-letter name.
    pub(crate) short: Option<char>,
    /// What its value is called in help; `None` for a flag without one.
    pub(crate) value: Option<&'static str>,
    /// The heading of its help.
    pub(crate) group: &'static str,
    /// What it does, for help.
    pub(crate) doc: &'static str,
    /// Which protocols it can be used with.
    pub(crate) only: Only,
    /// Whether the flag is an addition of ours. Those never make an abbreviation ambiguous.
    pub(crate) ours: bool,
    /// Its effect. A flag without a value is given an empty one.
    pub(crate) set: fn(&mut Settings, &[u8]) -> Result<(), Failure>,
}

impl Flag {
    /// How errors name it.
    pub(crate) fn title(&self) -> String {
        match self.short {
            Some(short) => format!("--{} (-{short})", self.names[0]),
            None => format!("--{}", self.names[0]),
        }
    }
}

/// Which protocols a flag can be used with.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Only {
    /// All.
    Any,
    /// SUB.
    Sub,
    /// Those that can send.
    Senders,
    /// Those that can send without being asked.
    Unasked,
    /// Those that can receive.
    Receivers,
}

impl Only {
    /// Whether `protocol` is one of them.
    pub(crate) fn admits(self, protocol: Protocol) -> bool {
        use Protocol as P;
        match self {
            Self::Any => true,
            Self::Sub => protocol == P::Sub,
            Self::Senders => !matches!(protocol, P::Pull | P::Sub),
            Self::Unasked => !matches!(protocol, P::Pull | P::Sub | P::Rep | P::Respondent),
            Self::Receivers => !matches!(protocol, P::Push | P::Pub),
        }
    }

    /// Who they are, for errors.
    pub(crate) fn who(self) -> &'static str {
        match self {
            Self::Any => "every protocol",
            Self::Sub => "--sub",
            Self::Senders => "a protocol that sends (any but --pull and --sub)",
            Self::Unasked => {
                "a protocol that sends without being asked (--req, --pub, --push, --pair…, --bus, --surveyor)"
            }
            Self::Receivers => "a protocol that receives (any but --push and --pub)",
        }
    }
}

/// Why a long name finds no flag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NoFlag {
    /// No name begins like that.
    Unknown,
    /// Several flags have names that begin like that: these.
    Ambiguous(Vec<&'static str>),
}

/// The flag whose long name is `name`, or the only one with a name that begins with it.
pub(crate) fn by_name(table: &'static [Flag], name: &[u8]) -> Result<&'static Flag, NoFlag> {
    let exact = |flag: &&Flag| flag.names.iter().any(|n| n.as_bytes() == name);
    if let Some(flag) = table.iter().find(exact) {
        return Ok(flag);
    }
    by_prefix(table, name, false).or_else(|none| match none {
        NoFlag::Unknown => by_prefix(table, name, true),
        ambiguous @ NoFlag::Ambiguous(_) => Err(ambiguous),
    })
}

fn by_prefix(table: &'static [Flag], prefix: &[u8], ours: bool) -> Result<&'static Flag, NoFlag> {
    let begins = |name: &&&str| name.as_bytes().starts_with(prefix);
    let fits: Vec<_> = table
        .iter()
        .filter(|flag| flag.ours == ours)
        .filter_map(|flag| flag.names.iter().find(begins).map(|name| (flag, *name)))
        .collect();
    match fits[..] {
        [] => Err(NoFlag::Unknown),
        [(flag, _)] => Ok(flag),
        _ => Err(NoFlag::Ambiguous(fits.into_iter().map(|(_, name)| name).collect())),
    }
}

/// The flag with this one-letter name.
pub(crate) fn by_letter(table: &'static [Flag], letter: u8) -> Option<&'static Flag> {
    table.iter().find(|flag| flag.short == Some(char::from(letter)))
}

/// What `--help` prints: `usage`, then every flag of the table under the heading of its group.
pub(crate) fn help(table: &[Flag], usage: &str) -> String {
    let mut text = format!("{usage}\n");
    let mut group = "";
    for flag in table {
        if flag.group != group {
            group = flag.group;
            let _ = write!(text, "\n{group}:\n");
        }
        let mut names = match flag.short {
            Some(short) => format!("-{short}, "),
            None => String::from("    "),
        };
        let longs: Vec<_> = flag.names.iter().map(|name| format!("--{name}")).collect();
        names.push_str(&longs.join(", "));
        if let Some(value) = flag.value {
            let _ = write!(names, " <{value}>");
        }
        let _ = if names.len() < COLUMN - 1 {
            writeln!(text, "  {names:width$}{}", flag.doc, width = COLUMN)
        } else {
            writeln!(text, "  {names}\n  {:width$}{}", "", flag.doc, width = COLUMN)
        };
    }
    text
}

/// Where the docs begin in help.
const COLUMN: usize = 34;

#[cfg(test)]
mod tests {
    use super::*;

    const fn flag(names: &'static [&'static str], ours: bool) -> Flag {
        Flag {
            names,
            short: None,
            value: None,
            group: "",
            doc: "",
            only: Only::Any,
            ours,
            set: |_, _| Ok(()),
        }
    }

    static TABLE: &[Flag] = &[
        flag(&["req", "req0"], false),
        flag(&["rep"], false),
        flag(&["raw"], false),
        flag(&["raw-socket"], true),
    ];

    #[test]
    fn a_name_may_be_abbreviated_while_one_flag_fits() {
        assert_eq!(by_name(TABLE, b"re").err(), Some(NoFlag::Ambiguous(vec!["req", "rep"])));
        assert_eq!(by_name(TABLE, b"req").unwrap().names[0], "req");
        assert_eq!(by_name(TABLE, b"req0").unwrap().names[0], "req");
        assert_eq!(by_name(TABLE, b"repl").err(), Some(NoFlag::Unknown));
    }

    #[test]
    fn our_own_flags_never_make_an_abbreviation_ambiguous() {
        assert_eq!(by_name(TABLE, b"ra").unwrap().names[0], "raw");
        assert_eq!(by_name(TABLE, b"raw").unwrap().names[0], "raw");
        assert_eq!(by_name(TABLE, b"raw-").unwrap().names[0], "raw-socket");
    }
}
