//! [`Failure`]: why a command ends before it has done its work.

use std::fmt;

/// Why a command ends before it has done its work. The variants are what exit codes distinguish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The command line makes no sense.
    Usage(String),
    /// A file named on the command line cannot be read.
    File(String),
    /// A socket could not listen, dial, send or receive.
    Socket(String),
    /// Whoever read our output is gone. Nothing is said; the status is that of a death by SIGPIPE.
    Pipe,
}

impl Failure {
    /// A command line that makes no sense.
    pub(crate) fn usage(text: impl Into<String>) -> Self {
        Self::Usage(text.into())
    }

    /// A socket that failed.
    pub(crate) fn socket(text: impl Into<String>) -> Self {
        Self::Socket(text.into())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(text) | Self::File(text) | Self::Socket(text) => f.write_str(text),
            Self::Pipe => f.write_str("nobody reads the output"),
        }
    }
}
